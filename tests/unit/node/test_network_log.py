"""How often the same thing is said: once, then how much more of it there was."""

import logging

import pytest
from support.clocks import Clock

from node.domain import NetworkEvent, NetworkEventKind, Tally
from node.intake.network_log import NetworkLog

PROBE = NetworkEvent(NetworkEventKind.NO_REQUEST, "192.0.2.1", "closed without an association request")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def network_log(clock, caplog):
    caplog.set_level(logging.INFO, "node")
    return NetworkLog(clock, clock)


def numbered(number):
    return NetworkEvent(NetworkEventKind.REJECTED, f"192.0.2.{number % 250}", str(number))


def test_a_probe_a_second_is_a_line_and_one_more_a_minute(network_log, clock, caplog):
    written = {}
    for _ in range(181):
        network_log.note(PROBE)
        clock.now += 1
        network_log.flush(written.update)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4
    assert "more" not in lines[0]
    assert all("60 more in the last 60 s" in line or "59 more in the last 60 s" in line for line in lines[1:])


def test_of_many_different_ones_the_number_is_said(network_log, clock, caplog):
    for number in range(5000):
        network_log.note(numbered(number))
    clock.now += 61
    network_log.flush(lambda tallies: None)
    assert len(caplog.records) == 61
    assert caplog.records[-1].getMessage().startswith("4940 more network events")


def test_what_cannot_be_written_is_kept(network_log, clock):
    def fail(tallies):
        raise OSError

    network_log.note(PROBE)
    clock.now += 1
    with pytest.raises(OSError):  # noqa: PT011 - as it was raised
        network_log.flush(fail)
    clock.now += 1
    network_log.note(PROBE)
    written = {}
    network_log.flush(written.update)
    assert written == {PROBE: Tally(2, clock.now - 2, clock.now)}
    network_log.flush(lambda tallies: pytest.fail("nothing to write"))


def test_what_waits_to_be_written_is_bounded(network_log):
    for number in range(5000):
        network_log.note(numbered(number))
    written = {}
    network_log.flush(written.update)
    assert len(written) == 100
