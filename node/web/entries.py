"""The ledger for people and programs: the same entries for ``ftmtl jobs``, the JSON API and the status page."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from node.domain import Delivery, DeliveryState, Job, JobState
from node.ledger.jobs import Filter
from node.ledger.ledger import Ledger
from node.ledger.senders import Silence

EVERYTHING = Filter()


def job_entries(
    ledger: Ledger, chosen: Filter = EVERYTHING, *, limit: int = 50, offset: int = 0
) -> list[dict[str, Any]]:
    """Return entries for a page of jobs, newest first."""
    page = ledger.jobs.page(chosen, limit=limit, offset=offset)
    states = ledger.deliveries.states([job.job_id for job in page])
    return [_entry(job, states[job.job_id]) for job in page]


def job_entry(ledger: Ledger, job: Job) -> dict[str, Any]:
    """Return all that is known of one job as JSON: its instances, its objects with each answer, and its history."""
    deliveries = ledger.deliveries.of(job.job_id)
    states: dict[str, set[DeliveryState]] = {}
    for delivery in deliveries:
        states.setdefault(delivery.destination, set()).add(delivery.state)
    entry = _entry(job, states)
    entry["cause"], entry["model"], entry["weights"] = job.cause.value, job.model, job.weights
    entry["attempt"] = job.attempt
    silent = ledger.senders.silent()
    entry["silent"] = [_silence(silent[name]) for name in job.destinations if name in silent]
    entry["forward_seconds"] = round(job.forward_seconds, 3)
    entry["instances"] = [
        {"sop_instance_uid": i.sop_instance_uid, "laterality": i.laterality, "view": i.view, "key": i.key}
        for i in ledger.arrivals.instances(job.job_id)
    ]
    entry["objects"] = [
        {
            "kind": made.kind,
            "sop_instance_uid": made.sop_instance_uid,
            "key": str(made.path),
            "deliveries": [_delivery(d) for d in deliveries if d.sop_instance_uid == made.sop_instance_uid],
        }
        for made in ledger.deliveries.objects(job.job_id)
    ]
    entry["history"] = [
        {"at": iso_time(row["at"])} | {name: row[name] for name in ("before", "after", "reason", "actor")}
        for row in ledger.jobs.history(job.job_id)
    ]
    return entry


def network_entries(ledger: Ledger, limit: int = 50) -> list[dict[str, Any]]:
    """Return what has come to nothing at the listener, newest first."""
    return [
        asdict(event) | {"count": tally.count, "first": iso_time(tally.first), "last": iso_time(tally.last)}
        for event, tally in ledger.network_events.latest(limit)
    ]


def _entry(job: Job, states: Mapping[str, Collection[DeliveryState]]) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "study_uid": job.study_uid,
        "state": job.state.value,
        "reason": job.reason or job.outcome_reason,
        "outcome": job.outcome,
        "remarks": job.remarks.splitlines(),
        "created": iso_time(job.created),
        "updated": iso_time(job.updated),
        "destinations": [{"name": name, "state": _state(job, states.get(name, ()))} for name in job.destinations],
    }


def iso_time(seconds: float) -> str:
    """Return a time in ISO 8601 with milliseconds, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _state(job: Job, of_objects: Collection[DeliveryState]) -> str:
    """Return the state of a job's objects at one destination; ``none`` if it ended without any objects."""
    states = set(of_objects) - {DeliveryState.REPLACED}
    if not states and job.state in (JobState.NOT_PROCESSED, JobState.FAILED):
        return "none"
    if DeliveryState.FAILED in states:
        return DeliveryState.FAILED
    return DeliveryState.DELIVERED if states == {DeliveryState.DELIVERED} else DeliveryState.PENDING


def _silence(silence: Silence) -> dict[str, Any]:
    return {
        "destination": silence.destination,
        "since": iso_time(silence.since),
        "retry_at": iso_time(silence.retry_at),
        "comment": silence.comment,
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "destination": delivery.destination,
        "state": delivery.state.value,
        "status": None if delivery.status is None else f"0x{delivery.status:04X}",
        "attempts": delivery.attempts,
        "comment": delivery.comment,
    }
