"""What the ledger's queries cost with many jobs in it: one JSON line per query.

    python benchmarks/ledger.py --jobs 1000000 --waiting 10000
    python benchmarks/ledger.py --url postgresql+psycopg://postgres@127.0.0.1:5432/empty_database

The ledger is filled with delivered studies of four images, and with jobs that wait for their analysis, for a PACS that
is away, and for more images. Each query is repeated; the median in milliseconds is printed, with the least and the
most. ``commit`` is what one empty transaction costs on this disk; ``register`` and ``claim`` contain one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from node.config import load_config
from node.domain import DeliveryState, Instance, JobState, StudyFacts
from node.errors import QueueUnavailable
from node.flow.service import Node
from node.kinds import ObjectKind
from node.ledger.jobs import Filter
from node.ledger.ledger import Ledger
from node.ledger.schema import deliveries, instances, job_instances, jobs, objects, studies
from node.ledger.senders import add_within
from node.store.spool import Spool
from node.web.entries import job_entries, job_entry

_CHUNK = 20_000
_VIEWS = (("L", "CC"), ("R", "CC"), ("L", "MLO"), ("R", "MLO"))
_PLAN = json.dumps({"PACS": ["seg", "sr"]})


class NoQueue:
    """A queue that takes whatever it is given, and is empty."""

    def send(self, task: str, job_id: str, *destination: str) -> None:
        """Take a message."""

    def depth(self, task: str) -> int:
        """Say how many messages wait."""
        return 0

    def workers(self, timeout_s: float = 1.0) -> set[str]:
        """Say that nobody is there."""
        raise QueueUnavailable("no queue")


def main() -> int:
    """Fill a ledger, and print what its queries cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100_000, help="delivered studies (default 100000)")
    parser.add_argument("--waiting", type=int, default=10_000, help="jobs in each state of waiting (default 10000)")
    parser.add_argument("--url", help="an empty PostgreSQL database (default SQLite in a temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        url = arguments.url or f"sqlite:///{Path(folder) / 'ledger.sqlite'}"
        ledger = Ledger(url)
        ledger.upgrade()
        started = time.monotonic()
        fill(ledger, arguments.jobs, arguments.waiting)
        print(
            json.dumps({"filled": arguments.jobs, "waiting": arguments.waiting, "s": round(time.monotonic() - started)})
        )
        for name, query in queries(ledger, url, Path(folder), arguments.jobs):
            print(json.dumps({"query": name, **measured(query)}), flush=True)
        ledger.close()
    return 0


def measured(query: Callable[[], Any], times: int = 15) -> dict[str, float]:
    """Run a query several times; return the median, the least and the most, in milliseconds."""
    query()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        query()
        taken.append(1000 * (time.perf_counter() - started))
    return {"ms": round(statistics.median(taken), 2), "least": round(min(taken), 2), "most": round(max(taken), 2)}


def queries(ledger: Ledger, url: str, folder: Path, count: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield each query by its name."""
    numbers = iter(range(10_000_000))
    node = _node(ledger, folder)

    def commit() -> None:
        with ledger.database.write() as connection:
            connection.execute(jobs.update().where(jobs.c.job_id == _id("done", 1)).values(updated=time.time()))

    yield "commit", commit
    yield "register", lambda: ledger.arrivals.register(_instance("new", next(numbers), 0), StudyFacts("P", "I", "N"))
    waiting = iter(range(10_000_000))
    yield "claim", lambda: ledger.jobs.claim(_id("queued", next(waiting)), JobState.ANALYSING, 30)
    yield "due work", lambda: ledger.jobs.take_due(JobState.DELIVERING, 0.0)
    yield "due destinations", ledger.senders.due
    yield "one study's page", lambda: [job_entry(ledger, job) for job in ledger.jobs.of_study(_uid("done", count // 2))]
    yield "assembly tick", node.assemble
    yield "reconcile tick", node.reconciler.reconcile
    yield "page's list", lambda: (job_entries(ledger), ledger.jobs.count(Filter(), 10_000))
    yield "list of a state", lambda: job_entries(ledger, Filter(states=(JobState.FAILED,)))
    yield "list of a patient", lambda: job_entries(ledger, Filter(patient_id=f"P{count // 2}"))
    yield "list of an accession number", lambda: job_entries(ledger, Filter(accession_number=f"A{count // 2}"))
    yield "list by text", lambda: job_entries(ledger, Filter(text=f"A{count // 2}"))
    command = [sys.executable, "-m", "node.cli", "jobs", "list", "--data", str(folder)]
    environment = os.environ | {"FTMTL_LEDGER_URL": url}
    yield (
        "jobs list, as a command",
        lambda: subprocess.run(
            command, check=True, capture_output=True, env=environment, cwd=Path(__file__).parents[1]
        ),
    )


def _node(ledger: Ledger, folder: Path) -> Node:
    destination = {"name": "PACS", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}
    config = load_config(None, {"node": {"data": str(folder)}, "destinations": [destination]}, {})
    return Node(config, ledger, Spool(folder / "spool"), NoQueue())  # type: ignore[arg-type]


def fill(ledger: Ledger, count: int, waiting: int) -> None:
    """Put jobs into a ledger, a chunk per transaction."""
    now = time.time()
    _fill(ledger, "done", JobState.DELIVERED, count, {"due": 0.0, "created": now - 1e6})
    _fill(ledger, "queued", JobState.QUEUED, waiting, {"due": now + 3600, "created": now - 5000})
    _fill(ledger, "away", JobState.DELIVERING, waiting, {"due": now - 1, "created": now - 5000})
    _fill(ledger, "open", JobState.RECEIVING, waiting, {"due": now - 1, "created": now - 5})
    with ledger.database.write() as connection:
        add_within(connection, ["PACS"])
    if ledger.database.engine.dialect.name == "postgresql":
        with ledger.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")


def _fill(ledger: Ledger, name: str, state: JobState, count: int, times: dict[str, float]) -> None:
    for start in range(0, count, _CHUNK):
        numbers = range(start, min(count, start + _CHUNK))
        with ledger.database.write() as connection:
            for table, rows in _rows(name, state, numbers, times).items():
                if rows:
                    connection.execute(table.insert(), rows)
            query = sa.select(instances.c.instance_id, instances.c.study_uid).where(
                instances.c.study_uid.between(_uid(name, numbers[0]), _uid(name, numbers[-1]))
            )
            links = [
                {"job_id": _id(name, int(row.study_uid.rpartition(".")[2])), "instance_id": row.instance_id}
                for row in connection.execute(query)
            ]
            connection.execute(job_instances.insert(), links)


def _rows(name: str, state: JobState, numbers: range, times: dict[str, float]) -> dict[sa.Table, list[dict[str, Any]]]:
    late = times["created"]
    table: dict[sa.Table, list[dict[str, Any]]] = {studies: [], instances: [], jobs: [], objects: [], deliveries: []}
    for n in numbers:
        received = {"first_received": late + n, "last_received": late + n}
        facts = {
            "patient_id": f"P{n}",
            "patient_name": f"Name^{n}",
            "accession_number": f"A{n}",
            "study_date": "20260101",
        }
        table[studies].append({"study_uid": _uid(name, n), "issuer": "", "description": "", **facts, **received})
        table[jobs].append(
            {
                "job_id": _id(name, n), "study_uid": _uid(name, n), "state": state, "created": late + n / 1000,
                "updated": late, "last_received": time.time(), "due": times["due"], "plan": _PLAN,
            }
        )  # fmt: skip
        for view in range(4 if state is not JobState.RECEIVING else 1):
            one = vars(_instance(name, n, view)) | {"is_current": True, "set_aside": ""}
            table[instances].append(one)
        if state in (JobState.DELIVERED, JobState.DELIVERING):
            done = DeliveryState.DELIVERED if state is JobState.DELIVERED else DeliveryState.PENDING
            uid = f"2.25.{n}{'1' if state is JobState.DELIVERED else '2'}"
            made = {"job_id": _id(name, n), "sop_instance_uid": uid}
            table[objects].append(made | {"kind": ObjectKind.SR, "sop_class_uid": "1", "series_uid": "1", "key": "k"})
            table[deliveries].append(made | {"destination": "PACS", "state": done, "opened": late})
    return table


def _uid(name: str, n: int) -> str:
    return f"1.2.{len(name)}{ord(name[0])}.{n:09d}"


def _id(name: str, n: int) -> str:
    return f"{name[:6]:x<6}{n:026d}"


def _instance(name: str, n: int, view: int) -> Instance:
    side, code = _VIEWS[view]
    return Instance(
        sop_instance_uid=f"{_uid(name, n)}.{view}", sop_class_uid="1.2.840.10008.5.1.4.1.1.1.2",
        study_uid=_uid(name, n), series_uid="1.2.3", transfer_syntax_uid="1.2.840.10008.1.2.1", modality="MG",
        laterality=side, view=code, key=f"instances/{name}{n}{view}.dcm", sha256=f"{name}{n:020d}{view}",
        size_bytes=1000, calling_ae="MODALITY", received=time.time(),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
