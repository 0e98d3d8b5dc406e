"""What a person's wish to retry a job changes: which of its deliveries are open again, and where the job goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from node.domain import DeliveryState, Job, JobState
from node.errors import IllegalTransition, LedgerError
from node.kinds import ObjectKind
from node.ledger.jobs import Jobs
from node.ledger.openings import Opening, delivered_within, objects_within, open_deliveries
from node.ledger.schema import deliveries, objects
from node.ledger.schema import jobs as jobs_table
from node.ledger.senders import ask_again

RELEASED = "released by a person"
"""The reason of a job that was held and may go on."""

_GOES_ON = frozenset({JobState.RECEIVING, JobState.COMPLETE, JobState.QUEUED, JobState.ANALYSING})
_UNANALYSED = frozenset({JobState.NOT_PROCESSED, JobState.FAILED})


@dataclass(frozen=True)
class Retry:
    """How a job is to be retried.

    Objects that a destination refused are offered to it again, before what was to replace them.

    Attributes
    ----------
    now
        End the pauses: what waits is due at once, and a destination that did not answer is asked at once.
    to
        The name of the only destination that is meant; empty for all destinations of the job.
    kinds
        What that destination is configured to receive, in case the job has not sent to it before.
    again
        Send what was delivered once more, for example to an archive that has lost it.
    """

    now: bool = False
    to: str = ""
    kinds: tuple[ObjectKind, ...] = ()
    again: bool = False


PLAIN = Retry()


def retry_within(connection: sa.Connection, jobs: Jobs, job_id: str, wish: Retry) -> JobState:
    """Do what `node.ledger.deliveries.Deliveries.retry` says, within a transaction."""
    job = jobs.get_within(connection, job_id)
    if job.state in _GOES_ON:
        raise IllegalTransition(f"job {job_id} is {job.state}: it goes on by itself")
    if job.state is JobState.HELD:
        return _go_on(connection, jobs, job, JobState.COMPLETE, RELEASED)
    now = jobs.database.clock()
    if wish.to and wish.to not in job.plan:
        _add_destination(connection, job, wish, now)
    names = [wish.to] if wish.to else job.destinations
    if wish.now:
        ask_again(connection, names)
    if sum([_reopen(connection, Opening(job_id, name, now), job, wish) for name in names]):
        return _go_on(connection, jobs, job, JobState.DELIVERING)
    if job.state in _UNANALYSED and not wish.to:
        return _go_on(connection, jobs, job, JobState.COMPLETE)
    return job.state


def _go_on(connection: sa.Connection, jobs: Jobs, job: Job, to: JobState, reason: str = "") -> JobState:
    jobs.move_within(connection, job.job_id, to, reason, lease_until=0.0, dispatched=0.0, due=0.0)
    return to


def _add_destination(connection: sa.Connection, job: Job, wish: Retry, now: float) -> None:
    """Put a destination that the job has not sent to into its plan, and open its deliveries."""
    made = objects_within(connection, job.job_id)
    known = {kind for kinds in job.plan.values() for kind in kinds} | {result.kind for result in made}
    missing = [kind for kind in wish.kinds if kind not in known]
    if not wish.kinds:
        raise LedgerError(f"{wish.to!r} is neither a destination of job {job.job_id} nor in the configuration")
    if not made:
        raise LedgerError(f"job {job.job_id} has no results that could be sent to {wish.to!r}")
    if missing:
        raise LedgerError(
            f"{wish.to!r} receives {', '.join(missing)}, which job {job.job_id} has not made: "
            "`ftmtl jobs reanalyse` makes and sends it"
        )
    plan = json.dumps({name: list(kinds) for name, kinds in (*job.plan.items(), (wish.to, wish.kinds))})
    connection.execute(jobs_table.update().where(jobs_table.c.job_id == job.job_id).values(plan=plan))
    due = [result for result in made if result.kind in wish.kinds]
    there = delivered_within(connection, job.study_uid, due)
    open_deliveries(connection, Opening(job.job_id, wish.to, now), due, there)


def _reopen(connection: sa.Connection, opening: Opening, job: Job, wish: Retry) -> int:
    """Open deliveries to a destination again, and return how many."""
    rows = _deliveries(connection, opening)
    again = {DeliveryState.FAILED}
    if wish.now or job.state is not JobState.DELIVERING:
        again.add(DeliveryState.PENDING)
    if wish.again:
        again.add(DeliveryState.DELIVERED)
    # A study that could not be analysed needs another analysis, not the report of it in another form.
    if job.outcome not in _UNANALYSED or wish.to or any(row.state in again for row in rows):
        again.add(DeliveryState.REPLACED)
    withdrawn = _stand_ins(rows, job.plan.get(opening.destination, ()), again)
    reopened = [r.sop_instance_uid for r in rows if r.state in again and r.sop_instance_uid not in withdrawn]
    theirs = (deliveries.c.job_id == opening.job_id) & (deliveries.c.destination == opening.destination)
    connection.execute(deliveries.delete().where(theirs, deliveries.c.sop_instance_uid.in_(withdrawn)))
    connection.execute(
        deliveries.update()
        .where(theirs, deliveries.c.sop_instance_uid.in_(reopened))
        .values(state=DeliveryState.PENDING, attempts=0, next_attempt=0.0, opened=opening.now)
    )
    return len(reopened)


def _deliveries(connection: sa.Connection, opening: Opening) -> Sequence[Any]:
    """Return the UID, the state and the kind of each object of a job that is meant for a destination."""
    same = (objects.c.job_id == deliveries.c.job_id) & (objects.c.sop_instance_uid == deliveries.c.sop_instance_uid)
    query = (
        sa.select(deliveries.c.sop_instance_uid, deliveries.c.state, objects.c.kind)
        .join(objects, same)
        .where(deliveries.c.job_id == opening.job_id, deliveries.c.destination == opening.destination)
    )
    return connection.execute(query).all()


def _stand_ins(rows: Sequence[Any], wanted: Sequence[ObjectKind], again: set[DeliveryState]) -> list[str]:
    """Return the UIDs of what was to replace objects that are offered again, unless it is there already.

    If those are refused again, their replacements are opened again. An earlier version did not record what a
    destination wants; then nothing is withdrawn.
    """
    if not wanted or DeliveryState.REPLACED not in again:
        return []
    standing_in: set[ObjectKind] = set()
    for row in rows:
        kind = ObjectKind(row.kind).fallback if row.state == DeliveryState.REPLACED else None
        while kind is not None:
            standing_in.add(kind)
            kind = kind.fallback
    standing_in -= set(wanted)
    left = again | {DeliveryState.PENDING}
    return [row.sop_instance_uid for row in rows if row.kind in standing_in and row.state in left]
