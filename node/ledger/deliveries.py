"""Result objects, and the state of each one's delivery to each destination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from node.domain import Analysed, Delivery, DeliveryState, Job, JobState, ResultObject
from node.errors import IllegalTransition
from node.kinds import ObjectKind
from node.ledger.database import Database
from node.ledger.jobs import Jobs
from node.ledger.schema import deliveries, jobs, objects

RELEASED = "released by a person"
"""The reason of a job that was held and may go on."""


@dataclass(frozen=True)
class Replacement:
    """What a destination receives in place of objects that it refuses.

    Attributes
    ----------
    refused
        The kind that is no longer sent there.
    instead
        The objects that are sent in its place; the ledger may know them already.
    comment
        What was refused, and what is sent instead, in words.
    """

    destination: str
    refused: ObjectKind
    instead: Sequence[ResultObject]
    comment: str


class Deliveries:
    """Records a job's result objects, and what its destinations have yet to receive."""

    def __init__(self, database: Database, jobs: Jobs) -> None:
        self.database = database
        self._jobs = jobs

    def objects(self, job_id: str) -> list[ResultObject]:
        """Return a job's result objects, in sending order."""
        with self.database.read() as connection:
            return _objects(connection, job_id)

    def of(self, job_id: str) -> list[Delivery]:
        """Return a job's deliveries, ordered by destination."""
        query = deliveries.select().where(deliveries.c.job_id == job_id).order_by(deliveries.c.destination)
        with self.database.read() as connection:
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

    def states(self, job_ids: Sequence[str]) -> dict[str, dict[str, set[DeliveryState]]]:
        """Return the states of several jobs' deliveries, by job id and destination; one query for all."""
        columns = deliveries.c.job_id, deliveries.c.destination, deliveries.c.state
        query = sa.select(*columns).where(deliveries.c.job_id.in_(list(job_ids))).distinct()
        found: dict[str, dict[str, set[DeliveryState]]] = {job_id: {} for job_id in job_ids}
        with self.database.read() as connection:
            for job_id, destination, state in connection.execute(query):
                found[job_id].setdefault(destination, set()).add(DeliveryState(state))
        return found

    def delivered(self, study_uid: str, kind: ObjectKind, model: str) -> list[ResultObject]:
        """Return the objects of one kind that a model made of a study and that reached a destination, oldest first."""
        reached = (
            sa.select(deliveries.c.sop_instance_uid)
            .where(deliveries.c.job_id == objects.c.job_id, deliveries.c.sop_instance_uid == objects.c.sop_instance_uid)
            .where(deliveries.c.state == DeliveryState.DELIVERED)
        )
        query = (
            objects.select()
            .join(jobs, jobs.c.job_id == objects.c.job_id)
            .where(jobs.c.study_uid == study_uid, jobs.c.model == model, objects.c.kind == kind, reached.exists())
            .order_by(jobs.c.created, objects.c.sop_instance_uid)
        )
        with self.database.read() as connection:
            return [_object(row) for row in connection.execute(query)]

    def begin(self, job_id: str, attempt: int, analysed: Analysed) -> None:
        """Record the objects of an analysis, and open their deliveries as the job's plan says.

        Objects that any job of the study has already delivered to a destination are not sent there again.

        Raises
        ------
        LeaseLost
            If another attempt holds the job.
        """
        with self.database.write() as connection:
            job = self._jobs.held_within(connection, job_id, attempt)
            there = self._there(connection, job, [result.sop_instance_uid for result in analysed.objects])
            connection.execute(deliveries.delete().where(deliveries.c.job_id == job_id))
            connection.execute(objects.delete().where(objects.c.job_id == job_id))
            self._add_objects(connection, job_id, analysed.objects)
            for destination, kinds in job.plan.items():
                due = [made for made in analysed.objects if not kinds or made.kind in kinds]
                self._open(connection, job_id, destination, due, there)
            self._jobs.move_within(
                connection,
                job_id,
                JobState.DELIVERING,
                lease_until=0.0,
                due=0.0,
                forward_seconds=analysed.forward_seconds,
                outcome=analysed.outcome,
                outcome_reason=analysed.reason,
                remarks=analysed.remarks,
                model=analysed.model,
            )

    def record(self, job_id: str, attempt: int, delivery: Delivery) -> None:
        """Record how an attempt to deliver one object ended.

        Raises
        ------
        LeaseLost
            If another attempt holds the job.
        """
        with self.database.write() as connection:
            self._jobs.held_within(connection, job_id, attempt)
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

    def replace(self, job_id: str, attempt: int, replacement: Replacement) -> None:
        """Open the delivery of other objects to a destination that refuses those of one kind.

        Raises
        ------
        LeaseLost
            If another attempt holds the job.
        """
        destination, instead = replacement.destination, replacement.instead
        with self.database.write() as connection:
            job = self._jobs.held_within(connection, job_id, attempt)
            there = self._there(connection, job, [made.sop_instance_uid for made in instead])
            known = {made.sop_instance_uid: made for made in _objects(connection, job_id)}
            refused = [uid for uid, made in known.items() if made.kind == replacement.refused]
            self._add_objects(connection, job_id, [made for made in instead if made.sop_instance_uid not in known])
            self._open(connection, job_id, destination, instead, there)
            connection.execute(
                deliveries.update()
                .where(
                    deliveries.c.job_id == job_id,
                    deliveries.c.destination == destination,
                    deliveries.c.sop_instance_uid.in_(refused),
                    deliveries.c.state != DeliveryState.DELIVERED,
                )
                .values(state=DeliveryState.REPLACED, comment=replacement.comment)
            )

    def settle(self, job_id: str, attempt: int) -> JobState:
        """Release a job after an attempt to deliver, and return its new state.

        While a delivery is pending, the job stays ``delivering``. If one has failed for good, the job is ``failed``.
        Otherwise every object has reached every destination, and the job is ``delivered``; if its analysis was not
        processed or failed, it ends in that state instead.

        Raises
        ------
        LeaseLost
            If another attempt holds the job.
        """
        with self.database.write() as connection:
            job = self._jobs.held_within(connection, job_id, attempt)
            rows = connection.execute(
                sa.select(
                    deliveries.c.state, deliveries.c.destination, deliveries.c.comment, deliveries.c.next_attempt
                ).where(deliveries.c.job_id == job_id)
            ).all()
            states = {row.state for row in rows}
            if DeliveryState.PENDING in states:
                due = min(row.next_attempt for row in rows if row.state == DeliveryState.PENDING)
                self._jobs.move_within(connection, job_id, JobState.DELIVERING, lease_until=0.0, due=due)
                return JobState.DELIVERING
            if DeliveryState.FAILED in states:
                told = [f"{r.destination}: {r.comment}" for r in rows if r.state == DeliveryState.FAILED]
                reasons = dict.fromkeys([*filter(None, [job.outcome_reason]), *told])
                self._jobs.move_within(connection, job_id, JobState.FAILED, reason="; ".join(reasons), lease_until=0.0)
                return JobState.FAILED
            end = (
                JobState(job.outcome)
                if job.outcome in (JobState.NOT_PROCESSED, JobState.FAILED)
                else JobState.DELIVERED
            )
            self._jobs.move_within(connection, job_id, end, reason=job.outcome_reason, lease_until=0.0)
            return end

    def retry(self, job_id: str) -> JobState:
        """Resume a failed, unprocessed or held job: send what is undelivered, or if there is nothing, analyse it.

        Raises
        ------
        IllegalTransition
            If the job is in any other state.
        """
        with self.database.write() as connection:
            state = connection.execute(sa.select(jobs.c.state).where(jobs.c.job_id == job_id)).scalar()
            if state not in (JobState.FAILED, JobState.NOT_PROCESSED, JobState.HELD):
                raise IllegalTransition(f"job {job_id} is {state}: only failed, unprocessed and held jobs can go on")
            undelivered = connection.execute(
                deliveries.update()
                .where(
                    deliveries.c.job_id == job_id,
                    deliveries.c.state.in_([DeliveryState.PENDING, DeliveryState.FAILED]),
                )
                .values(state=DeliveryState.PENDING, next_attempt=0.0, attempts=0, opened=self.database.clock())
            ).rowcount
            to = JobState.DELIVERING if undelivered else JobState.COMPLETE
            released = state == JobState.HELD
            self._jobs.move_within(
                connection, job_id, to, lease_until=0.0, dispatched=0.0, due=0.0, reason=RELEASED if released else ""
            )
            return to

    def _add_objects(self, connection: sa.Connection, job_id: str, results: Sequence[ResultObject]) -> None:
        for result in results:
            connection.execute(
                objects.insert().values(
                    job_id=job_id,
                    sop_instance_uid=result.sop_instance_uid,
                    kind=result.kind,
                    sop_class_uid=result.sop_class_uid,
                    series_uid=result.series_uid,
                    key=str(result.path),
                )
            )

    def _there(self, connection: sa.Connection, job: Job, uids: Sequence[str]) -> dict[tuple[str, str], int | None]:
        """Return which of some objects the study's jobs have delivered: destination and UID, and the status."""
        query = (
            sa.select(deliveries.c.destination, deliveries.c.sop_instance_uid, deliveries.c.status)
            .join(jobs, jobs.c.job_id == deliveries.c.job_id)
            .where(jobs.c.study_uid == job.study_uid, deliveries.c.state == DeliveryState.DELIVERED)
            .where(deliveries.c.sop_instance_uid.in_(list(uids)))
        )
        return {(row.destination, row.sop_instance_uid): row.status for row in connection.execute(query)}

    def _open(
        self,
        connection: sa.Connection,
        job_id: str,
        destination: str,
        results: Sequence[ResultObject],
        there: Mapping[tuple[str, str], int | None],
    ) -> None:
        """Open deliveries, except those that are already open; what is there already counts as delivered."""
        query = sa.select(deliveries.c.sop_instance_uid).where(
            deliveries.c.job_id == job_id, deliveries.c.destination == destination
        )
        known = set(connection.execute(query).scalars())
        now = self.database.clock()
        for uid in (made.sop_instance_uid for made in results if made.sop_instance_uid not in known):
            done = (destination, uid) in there
            connection.execute(
                deliveries.insert().values(
                    job_id=job_id,
                    destination=destination,
                    sop_instance_uid=uid,
                    state=DeliveryState.DELIVERED if done else DeliveryState.PENDING,
                    status=there.get((destination, uid)),
                    opened=now,
                )
            )


def _objects(connection: sa.Connection, job_id: str) -> list[ResultObject]:
    query = objects.select().where(objects.c.job_id == job_id).order_by(objects.c.sop_instance_uid)
    return sorted(map(_object, connection.execute(query)), key=lambda result: result.kind.place)


def _object(row: Any) -> ResultObject:
    return ResultObject(ObjectKind(row.kind), row.sop_class_uid, row.sop_instance_uid, row.series_uid, Path(row.key))
