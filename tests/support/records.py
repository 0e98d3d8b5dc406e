"""Rows of a ledger, a queue and a configuration for tests of the node."""

from __future__ import annotations

import functools
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from node.config import Config, load_config
from node.domain import Destination, Instance, Job, JobState, ResultObject
from node.errors import QueueUnavailable
from node.kinds import ObjectKind
from node.ledger.ledger import Ledger

MG = "1.2.840.10008.5.1.4.1.1.1.2"
MG_RAW = "1.2.840.10008.5.1.4.1.1.1.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
SR = "1.2.840.10008.5.1.4.1.1.88.34"
STUDY = "1.2.826.0.1.3680043.8.498.1"
PACS = Destination("archive", "PACS", "127.0.0.1", 104)
SECOND = Destination("second", "PACS2", "127.0.0.1", 105)


class FakeQueue:
    """What `node.flow.dispatch.Dispatcher` looks like from the node; it can be unplugged."""

    def __init__(self) -> None:
        self.up = True
        self.waiting: list[tuple[str, ...]] = []
        self.asked = 0

    def send(self, task: str, job_id: str, *destination: str) -> None:
        if not self.up:
            raise QueueUnavailable("the queue does not answer: unplugged")
        self.waiting.append((task, job_id, *destination))

    def depth(self, task: str) -> int:
        self.asked += 1
        if not self.up:
            raise QueueUnavailable("the queue does not answer: unplugged")
        return sum(1 for waiting, *_ in self.waiting if waiting == task)


@functools.cache
def _empty_ledger() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ledger.sqlite")
        ledger = Ledger(f"sqlite:///{path}")
        ledger.upgrade()
        ledger.close()
        return path.read_bytes()


def open_ledger(folder: Path, clock: Callable[[], float] = time.time) -> Ledger:
    """Return an empty ledger in a folder; it is migrated once per session, then copied."""
    path = folder / "ledger.sqlite"
    path.write_bytes(_empty_ledger())
    return Ledger(f"sqlite:///{path}", clock)


def instance(number: int = 1, study: str = STUDY, **changes) -> Instance:
    uid = f"{study}.{number}"
    made = Instance(
        sop_instance_uid=uid,
        sop_class_uid=MG,
        study_uid=study,
        series_uid=f"{study}.99",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="MG",
        laterality="L",
        view="CC",
        key=f"instances/{uid}.dcm",
        sha256=hashlib.sha256(uid.encode()).hexdigest(),
        size_bytes=1000,
        calling_ae="MODALITY",
        received=1.0,
    )
    return replace(made, **changes)


def job(**changes) -> Job:
    made = Job(
        job_id="a" * 32,
        study_uid=STUDY,
        state=JobState.RECEIVING,
        reason="",
        created=1000.0,
        updated=1000.0,
        last_received=1000.0,
        attempt=0,
        lost=0,
        lease_until=0.0,
        dispatched=0.0,
        forward_seconds=0.0,
        plan={},
    )
    return replace(made, **changes)


def results(folder: Path = Path("results")) -> list[ResultObject]:
    """A segmentation and a report."""
    return [
        ResultObject(ObjectKind.SEG, SEG, "2.25.1", "2.25.11", folder / "seg.dcm"),
        ResultObject(ObjectKind.SR, SR, "2.25.2", "2.25.12", folder / "sr.dcm"),
    ]


def configuration(destinations: Iterable[Destination] = ()) -> Config:
    """A configuration with these destinations, in which a worker has half a minute to show signs of life."""
    short = {"queue": {"lease_s": 30, "task_limit_s": 60}, "delivery": {"first_retry_s": 10, "longest_retry_s": 100}}
    return load_config(None, {**short, "destinations": [_section(destination) for destination in destinations]}, {})


def _section(destination: Destination) -> dict[str, object]:
    """Return a destination as the configuration has it: a profile's kinds go by the names of the plain ones."""
    rows = [kind.row for kind in destination.objects]
    names = [str(row.stands_for or kind) for kind, row in zip(destination.objects, rows, strict=True)]
    settings = {name: "".join({getattr(row, name) for row in rows}) for name in ("profile", "map_distortion")}
    address = {"ae_title": destination.ae_title, "host": destination.host, "port": destination.port}
    warnings = "accept" if destination.accept_warnings else "fail"
    return {"name": destination.name, **address, "objects": names, **settings, "warnings": warnings}
