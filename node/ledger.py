"""The ledger: what was received, what became of it, what was sent where. It is the truth; the queue is a pipe.

SQLite in WAL mode, synced at every commit, or PostgreSQL by URL. Every change of a job's state
goes through `TRANSITIONS`, in the transaction that makes it.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy.exc import ArgumentError, IntegrityError

from node.domain import Delivery, DeliveryState, Destination, Instance, Job, JobState, ObjectKind, ResultObject
from node.errors import IllegalTransition, LeaseLost, LedgerError
from node.schema import deliveries, instances, jobs, objects, rejections

S = JobState
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    S.RECEIVING: frozenset({S.COMPLETE}),
    S.COMPLETE: frozenset({S.QUEUED, S.NOT_PROCESSED}),
    S.QUEUED: frozenset({S.ANALYSING}),
    S.ANALYSING: frozenset({S.ANALYSING, S.QUEUED, S.DELIVERING, S.NOT_PROCESSED, S.FAILED}),
    S.DELIVERING: frozenset({S.DELIVERING, S.DELIVERED, S.NOT_PROCESSED, S.FAILED}),
    S.DELIVERED: frozenset({S.COMMITTED}),
    S.COMMITTED: frozenset(),
    S.NOT_PROCESSED: frozenset({S.COMPLETE}),
    S.FAILED: frozenset({S.COMPLETE, S.DELIVERING}),
}
"""Where a job may go from where it is. From failed and not processed it goes on only when a human says retry."""


class Registration(Enum):
    """What `Ledger.register` made of an instance."""

    NEW = "new"
    SAME = "same"
    CONFLICT = "conflict"


class Ledger:
    """All reads and writes of the ledger.

    Parameters
    ----------
    url
        SQLAlchemy URL.
    clock
        Seconds since the epoch; tests bring their own.

    Raises
    ------
    LedgerError
        If the URL cannot be understood, or its driver is not installed.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        self.url = url
        self.clock = clock
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        try:
            self.engine = sa.create_engine(url, pool_pre_ping=True)
        except (ArgumentError, ImportError) as error:
            raise LedgerError(f"ledger.url cannot be used: {error}") from error
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", _configure_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)

    def upgrade(self) -> None:
        """Bring the schema to this version's; creates it in an empty database."""
        config = AlembicConfig()
        config.set_main_option("script_location", "node:migrations")
        with self._write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()

    # -- receiving ---------------------------------------------------------------------------------------------

    def register(self, instance: Instance) -> Registration:
        """Enter a received instance into its study's open job, or into a new one.

        Returns
        -------
        Registration
            ``SAME`` if these very bytes are known, ``CONFLICT`` if this UID is known with others;
            neither changes the ledger.
        """
        for _ in range(3):
            try:
                with self._write() as connection:
                    return self._register(connection, instance)
            except IntegrityError:
                continue  # another association was faster: look again
        raise LedgerError(f"instance {instance.sop_instance_uid} cannot be registered")

    def _register(self, connection: sa.Connection, instance: Instance) -> Registration:
        known = connection.execute(
            sa.select(instances.c.sha256).where(instances.c.sop_instance_uid == instance.sop_instance_uid)
        ).scalar()
        if known is not None:
            return Registration.SAME if known == instance.sha256 else Registration.CONFLICT
        job_id = connection.execute(
            sa.select(jobs.c.job_id)
            .where(jobs.c.study_uid == instance.study_uid, jobs.c.state == S.RECEIVING)
            .with_for_update()  # PostgreSQL: it must not be closed while it takes this one in
        ).scalar()
        now = self.clock()
        if job_id is None:
            job_id = uuid.uuid4().hex
            connection.execute(
                jobs.insert().values(
                    job_id=job_id,
                    study_uid=instance.study_uid,
                    state=S.RECEIVING,
                    created=now,
                    updated=now,
                    last_received=now,
                )
            )
        else:
            connection.execute(jobs.update().where(jobs.c.job_id == job_id).values(last_received=now, updated=now))
        row = {column.name: getattr(instance, column.name) for column in instances.c if column.name != "job_id"}
        connection.execute(instances.insert().values(**row | {"path": str(instance.path), "job_id": job_id}))
        return Registration.NEW

    def reject(self, sop_instance_uid: str, calling_ae: str, status: int, reason: str, path: Path | None) -> None:
        """Note an instance that was refused, and where a copy lies."""
        with self._write() as connection:
            connection.execute(
                rejections.insert().values(
                    received=self.clock(),
                    calling_ae=calling_ae,
                    sop_instance_uid=sop_instance_uid,
                    status=status,
                    reason=reason,
                    path=str(path or ""),
                )
            )

    # -- reading -----------------------------------------------------------------------------------------------

    def job(self, job_id: str) -> Job:
        """One job.

        Raises
        ------
        LedgerError
            If there is none of this id.
        """
        with self.engine.connect() as connection:
            row = connection.execute(jobs.select().where(jobs.c.job_id == job_id)).one_or_none()
        if row is None:
            raise LedgerError(f"there is no job {job_id}")
        return _job(row)

    def jobs(self, states: Iterable[JobState] | None = None, newest: int | None = None) -> list[Job]:
        """Jobs by age, oldest first; of these states, or the newest so many."""
        query = jobs.select().order_by(jobs.c.created.desc(), jobs.c.job_id)
        if states is not None:
            query = query.where(jobs.c.state.in_(list(states)))
        if newest is not None:
            query = query.limit(newest)
        with self.engine.connect() as connection:
            return [_job(row) for row in connection.execute(query)][::-1]

    def instances(self, job_id: str) -> list[Instance]:
        """A job's instances, by their UID."""
        query = instances.select().where(instances.c.job_id == job_id).order_by(instances.c.sop_instance_uid)
        with self.engine.connect() as connection:
            rows = [dict(row._mapping) for row in connection.execute(query)]
        return [
            Instance(**{k: v for k, v in row.items() if k != "job_id"} | {"path": Path(row["path"])}) for row in rows
        ]

    def objects(self, job_id: str) -> list[ResultObject]:
        """A job's result objects, in the order of sending."""
        with self.engine.connect() as connection:
            return _objects(connection, job_id)

    def deliveries(self, job_id: str) -> list[Delivery]:
        """A job's deliveries, by destination."""
        query = deliveries.select().where(deliveries.c.job_id == job_id).order_by(deliveries.c.destination)
        with self.engine.connect() as connection:
            return [
                Delivery(
                    r.destination,
                    r.sop_instance_uid,
                    DeliveryState(r.state),
                    r.status,
                    r.attempts,
                    r.next_attempt,
                    r.comment,
                    r.opened,
                )
                for r in connection.execute(query)
            ]

    def rejected(self) -> list[dict[str, Any]]:
        """Instances that were refused, oldest first."""
        with self.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(rejections.select().order_by(rejections.c.id))]

    def delivered(self, job_id: str, kind: ObjectKind) -> list[ResultObject]:
        """A job's objects of a kind that reached at least one destination."""
        reached = {d.sop_instance_uid for d in self.deliveries(job_id) if d.state is DeliveryState.DELIVERED}
        return [made for made in self.objects(job_id) if made.kind is kind and made.sop_instance_uid in reached]

    # -- moving on ---------------------------------------------------------------------------------------------

    def move(self, job_id: str, to: JobState, *, reason: str = "", **values: Any) -> None:
        """Move a job to another state.

        Raises
        ------
        IllegalTransition
            If `TRANSITIONS` does not let it go there.
        """
        with self._write() as connection:
            self._move(connection, job_id, to, reason=reason, **values)

    def route(self, job_id: str, destinations: Sequence[Destination]) -> None:
        """Queue a complete job and remember where its results will go."""
        names = json.dumps([d.name for d in destinations])
        self.move(job_id, S.QUEUED, destinations=names, lost=0, lease_until=0.0)

    def mark_dispatched(self, job_id: str) -> None:
        """Note that a message for this job was put on the queue just now."""
        with self._write() as connection:
            connection.execute(jobs.update().where(jobs.c.job_id == job_id).values(dispatched=self.clock()))

    def claim(self, job_id: str, to: JobState, lease_s: float) -> int | None:
        """Take a job to work on it.

        Returns
        -------
        int or None
            The attempt's number, to be shown when the work is recorded; None if the job is not
            there to be taken: it is elsewhere, or somebody holds it.
        """
        now = self.clock()
        free = (jobs.c.state == to) & (jobs.c.lease_until < now)
        if to is S.ANALYSING:
            free = free | (jobs.c.state == S.QUEUED)
        lost = jobs.c.lost + sa.case((jobs.c.state == S.ANALYSING, 1), else_=0)
        with self._write() as connection:
            taken = connection.execute(
                jobs.update()
                .where(jobs.c.job_id == job_id, free)
                .values(state=to, attempt=jobs.c.attempt + 1, lost=lost, lease_until=now + lease_s, updated=now)
            )
            if taken.rowcount != 1:
                return None
            return int(connection.execute(sa.select(jobs.c.attempt).where(jobs.c.job_id == job_id)).scalar_one())

    def renew(self, job_id: str, attempt: int, lease_s: float) -> bool:
        """Show a sign of life; False if the job is no longer this attempt's."""
        with self._write() as connection:
            kept = connection.execute(
                jobs.update()
                .where(jobs.c.job_id == job_id, jobs.c.attempt == attempt, jobs.c.lease_until > 0)
                .values(lease_until=self.clock() + lease_s)
            )
            return kept.rowcount == 1

    def finish_analysis(
        self,
        job_id: str,
        attempt: int,
        results: Sequence[ResultObject],
        forward_seconds: float,
        *,
        wanted: Mapping[str, Collection[ObjectKind]] = MappingProxyType({}),
        outcome: str = "",
        reason: str = "",
    ) -> None:
        """Record result objects and open their deliveries to the job's destinations.

        What an earlier analysis of the job already brought there is not sent again.

        Parameters
        ----------
        wanted
            The kinds that each destination gets; one that is not named gets all.
        outcome, reason
            How the analysis ended; where it was not processed or failed the job ends so, too, once it is delivered.

        Raises
        ------
        LeaseLost
            If another attempt holds the job.
        """
        with self._write() as connection:
            job = self._held(connection, job_id, attempt)
            again = [result.sop_instance_uid for result in results]
            connection.execute(
                deliveries.delete().where(
                    deliveries.c.job_id == job_id,
                    (deliveries.c.state != DeliveryState.DELIVERED) | deliveries.c.sop_instance_uid.not_in(again),
                )
            )
            connection.execute(objects.delete().where(objects.c.job_id == job_id))
            self._add_objects(connection, job_id, results)
            for destination in job.destinations:
                kinds = wanted.get(destination, tuple(ObjectKind))
                self._open(connection, job_id, destination, [made for made in results if made.kind in kinds])
            self._move(
                connection,
                job_id,
                S.DELIVERING,
                lease_until=0.0,
                forward_seconds=forward_seconds,
                outcome=outcome,
                outcome_reason=reason,
            )

    def finish(self, job_id: str, attempt: int, state: JobState, reason: str) -> None:
        """End an attempt without results: not processed or failed.

        Raises
        ------
        LeaseLost
            If another attempt holds the job.
        """
        with self._write() as connection:
            self._held(connection, job_id, attempt)
            self._move(connection, job_id, state, reason=reason, lease_until=0.0)

    def record_delivery(self, job_id: str, delivery: Delivery) -> None:
        """Write down how an attempt to deliver one object ended."""
        with self._write() as connection:
            connection.execute(
                deliveries.update()
                .where(
                    deliveries.c.job_id == job_id,
                    deliveries.c.destination == delivery.destination,
                    deliveries.c.sop_instance_uid == delivery.sop_instance_uid,
                    deliveries.c.state != DeliveryState.DELIVERED,
                )
                .values(
                    state=delivery.state,
                    status=delivery.status,
                    attempts=delivery.attempts,
                    next_attempt=delivery.next_attempt,
                    comment=delivery.comment,
                )
            )

    def replace(
        self, job_id: str, destination: str, refused: ObjectKind, instead: Sequence[ResultObject], comment: str
    ) -> None:
        """Open the delivery of other objects to a destination that does not take those of a kind.

        Parameters
        ----------
        refused
            The kind whose objects are not sent there any more.
        instead
            What is sent in their place; the ledger may know it already.
        comment
            What was refused, and what is sent instead, in words.
        """
        with self._write() as connection:
            known = {made.sop_instance_uid: made for made in _objects(connection, job_id)}
            self._add_objects(connection, job_id, [made for made in instead if made.sop_instance_uid not in known])
            self._open(connection, job_id, destination, instead)
            connection.execute(
                deliveries.update()
                .where(
                    deliveries.c.job_id == job_id,
                    deliveries.c.destination == destination,
                    deliveries.c.sop_instance_uid.in_([uid for uid, made in known.items() if made.kind == refused]),
                    deliveries.c.state != DeliveryState.DELIVERED,
                )
                .values(state=DeliveryState.REPLACED, comment=comment)
            )

    def settle(self, job_id: str, attempt: int) -> JobState:
        """Let go of a job after an attempt to deliver, and say where it stands.

        When every object reached every destination it is delivered, or, if its report told of an analysis that was
        not processed or failed, that; failed when nothing is pending and something was refused for good; else still
        delivering.
        """
        with self._write() as connection:
            job = self._held(connection, job_id, attempt)
            rows = connection.execute(
                sa.select(deliveries.c.state, deliveries.c.destination, deliveries.c.comment).where(
                    deliveries.c.job_id == job_id
                )
            ).all()
            states = {row.state for row in rows}
            if DeliveryState.PENDING in states:
                self._move(connection, job_id, S.DELIVERING, lease_until=0.0)
                return S.DELIVERING
            if DeliveryState.FAILED in states:
                told = [f"{r.destination}: {r.comment}" for r in rows if r.state == DeliveryState.FAILED]
                reasons = dict.fromkeys([*filter(None, [job.outcome_reason]), *told])
                self._move(connection, job_id, S.FAILED, reason="; ".join(reasons), lease_until=0.0)
                return S.FAILED
            end = JobState(job.outcome) if job.outcome in (S.NOT_PROCESSED, S.FAILED) else S.DELIVERED
            self._move(connection, job_id, end, reason=job.outcome_reason, lease_until=0.0)
            return end

    def retry(self, job_id: str) -> JobState:
        """Let a failed or unprocessed job go on: what was made is sent again, else it is analysed again.

        Raises
        ------
        IllegalTransition
            If the job has not ended so.
        """
        with self._write() as connection:
            state = connection.execute(sa.select(jobs.c.state).where(jobs.c.job_id == job_id)).scalar()
            if state not in (S.FAILED, S.NOT_PROCESSED):
                raise IllegalTransition(f"job {job_id} is {state}: only failed and unprocessed jobs can be retried")
            undelivered = connection.execute(
                deliveries.update()
                .where(
                    deliveries.c.job_id == job_id,
                    deliveries.c.state.in_([DeliveryState.PENDING, DeliveryState.FAILED]),
                )
                .values(state=DeliveryState.PENDING, next_attempt=0.0, attempts=0, opened=self.clock())
            ).rowcount
            to = S.DELIVERING if undelivered else S.COMPLETE
            self._move(connection, job_id, to, lease_until=0.0, dispatched=0.0)
            return to

    # -- inside ------------------------------------------------------------------------------------------------

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with self.engine.connect().execution_options(ftmtl_write=True) as connection, connection.begin():
            yield connection

    def _move(self, connection: sa.Connection, job_id: str, to: JobState, reason: str = "", **values: Any) -> None:
        now = connection.execute(sa.select(jobs.c.state).where(jobs.c.job_id == job_id).with_for_update()).scalar()
        if now is None:
            raise LedgerError(f"there is no job {job_id}")
        if to not in TRANSITIONS[JobState(now)]:
            raise IllegalTransition(f"job {job_id} is {now} and cannot become {to}")
        connection.execute(
            jobs.update().where(jobs.c.job_id == job_id).values(state=to, reason=reason, updated=self.clock(), **values)
        )

    def _add_objects(self, connection: sa.Connection, job_id: str, results: Sequence[ResultObject]) -> None:
        for result in results:
            connection.execute(
                objects.insert().values(
                    job_id=job_id,
                    sop_instance_uid=result.sop_instance_uid,
                    kind=result.kind,
                    sop_class_uid=result.sop_class_uid,
                    series_uid=result.series_uid,
                    path=str(result.path),
                )
            )

    def _open(self, connection: sa.Connection, job_id: str, destination: str, results: Sequence[ResultObject]) -> None:
        """Open deliveries, but for those that are already open or done."""
        query = sa.select(deliveries.c.sop_instance_uid).where(
            deliveries.c.job_id == job_id, deliveries.c.destination == destination
        )
        known = set(connection.execute(query).scalars())
        for result in (made for made in results if made.sop_instance_uid not in known):
            connection.execute(
                deliveries.insert().values(
                    job_id=job_id,
                    destination=destination,
                    sop_instance_uid=result.sop_instance_uid,
                    state=DeliveryState.PENDING,
                    opened=self.clock(),
                )
            )

    def _held(self, connection: sa.Connection, job_id: str, attempt: int) -> Job:
        """The job, if this attempt still holds it."""
        row = connection.execute(jobs.select().where(jobs.c.job_id == job_id).with_for_update()).one_or_none()
        if row is None:
            raise LedgerError(f"there is no job {job_id}")
        if row.attempt != attempt or row.lease_until == 0:
            raise LeaseLost(f"job {job_id}: attempt {attempt} no longer holds it ({row.state}, attempt {row.attempt})")
        return _job(row)


def _objects(connection: sa.Connection, job_id: str) -> list[ResultObject]:
    query = objects.select().where(objects.c.job_id == job_id).order_by(objects.c.sop_instance_uid)
    made = [
        ResultObject(ObjectKind(r.kind), r.sop_class_uid, r.sop_instance_uid, r.series_uid, Path(r.path))
        for r in connection.execute(query)
    ]
    return sorted(made, key=lambda result: result.kind.place)


def _job(row: Any) -> Job:
    values = dict(row._mapping)
    return Job(
        **values | {"state": JobState(values["state"]), "destinations": tuple(json.loads(values["destinations"]))}
    )


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """A writer takes its lock at once: one that reads first and writes later can deadlock with another."""
    immediate = connection.get_execution_options().get("ftmtl_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
