"""Attempts at a PACS that does not store everything: when it is asked again, for what, and what counts as stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom import evt
from support.bad_peers import MUTE, ODD
from support.records import SEG, SR, configuration
from support.sending import (
    configured,
    destination,
    good_pacs,
    hurried,
    studies,
)
from support.wire import poll_often, receiver

from node.cli.standalone import free_port
from node.dimse import scu
from node.domain import DeliveryState, JobState
from workers.deliver import DeliveryTask

# A peer that breaks off in the middle of a sentence may trip a thread of pynetdicom.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
PENDING, DELIVERED = DeliveryState.PENDING, DeliveryState.DELIVERED
KINDS = {**MUTE, **ODD}


def test_a_pacs_that_just_timed_out_is_asked_by_no_other_job_until_the_pause_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch, acse_s=0.5, dimse_s=1)
    with KINDS["silent"]() as peer:
        config = configuration([destination("bad", peer.port)])
        with studies(tmp_path, config.destination_list()) as station:
            jobs = [station.analysed() for _ in range(5)]
            task = DeliveryTask(config, station.ledger, station.spool)
            now = station.ledger.clock()
            station.ledger.clock = lambda: now
            for job_id in jobs:
                task.run(job_id, "bad")
            assert peer.calls == 1
            assert [station.deliveries(job_id, "bad")[0].attempts for job_id in jobs] == [0] * 5, (
                "waiting is no attempt"
            )
            station.ledger.clock = lambda: now + 13
            for job_id in jobs:
                task.run(job_id, "bad")
            assert peer.calls == 2, "one probe"
            assert station.ledger.senders.silent()["bad"].failures == 2
            assert station.ledger.senders.silent()["bad"].since == now
        assert config.delivery.first_retry_s == 10


def test_what_waits_for_a_pacs_that_is_back_comes_with_the_first_probe(tmp_path: Path) -> None:
    got: dict[str, float] = {}
    away = free_port()
    with studies(tmp_path, [destination("archive", away)]) as station:
        config = configuration([destination("archive", away)])
        jobs = [station.analysed() for _ in range(4)]
        DeliveryTask(config, station.ledger, station.spool).run(jobs[0], "archive")
        assert station.ledger.senders.silent()
        with good_pacs(got) as port:
            back = configuration([destination("archive", port)])
            now = station.ledger.clock()
            station.ledger.clock = lambda: now + 13
            assert station.ledger.senders.due() == [(jobs[0], "archive")]
            DeliveryTask(back, station.ledger, station.spool).run(jobs[0], "archive")
        assert {station.ledger.jobs.get(job_id).state for job_id in jobs} == {JobState.DELIVERED}
        assert station.ledger.senders.silent() == {}
        assert len(got) == 8


def test_nine_objects_for_a_pacs_that_closes_after_each_need_no_long_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stored starts the pauses anew, and what was not tried is due at once."""
    poll_often(monkeypatch)
    with KINDS["closes"]() as peer:
        config = configuration([destination("bad", peer.port)])
        with studies(tmp_path, config.destination_list()) as station:
            job_id = station.analysed(objects=9)
            task, now, waited_s = DeliveryTask(config, station.ledger, station.spool), station.ledger.clock(), 0.0
            while station.ledger.jobs.get(job_id).state is JobState.DELIVERING:
                station.ledger.clock = lambda later=waited_s: now + later
                task.run(job_id, "bad")
                waiting = [d for d in station.deliveries(job_id, "bad") if d.state is PENDING]
                waited_s = max([waited_s, *(d.next_attempt - now for d in waiting)]) + 1
            assert waited_s < 100, f"it was 2,550 s; {station.deliveries(job_id, 'bad')}"
            assert station.ledger.jobs.get(job_id).state is JobState.DELIVERED
            assert len(set(peer.asked)) == 9


