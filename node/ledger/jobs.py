"""Jobs: their states, who holds them, and when the node has to look at them again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from node.domain import Cause, DeliveryState, Destination, Job, JobState
from node.errors import LeaseLost, LedgerError
from node.kinds import ObjectKind
from node.ledger.arrivals import add_job, take_current
from node.ledger.database import Database
from node.ledger.schema import deliveries, history, jobs, senders, studies
from node.ledger.states import require

UNFINISHED = (JobState.RECEIVING, JobState.COMPLETE, JobState.QUEUED, JobState.ANALYSING, JobState.DELIVERING)
"""States in which the node or a worker has something to do."""


@dataclass(frozen=True)
class Filter:
    """Which jobs a list shows; what is empty or None does not restrict it.

    Attributes
    ----------
    states
        Of these states only.
    since
        Created at or after this time, in seconds since the epoch.
    text
        Part of a Study Instance UID, patient ID, patient name, accession number or reason.
    patient_id, accession_number, study_uid, job_id
        Exactly this; of a job id the first characters.
    """

    states: tuple[JobState, ...] = ()
    since: float | None = None
    text: str = ""
    patient_id: str = ""
    accession_number: str = ""
    study_uid: str = ""
    job_id: str = ""


class Jobs:
    """Records jobs. Every change of state is checked by `node.ledger.states`, in the transaction that makes it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # -- reading -----------------------------------------------------------------------------------------------

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
        chosen = Filter() if states is None else Filter(states=tuple(states))
        if states is not None and not chosen.states:
            return []
        return self.page(chosen, limit=newest)[::-1]

    def page(self, chosen: Filter = Filter(), *, limit: int | None = 50, offset: int = 0) -> list[Job]:
        """Return a page of jobs, newest first."""
        query = _matching(sa.select(jobs), chosen).order_by(jobs.c.created.desc(), jobs.c.job_id).offset(offset)
        with self.database.read() as connection:
            return [_job(row) for row in connection.execute(query.limit(limit))]

    def count(self, chosen: Filter = Filter(), most: int | None = None) -> int:
        """Return how many jobs there are; if there are more than ``most``, that is not counted further."""
        found = _matching(sa.select(jobs.c.job_id), chosen).limit(None if most is None else most + 1)
        query = sa.select(sa.func.count()).select_from(found.subquery())
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def of_study(self, study_uid: str) -> list[Job]:
        """Return the jobs of a study, oldest first."""
        query = jobs.select().where(jobs.c.study_uid == study_uid).order_by(jobs.c.created, jobs.c.job_id)
        with self.database.read() as connection:
            return [_job(row) for row in connection.execute(query)]

    def history(self, job_id: str) -> list[dict[str, Any]]:
        """Return every change of a job's state, oldest first: when, from, to, why, and who made it."""
        query = history.select().where(history.c.job_id == job_id).order_by(history.c.id)
        with self.database.read() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]

    # -- moving on ---------------------------------------------------------------------------------------------

    def take_due(self, state: JobState, hold_s: float, limit: int = 50) -> list[Job]:
        """Return jobs in a state that are due, and make them due again after ``hold_s`` seconds.

        Two nodes that ask at once get different jobs: the rows are locked while they are taken, and on PostgreSQL
        locked ones are skipped.
        """
        if not self.is_due(state):
            return []  # nothing to take: no transaction that writes
        now = self.database.clock()
        due = (
            sa.select(jobs.c.job_id)
            .where(jobs.c.state == state, jobs.c.due <= now)
            .order_by(jobs.c.due)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("taken")
        )
        take = jobs.update().where(jobs.c.job_id.in_(sa.select(due.c.job_id))).values(due=now + hold_s)
        with self.database.write() as connection:
            taken = [_job(row) for row in connection.execute(take.returning(*jobs.c))]
        return sorted(taken, key=lambda job: job.created)

    def is_due(self, state: JobState) -> bool:
        """Return whether any job in a state is due."""
        query = sa.select(jobs.c.job_id).where(jobs.c.state == state, jobs.c.due <= self.database.clock()).limit(1)
        with self.database.read() as connection:
            return connection.execute(query).first() is not None

    def look_again(self, times: Sequence[tuple[Job, float]]) -> None:
        """Make jobs from `take_due` due at other times, unless something has made them due in the meantime."""
        if not times:
            return
        held = (jobs.c.job_id == sa.bindparam("id")) & (jobs.c.due == sa.bindparam("held"))
        update = jobs.update().where(held).values(due=sa.bindparam("at"))
        rows = [{"id": job.job_id, "held": job.due, "at": at} for job, at in times]
        with self.database.write() as connection:
            connection.execute(update, rows)

    def clock_set_back(self, by_s: float) -> None:
        """Move the times of unfinished jobs back with a wall clock that was set back, or they would wait for it."""
        columns = (jobs.c.created, jobs.c.last_received, jobs.c.due, jobs.c.lease_until, jobs.c.dispatched)
        earlier = {column.name: sa.case((column > by_s, column - by_s), else_=column) for column in columns}
        with self.database.write() as connection:
            connection.execute(jobs.update().where(jobs.c.state.in_(UNFINISHED)).values(**earlier))
            pending = deliveries.c.state == DeliveryState.PENDING
            times = {"next_attempt": deliveries.c.next_attempt - by_s, "opened": deliveries.c.opened - by_s}
            connection.execute(deliveries.update().where(pending).values(**times))
            leases = (senders.c.lease_until, senders.c.failing_since, senders.c.retry_at)
            sooner = {column.name: sa.case((column > by_s, column - by_s), else_=column) for column in leases}
            connection.execute(senders.update().values(**sooner))

    def add(self, study_uid: str, cause: Cause, weights: str = "") -> str:
        """Add a job over all images of a study, complete, and return its id.

        Raises
        ------
        LedgerError
            If the node holds no image of this study.
        """
        with self.database.write() as connection:
            first = connection.execute(sa.select(jobs.c.job_id).where(jobs.c.study_uid == study_uid).limit(1)).first()
            if first is None:
                raise LedgerError(f"there is no study {study_uid}")
            now = self.database.clock()
            job_id = add_job(connection, study_uid, JobState.COMPLETE, cause, now, weights=weights)
            take_current(connection, job_id, study_uid)
            self._note(connection, job_id, "", JobState.COMPLETE, cause)
        return job_id

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
        """Queue a complete job, and record what each destination will receive."""
        plan = json.dumps({d.name: list(d.objects) for d in destinations})
        self.move(job_id, JobState.QUEUED, plan=plan, lost=0, lease_until=0.0, dispatched=0.0, due=0.0)

    def mark_dispatched(self, *job_ids: str, look_again_s: float = 0.0) -> None:
        """Record that messages for these jobs have just been put on the queue; they are due again after a time."""
        now = self.database.clock()
        with self.database.write() as connection:
            connection.execute(
                jobs.update().where(jobs.c.job_id.in_(job_ids)).values(dispatched=now, due=now + look_again_s)
            )

    def claim(self, job_id: str, to: JobState, lease_s: float) -> int | None:
        """Claim a job to work on it.

        Returns
        -------
        int or None
            The number of the attempt, which is required when the work is recorded; None if the job
            cannot be claimed because it is in another state or another worker holds it.
        """
        now = self.database.clock()
        with self.database.write() as connection:
            row = connection.execute(jobs.select().where(jobs.c.job_id == job_id).with_for_update()).one_or_none()
            if row is None or not _is_free(row, to, now):
                return None
            lost = row.lost + (row.state == JobState.ANALYSING)
            attempt = int(row.attempt) + 1
            until = now + lease_s
            self.move_within(connection, job_id, to, attempt=attempt, lost=lost, lease_until=until, due=until)
            return attempt

    def renew(self, job_id: str, attempt: int, lease_s: float) -> bool:
        """Renew a lease; return False if this attempt no longer holds the job."""
        until = self.database.clock() + lease_s
        with self.database.write() as connection:
            kept = connection.execute(
                jobs.update()
                .where(jobs.c.job_id == job_id, jobs.c.attempt == attempt, jobs.c.lease_until > 0)
                .values(lease_until=until, due=until)
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

    # -- within a transaction ----------------------------------------------------------------------------------

    def move_within(
        self, connection: sa.Connection, job_id: str, to: JobState, reason: str = "", **values: Any
    ) -> None:
        """Move a job within a transaction, and note it in the history: the one place where states change."""
        now = self.get_within(connection, job_id).state
        require(job_id, now, to)
        connection.execute(
            jobs.update()
            .where(jobs.c.job_id == job_id)
            .values(**{"state": to, "reason": reason, "updated": self.database.clock()} | values)
        )
        self._note(connection, job_id, now, to, reason)

    def get_within(self, connection: sa.Connection, job_id: str) -> Job:
        """Return a job within a transaction, and lock it."""
        row = connection.execute(jobs.select().where(jobs.c.job_id == job_id).with_for_update()).one_or_none()
        if row is None:
            raise LedgerError(f"there is no job {job_id}")
        return _job(row)

    def held_within(self, connection: sa.Connection, job_id: str, attempt: int) -> Job:
        """Return the job if this attempt still holds it, else raise `LeaseLost`."""
        job = self.get_within(connection, job_id)
        if job.attempt != attempt or job.lease_until == 0:
            raise LeaseLost(f"job {job_id}: attempt {attempt} no longer holds it ({job.state}, attempt {job.attempt})")
        return job

    def _note(self, connection: sa.Connection, job_id: str, before: str, after: str, reason: str) -> None:
        row = {"job_id": job_id, "at": self.database.clock(), "before": before, "after": after, "reason": reason}
        connection.execute(history.insert().values(**row, actor=self.database.actor))


def _is_free(row: Any, to: JobState, now: float) -> bool:
    if to is JobState.ANALYSING and row.state == JobState.QUEUED:
        return True
    return bool(row.state == to and row.lease_until < now)


def _matching(query: sa.Select[Any], chosen: Filter) -> sa.Select[Any]:
    if chosen.states:
        query = query.where(jobs.c.state.in_(list(chosen.states)))
    if chosen.since is not None:
        query = query.where(jobs.c.created >= chosen.since)
    if chosen.study_uid:
        query = query.where(jobs.c.study_uid == chosen.study_uid)
    if chosen.job_id:
        query = query.where(jobs.c.job_id.startswith(chosen.job_id, autoescape=True))
    if chosen.patient_id or chosen.accession_number or chosen.text:
        query = query.outerjoin(studies, studies.c.study_uid == jobs.c.study_uid)
    if chosen.patient_id:
        query = query.where(studies.c.patient_id == chosen.patient_id)
    if chosen.accession_number:
        query = query.where(studies.c.accession_number == chosen.accession_number)
    if chosen.text:
        searched = (
            jobs.c.study_uid, jobs.c.reason, studies.c.patient_id, studies.c.patient_name, studies.c.accession_number
        )  # fmt: skip
        query = query.where(sa.or_(*(column.icontains(chosen.text, autoescape=True) for column in searched)))
    return query


def _job(row: Any) -> Job:
    values = dict(row._mapping)
    plan = {name: tuple(map(ObjectKind, kinds)) for name, kinds in json.loads(values["plan"]).items()}
    return Job(**values | {"state": JobState(values["state"]), "cause": Cause(values["cause"]), "plan": plan})
