"""Studies whose analysis is over, on their way to PACSs of every kind."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, evt

from node.config import Config, save_config
from node.dimse import scu
from node.domain import Analysed, Delivery, DeliveryState, Destination, JobState, ResultObject
from node.flow.dispatch import Dispatcher, celery_app
from node.kinds import ObjectKind
from node.store.spool import Spool
from support.peers import BIN, wait_for
from support.places import ROOT
from support.records import SEG, SR, configuration, instance, open_ledger
from support.wire import data_set, encode, receiver, write_file
from workers.deliver import DeliveryTask


def destination(name: str, port: int, host: str = "127.0.0.1") -> Destination:
    """A destination on this machine."""
    return Destination(name, "PACS", host, port)


def configured(destinations: Sequence[Destination], **sections: dict[str, object]) -> Config:
    """A configuration with these destinations and sections."""
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
        """A job's deliveries to a destination."""
        return [delivery for delivery in self.ledger.deliveries.of(job_id) if delivery.destination == name]

    def states(self, job_id: str, name: str) -> set[DeliveryState]:
        """The states of a job's deliveries to a destination."""
        return {delivery.state for delivery in self.deliveries(job_id, name)}


@contextlib.contextmanager
def studies(folder: Path, destinations: Sequence[Destination]) -> Iterator[Studies]:
    """Studies for these destinations, none at first."""
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
    """Let associations with the destination ``bad`` time out sooner than in earnest."""
    real = scu.associate

    def associate(ae: AE, peer: Destination, handlers: Sequence[Any] = ()) -> Any:
        if peer.name == "bad":
            ae.acse_timeout, ae.dimse_timeout, ae.connection_timeout = acse_s, dimse_s, 1
        return real(ae, peer, handlers)

    monkeypatch.setattr(scu, "associate", associate)
    monkeypatch.setattr("node.delivery.send.associate", associate)
    monkeypatch.setattr(scu, "_GRACE_S", 0.5)
    monkeypatch.setattr(scu, "_RELEASE_S", 0.5)


@contextlib.contextmanager
def dicom_worker(config: Config, folder: Path) -> Iterator[Dispatcher]:
    """``ftmtl worker --queue dicom`` as a process, and the access to its queue."""
    save_config(config, folder / "node.json")
    log = folder / "worker.log"
    with log.open("wb") as output:
        command = [str(BIN / "ftmtl"), "worker", "--queue", "dicom", "--config", str(folder / "node.json")]
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ, cwd=ROOT)
    dispatcher = Dispatcher(celery_app(config.queue.url, config.queue.task_limit_s))
    try:
        wait_for(lambda: "dicom" in dispatcher.workers(0.5), 60, "the worker")
        yield dispatcher
    finally:
        process.kill()
        process.wait(20)
