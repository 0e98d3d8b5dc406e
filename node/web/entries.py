"""The ledger for people and programs: the same entries for ``ftmtl jobs``, the JSON API and the status page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from node.domain import Delivery, DeliveryState, Job, JobState
from node.ledger.ledger import Ledger


def job_entries(ledger: Ledger, newest: int | None = None) -> list[dict[str, Any]]:
    """Return entries for the newest jobs (all by default), oldest first."""
    return [job_entry(ledger, job) for job in ledger.jobs.find(newest=newest)]


def job_entry(ledger: Ledger, job: Job, *, objects: bool = False) -> dict[str, Any]:
    """Return one job as JSON, with times in ISO 8601, UTC.

    Parameters
    ----------
    objects
        Whether to list its instances, and its result objects with each destination's answer, as well.
    """
    deliveries = ledger.deliveries.of(job.job_id)
    entry: dict[str, Any] = {
        "job_id": job.job_id,
        "study_uid": job.study_uid,
        "state": job.state.value,
        "reason": job.reason,
        "created": iso_time(job.created),
        "updated": iso_time(job.updated),
        "destinations": [
            {"name": name, "state": _state(job, [d for d in deliveries if d.destination == name])}
            for name in job.destinations
        ],
    }
    if objects:
        entry["attempt"] = job.attempt
        entry["forward_seconds"] = round(job.forward_seconds, 3)
        entry["instances"] = [
            {"sop_instance_uid": i.sop_instance_uid, "laterality": i.laterality, "view": i.view, "path": str(i.path)}
            for i in ledger.arrivals.instances(job.job_id)
        ]
        entry["objects"] = [
            {
                "kind": made.kind,
                "sop_instance_uid": made.sop_instance_uid,
                "path": str(made.path),
                "deliveries": [_delivery(d) for d in deliveries if d.sop_instance_uid == made.sop_instance_uid],
            }
            for made in ledger.deliveries.objects(job.job_id)
        ]
    return entry


def iso_time(seconds: float) -> str:
    """Return a time in ISO 8601 with milliseconds, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _state(job: Job, deliveries: list[Delivery]) -> str:
    """Return the state of a job's objects at one destination; ``none`` if it ended without any objects."""
    states = {d.state for d in deliveries} - {DeliveryState.REPLACED}
    if not states and job.state in (JobState.NOT_PROCESSED, JobState.FAILED):
        return "none"
    if DeliveryState.FAILED in states:
        return DeliveryState.FAILED
    return DeliveryState.DELIVERED if states == {DeliveryState.DELIVERED} else DeliveryState.PENDING


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "destination": delivery.destination,
        "state": delivery.state.value,
        "status": None if delivery.status is None else f"0x{delivery.status:04X}",
        "attempts": delivery.attempts,
        "comment": delivery.comment,
    }