def test_an_object_that_a_pacs_fails_over_does_not_hold_up_the_others(tmp_path: Path) -> None:
    stored: set[str] = set()

    def store(event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        if uid == "2.25.1.1":
            event.assoc.abort()
        else:
            stored.add(uid)
        return 0x0000

    with receiver([(evt.EVT_C_STORE, store)], [SEG, SR]) as port:
        config = configuration([destination("archive", port)])
        with studies(tmp_path, config.destination_list()) as station:
            jobs = [station.analysed(objects=3), station.analysed()]
            task, now = DeliveryTask(config, station.ledger, station.spool), station.ledger.clock()
            for later in range(0, 60, 5):
                station.ledger.clock = lambda later=later: now + later
                task.run(jobs[0], "archive")
            assert stored == {"2.25.1.2", "2.25.1.3", "2.25.2.1", "2.25.2.2"}
            assert station.ledger.jobs.get(jobs[1]).state is JobState.DELIVERED
            assert [d.state for d in station.deliveries(jobs[0], "archive")] == [PENDING, DELIVERED, DELIVERED]


def test_a_lost_answer_and_then_a_duplicate_is_delivered(tmp_path: Path) -> None:
    """The PACS stores an object, its answer is lost, and it refuses the object when it comes again: 0x0111."""
    held: set[str] = set()

    def store(event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        if uid in held:
            return 0x0111
        held.add(uid)
        event.assoc.abort()
        return 0x0000

    with receiver([(evt.EVT_C_STORE, store)], [SEG, SR]) as port:
        config = configuration([destination("archive", port)])
        with studies(tmp_path, config.destination_list()) as station:
            job_id = station.analysed(objects=1)
            task, now = DeliveryTask(config, station.ledger, station.spool), station.ledger.clock()
            task.run(job_id, "archive")
            assert station.states(job_id, "archive") == {PENDING}
            station.ledger.clock = lambda: now + 20
            task.run(job_id, "archive")
            (delivery,) = station.deliveries(job_id, "archive")
            assert (delivery.state, delivery.status) == (DELIVERED, 0x0111)
            assert delivery.comment == "stored 0x0111: was there already"
            assert station.ledger.jobs.get(job_id).state is JobState.DELIVERED


@pytest.mark.parametrize(("accept", "state"), [(True, JobState.DELIVERED), (False, JobState.FAILED)])
def test_a_warning_is_delivered_or_failed_as_the_destination_is_configured(
    tmp_path: Path, accept: bool, state: JobState
) -> None:
    with receiver([(evt.EVT_C_STORE, lambda event: 0xB000)], [SEG, SR]) as port:
        config = configuration([replace(destination("archive", port), accept_warnings=accept)])
        with studies(tmp_path, config.destination_list()) as station:
            job_id = station.analysed()
            DeliveryTask(config, station.ledger, station.spool).run(job_id, "archive")
            assert station.ledger.jobs.get(job_id).state is state
            note = "stored with a warning 0xB000: coercion of data elements"
            assert {(d.status, d.comment) for d in station.deliveries(job_id, "archive")} == {(0xB000, note)}


def test_an_attempt_ends_when_its_time_is_over_and_the_process_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before the time-outs of the association; and the limit of an analysis does not matter."""
    monkeypatch.setattr(scu, "_GRACE_S", 0.2)
    with KINDS["no-answer"]() as peer:
        limits = {"delivery": {"attempt_limit_s": 1}, "queue": {"task_limit_s": 0.1, "lease_s": 0.3}}
        config = configured([destination("bad", peer.port)], **limits)
        with studies(tmp_path, config.destination_list()) as station:
            job_id = station.analysed()
            DeliveryTask(config, station.ledger, station.spool).run(job_id, "bad")
            deliveries = station.deliveries(job_id, "bad")
            assert [(d.state, d.attempts) for d in deliveries] == [(PENDING, 1), (PENDING, 0)]
            assert peer.asked == ["2.25.1.1"]
