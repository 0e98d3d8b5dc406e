"""Jobs: their states, and the leases on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from node.domain import Destination, Job, JobState
from node.errors import LeaseLost, LedgerError
from node.ledger.database import Database
from node.ledger.schema import jobs
from node.ledger.states import require


class Jobs:
    """Records jobs. Every change of state is checked by `node.ledger.states`, in the transaction that makes it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def get(self, job_id: str) -> Job:
        """Return one job.

        Raises
        ------
        LedgerError
            If there is no job with this id.
        """
        with self.database.read() as connection:
            row = connection.execute(jobs.select().where(jobs.c.job_id == job_id)).one_or_none()
        if row is None:
            raise LedgerError(f"there is no job {job_id}")
        return _job(row)

    def find(self, states: Iterable[JobState] | None = None, newest: int | None = None) -> list[Job]:
        """Return jobs, oldest first; only those in the given states, and only the ``newest`` ones, if given."""
        query = jobs.select().order_by(jobs.c.created.desc(), jobs.c.job_id)
        if states is not None:
            query = query.where(jobs.c.state.in_(list(states)))
        if newest is not None:
            query = query.limit(newest)
        with self.database.read() as connection:
            return [_job(row) for row in connection.execute(query)][::-1]

    def move(self, job_id: str, to: JobState, *, reason: str = "", **values: Any) -> None:
        """Move a job to another state.

        Raises
        ------
        IllegalTransition
            If `node.ledger.states.TRANSITIONS` does not allow it.
        """
        with self.database.write() as connection:
            self.move_within(connection, job_id, to, reason=reason, **values)

    def route(self, job_id: str, destinations: Sequence[Destination]) -> None:
        """Queue a complete job, and record where its results will go."""
        names = json.dumps([d.name for d in destinations])
        self.move(job_id, JobState.QUEUED, destinations=names, lost=0, lease_until=0.0)

    def mark_dispatched(self, job_id: str) -> None:
        """Record that a message for this job has just been put on the queue."""
        with self.database.write() as connection:
            connection.execute(jobs.update().where(jobs.c.job_id == job_id).values(dispatched=self.database.clock()))

    def claim(self, job_id: str, to: JobState, lease_s: float) -> int | None:
        """Claim a job to work on it.

        Returns
        -------
        int or None
            The number of the attempt, which is required when the work is recorded; None if the job
            cannot be claimed because it is in another state or another worker holds it.
        """
        now = self.database.clock()
        free = (jobs.c.state == to) & (jobs.c.lease_until < now)
        if to is JobState.ANALYSING:
            free = free | (jobs.c.state == JobState.QUEUED)
        lost = jobs.c.lost + sa.case((jobs.c.state == JobState.ANALYSING, 1), else_=0)
        with self.database.write() as connection:
            taken = connection.execute(
                jobs.update()
                .where(jobs.c.job_id == job_id, free)
                .values(state=to, attempt=jobs.c.attempt + 1, lost=lost, lease_until=now + lease_s, updated=now)
            )
            if taken.rowcount != 1:
                return None
            return int(connection.execute(sa.select(jobs.c.attempt).where(jobs.c.job_id == job_id)).scalar_one())

    def renew(self, job_id: str, attempt: int, lease_s: float) -> bool:
        """Renew a lease; return False if this attempt no longer holds the job."""
        with self.database.write() as connection:
            kept = connection.execute(
                jobs.update()
                .where(jobs.c.job_id == job_id, jobs.c.attempt == attempt, jobs.c.lease_until > 0)
                .values(lease_until=self.database.clock() + lease_s)
            )
            return kept.rowcount == 1

    def finish(self, job_id: str, attempt: int, state: JobState, reason: str) -> None:
        """End an attempt without results, as not processed or failed.

        Raises
        ------
        LeaseLost
            If another attempt holds the job.
        """
        with self.database.write() as connection:
            self.held_within(connection, job_id, attempt)
            self.move_within(connection, job_id, state, reason=reason, lease_until=0.0)

    def move_within(
        self, connection: sa.Connection, job_id: str, to: JobState, reason: str = "", **values: Any
    ) -> None:
        now = connection.execute(sa.select(jobs.c.state).where(jobs.c.job_id == job_id).with_for_update()).scalar()
        if now is None:
            raise LedgerError(f"there is no job {job_id}")
        require(job_id, JobState(now), to)
        connection.execute(
            jobs.update()
            .where(jobs.c.job_id == job_id)
            .values(state=to, reason=reason, updated=self.database.clock(), **values)
        )

    def held_within(self, connection: sa.Connection, job_id: str, attempt: int) -> Job:
        """Return the job if this attempt still holds it, else raise `LeaseLost`."""
        row = connection.execute(jobs.select().where(jobs.c.job_id == job_id).with_for_update()).one_or_none()
        if row is None:
            raise LedgerError(f"there is no job {job_id}")
        if row.attempt != attempt or row.lease_until == 0:
            raise LeaseLost(f"job {job_id}: attempt {attempt} no longer holds it ({row.state}, attempt {row.attempt})")
        return _job(row)


def _job(row: Any) -> Job:
    values = dict(row._mapping)
    return Job(
        **values | {"state": JobState(values["state"]), "destinations": tuple(json.loads(values["destinations"]))}
    )
