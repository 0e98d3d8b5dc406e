"""Jobs of a ledger, brought as far as a test needs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from node.domain import Analysed, Delivery, DeliveryState, Destination, JobState
from node.ledger.ledger import Ledger
from node.ledger.schema import jobs
from support.records import PACS, instance, results

S = JobState


def put(ledger: Ledger, job_id: str, state: JobState) -> None:
    """Force a job into a state, against all rules."""
    with ledger.database.engine.begin() as connection:
        connection.execute(jobs.update().where(jobs.c.job_id == job_id).values(state=state))


def received(ledger: Ledger, number: int = 1, **changes: Any) -> str:
    """Register an instance; return its job's id."""
    ledger.arrivals.register(instance(number, **changes))
    return ledger.jobs.find()[-1].job_id


def queued(ledger: Ledger, destinations: Sequence[Destination] = (PACS,)) -> str:
    """Make a job that waits for its analysis; return its id."""
    job_id = received(ledger)
    ledger.jobs.move(job_id, S.COMPLETE)
    ledger.jobs.route(job_id, destinations)
    return job_id


def delivering(ledger: Ledger, destinations: Sequence[Destination] = (PACS,)) -> str:
    """Make a job with two result objects to deliver; return its id."""
    job_id = queued(ledger, destinations)
    attempt = ledger.jobs.claim(job_id, S.ANALYSING, 30)
    ledger.deliveries.begin(job_id, attempt, Analysed(results(), 1.5))
    return job_id


def answer(ledger: Ledger, job_id: str, *states: DeliveryState, destination: str = "archive") -> None:
    """Record how the deliveries of both objects to a destination ended, as its sender."""
    attempt = ledger.senders.claim(destination, 30)
    assert attempt is not None
    for uid, state in zip(("2.25.1", "2.25.2"), states, strict=True):
        ledger.deliveries.record(job_id, attempt, Delivery(destination, uid, state, 0x0000, 1, 0.0, f"{state} words"))
    ledger.senders.release(destination, attempt)
