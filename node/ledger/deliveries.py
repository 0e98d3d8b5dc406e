"""Result objects, and the state of each one's delivery to each destination."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import sqlalchemy as sa

from node.domain import Analysed, Delivery, DeliveryState, JobState, ResultObject
from node.errors import IllegalTransition
from node.kinds import ObjectKind
from node.ledger.database import Database
from node.ledger.jobs import Jobs
from node.ledger.schema import deliveries, jobs, objects


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

    def delivered(self, job_id: str, kind: ObjectKind) -> list[ResultObject]:
        """Return a job's objects of one kind that have reached at least one destination."""
        reached = {d.sop_instance_uid for d in self.of(job_id) if d.state is DeliveryState.DELIVERED}
        return [made for made in self.objects(job_id) if made.kind is kind and made.sop_instance_uid in reached]

    def begin(
        self,
        job_id: str,
        attempt: int,
        analysed: Analysed,
        wanted: Mapping[str, Collection[ObjectKind]] = MappingProxyType({}),
    ) -> None:
        """Record the objects of an analysis, and open their deliveries to the job's destinations.

        Objects that an earlier analysis of the job has already delivered are not sent again.

        Parameters
        ----------
        wanted
            The kinds that each destination receives; a destination that is not listed receives all of them.

        Raises
        ------
        LeaseLost
            If another attempt holds the job.
        """
        with self.database.write() as connection:
            job = self._jobs.held_within(connection, job_id, attempt)
            again = [result.sop_instance_uid for result in analysed.objects]
            connection.execute(
                deliveries.delete().where(
                    deliveries.c.job_id == job_id,
                    (deliveries.c.state != DeliveryState.DELIVERED) | deliveries.c.sop_instance_uid.not_in(again),
                )
            )
            connection.execute(objects.delete().where(objects.c.job_id == job_id))
            self._add_objects(connection, job_id, analysed.objects)
            for destination in job.destinations:
                kinds = wanted.get(destination, tuple(ObjectKind))
                self._open(connection, job_id, destination, [made for made in analysed.objects if made.kind in kinds])
            self._jobs.move_within(
                connection,
                job_id,
                JobState.DELIVERING,
                lease_until=0.0,
                forward_seconds=analysed.forward_seconds,
                outcome=analysed.outcome,
                outcome_reason=analysed.reason,
            )

    def record(self, job_id: str, delivery: Delivery) -> None:
        """Record how an attempt to deliver one object ended."""
        with self.database.write() as connection:
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
        """Open the delivery of other objects to a destination that refuses those of one kind.

        Parameters
        ----------
        refused
            The kind that is no longer sent there.
        instead
            The objects that are sent in its place; the ledger may know them already.
        comment
            What was refused, and what is sent instead, in words.
        """
        with self.database.write() as connection:
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
                sa.select(deliveries.c.state, deliveries.c.destination, deliveries.c.comment).where(
                    deliveries.c.job_id == job_id
                )
            ).all()
            states = {row.state for row in rows}
            if DeliveryState.PENDING in states:
                self._jobs.move_within(connection, job_id, JobState.DELIVERING, lease_until=0.0)
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
        """Resume a failed or unprocessed job: send what is undelivered, or if there is nothing, analyse again.

        Raises
        ------
        IllegalTransition
            If the job is in any other state.
        """
        with self.database.write() as connection:
            state = connection.execute(sa.select(jobs.c.state).where(jobs.c.job_id == job_id)).scalar()
            if state not in (JobState.FAILED, JobState.NOT_PROCESSED):
                raise IllegalTransition(f"job {job_id} is {state}: only failed and unprocessed jobs can be retried")
            undelivered = connection.execute(
                deliveries.update()
                .where(
                    deliveries.c.job_id == job_id,
                    deliveries.c.state.in_([DeliveryState.PENDING, DeliveryState.FAILED]),
                )
                .values(state=DeliveryState.PENDING, next_attempt=0.0, attempts=0, opened=self.database.clock())
            ).rowcount
            to = JobState.DELIVERING if undelivered else JobState.COMPLETE
            self._jobs.move_within(connection, job_id, to, lease_until=0.0, dispatched=0.0)
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
                    path=str(result.path),
                )
            )

    def _open(self, connection: sa.Connection, job_id: str, destination: str, results: Sequence[ResultObject]) -> None:
        """Open deliveries, except those that are already open or done."""
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
                    opened=self.database.clock(),
                )
            )


def _objects(connection: sa.Connection, job_id: str) -> list[ResultObject]:
    query = objects.select().where(objects.c.job_id == job_id).order_by(objects.c.sop_instance_uid)
    made = [
        ResultObject(ObjectKind(r.kind), r.sop_class_uid, r.sop_instance_uid, r.series_uid, Path(r.path))
        for r in connection.execute(query)
    ]
    return sorted(made, key=lambda result: result.kind.place)
