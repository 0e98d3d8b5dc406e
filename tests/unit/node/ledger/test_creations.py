"""When an object was first made, whoever makes it again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from support.clocks import Clock


def test_the_first_time_is_kept(ledger, clock: Clock) -> None:
    first = ledger.creations.first("2.25.1")
    assert first == datetime.fromtimestamp(int(clock.now), UTC)
    clock.now += 100.7
    assert ledger.creations.first("2.25.1") == first
    assert ledger.creations.first("2.25.2") == datetime.fromtimestamp(int(clock.now), UTC)


def test_workers_that_make_it_at_once_agree(ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ledger.creations.first, ["2.25.3"] * 16))) == 1
