"""Result objects, and the state of each one's delivery to each destination."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from node.domain import Analysed, Delivery, DeliveryState, JobState, ResultObject
from node.kinds import ObjectKind
from node.ledger.database import Database
from node.ledger.jobs import Jobs
from node.ledger.openings import (
    Opening,
    add_objects,
    delivered_within,
    objects_within,
    open_deliveries,
    result_object,
)
from node.ledger.retries import PLAIN, Retry, retry_within
from node.ledger.schema import deliveries, jobs, objects
from node.ledger.senders import held_within

_GIVEN_UP_AT_ONCE = 100
"""How many jobs are given up in one go; those that are left come with the next."""


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
            return objects_within(connection, job_id)

    def of(self, job_id: str) -> list[Delivery]:
        """Return a job's deliveries, ordered by destination."""
        query = deliveries.select().where(deliveries.c.job_id == job_id).order_by(deliveries.c.destination)
        with self.database.read() as connection:
            return [_delivery(row) for row in connection.execute(query)]

    def due(self, job_id: str, destination: str) -> dict[str, Delivery]:
        """Return what a destination is to receive of a job now, by SOP Instance UID."""
        query = deliveries.select().where(
            deliveries.c.job_id == job_id,
            deliveries.c.destination == destination,
            deliveries.c.state == DeliveryState.PENDING,
            deliveries.c.next_attempt <= self.database.clock(),
        )
        with self.database.read() as connection:
            return {row.sop_instance_uid: _delivery(row) for row in connection.execute(query)}

    def waiting(self, job_id: str) -> list[str]:
        """Return the destinations that have yet to receive something of a job."""
        query = sa.select(deliveries.c.destination).where(
            deliveries.c.job_id == job_id, deliveries.c.state == DeliveryState.PENDING
        )
        with self.database.read() as connection:
            return sorted(connection.execute(query.distinct()).scalars())

    def states(self, job_ids: Sequence[str]) -> dict[str, dict[str, set[DeliveryState]]]:
        """Return the states of several jobs' deliveries, by job id and destination; one query for all."""
        columns = deliveries.c.job_id, deliveries.c.destination, deliveries.c.state
        query = sa.select(*columns).where(deliveries.c.job_id.in_(list(job_ids))).distinct()
        found: dict[str, dict[str, set[DeliveryState]]] = {job_id: {} for job_id in job_ids}
        with self.database.read() as connection:
            for job_id, destination, state in connection.execute(query):
                found[job_id].setdefault(destination, set()).add(DeliveryState(state))
        return found

    def delivered(self, study_uid: str, kinds: Sequence[ObjectKind], model: str) -> list[ResultObject]:
        """Return a model's objects of some kinds, of a study, that have reached a destination; the oldest first."""
        reached = (
            sa.select(deliveries.c.sop_instance_uid)
            .where(deliveries.c.job_id == objects.c.job_id, deliveries.c.sop_instance_uid == objects.c.sop_instance_uid)
            .where(deliveries.c.state == DeliveryState.DELIVERED)
        )
        query = (
            objects.select()
            .join(jobs, jobs.c.job_id == objects.c.job_id)
            .where(jobs.c.study_uid == study_uid, jobs.c.model == model, objects.c.kind.in_(kinds), reached.exists())
            .order_by(jobs.c.created, objects.c.sop_instance_uid)
        )
        with self.database.read() as connection:
            return [result_object(row) for row in connection.execute(query)]

    def begin(self, job_id: str, attempt: int, analysed: Analysed) -> None:
        """Record the objects of an analysis, and open their deliveries as the job's plan says.

        Objects that any job of the study has already delivered to a destination are not sent there again. If that is
        all of them, the job ends.

        Raises
        ------
        LeaseLost
            If another attempt holds the job.
        """
        with self.database.write() as connection:
            job = self._jobs.held_within(connection, job_id, attempt)
            there = delivered_within(connection, job.study_uid, analysed.objects)
            connection.execute(deliveries.delete().where(deliveries.c.job_id == job_id))
            connection.execute(objects.delete().where(objects.c.job_id == job_id))
            add_objects(connection, job_id, analysed.objects)
            for destination, kinds in job.plan.items():
                due = [made for made in analysed.objects if not kinds or made.kind in kinds]
                open_deliveries(connection, Opening(job_id, destination, self.database.clock()), due, there)
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
            self._settle(connection, job_id)

    def record(self, job_id: str, attempt: int, delivery: Delivery) -> None:
        """Record how an attempt to deliver one object ended. With the last object of all destinations the job ends.

        Parameters
        ----------
        attempt
            That of the destination's sender.

        Raises
        ------
        LeaseLost
            If another attempt sends to the destination.
        """
        with self._held(job_id, delivery.destination, attempt) as connection:
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
            self._settle(connection, job_id)

    def replace(self, job_id: str, attempt: int, replacement: Replacement) -> None:
        """Open the delivery of other objects to a destination that refuses those of one kind.

        Raises
        ------
        LeaseLost
            If another attempt sends to the destination.
        """
        destination, instead = replacement.destination, replacement.instead
        with self._held(job_id, destination, attempt) as connection:
            job = self._jobs.get_within(connection, job_id)
            there = delivered_within(connection, job.study_uid, instead)
            known = {made.sop_instance_uid: made for made in objects_within(connection, job_id)}
            refused = [uid for uid, made in known.items() if made.kind == replacement.refused]
            add_objects(connection, job_id, [made for made in instead if made.sop_instance_uid not in known])
            open_deliveries(connection, Opening(job_id, destination, self.database.clock()), instead, there)
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
            self._settle(connection, job_id)

    def start_anew(self, job_id: str, attempt: int, destination: str, next_attempt: float) -> None:
        """Begin the pauses of a job's objects from the first one: the destination has stored one of them.

        Raises
        ------
        LeaseLost
            If another attempt sends to the destination.
        """
        sooner = sa.case((deliveries.c.next_attempt > next_attempt, next_attempt), else_=deliveries.c.next_attempt)
        with self._held(job_id, destination, attempt) as connection:
            connection.execute(
                deliveries.update()
                .where(
                    deliveries.c.job_id == job_id,
                    deliveries.c.destination == destination,
                    deliveries.c.state == DeliveryState.PENDING,
                    deliveries.c.attempts > 1,
                )
                .values(attempts=1, next_attempt=sooner)
            )

    def give_up(self, destination: str, attempt: int, opened_before: float, comment: str) -> int:
        """Fail what a destination that does not answer should have received long ago; return of how many jobs.

        Raises
        ------
        LeaseLost
            If another attempt sends to the destination.
        """
        overdue = (
            (deliveries.c.state == DeliveryState.PENDING)
            & (deliveries.c.destination == destination)
            & (deliveries.c.opened <= opened_before)
        )
        with self.database.read() as connection:
            query = sa.select(deliveries.c.job_id).where(overdue).distinct().limit(_GIVEN_UP_AT_ONCE)
            job_ids = connection.execute(query).scalars().all()
        for job_id in job_ids:
            with self._held(job_id, destination, attempt) as connection:
                theirs = deliveries.update().where(overdue, deliveries.c.job_id == job_id)
                connection.execute(theirs.values(state=DeliveryState.FAILED, comment=comment))
                self._settle(connection, job_id)
        return len(job_ids)

    def settle(self, job_ids: Sequence[str]) -> None:
        """End those of some jobs of which nothing is left to deliver.

        Whoever records an answer does this in the same transaction; an earlier version did it afterwards, and may have
        died in between.
        """
        pending = sa.select(deliveries.c.job_id).where(
            deliveries.c.job_id.in_(list(job_ids)), deliveries.c.state == DeliveryState.PENDING
        )
        with self.database.read() as connection:
            left = set(job_ids) - set(connection.execute(pending.distinct()).scalars())
        for job_id in left:
            with self.database.write() as connection:
                self._settle(connection, job_id)

    def retry(self, job_id: str, wish: Retry = PLAIN) -> JobState:
        """Let a job go on, and return its state: send what is undelivered, or if there is nothing, analyse it again.

        A held job is released. See `node.ledger.retries.Retry` for what else may be wished.

        Raises
        ------
        IllegalTransition
            If the job is on its way to an analysis, and goes on by itself.
        LedgerError
            If the destination that was named can't receive the job's objects.
        """
        with self.database.write() as connection:
            return retry_within(connection, self._jobs, job_id, wish)

    # -- inside ------------------------------------------------------------------------------------------------

    @contextmanager
    def _held(self, job_id: str, destination: str, attempt: int) -> Iterator[sa.Connection]:
        """Open a transaction of a destination's sender. It locks the job, which ends with the last answer of all."""
        with self.database.write() as connection:
            self._jobs.get_within(connection, job_id)
            held_within(connection, destination, attempt)
            yield connection

    def _settle(self, connection: sa.Connection, job_id: str) -> None:
        """End a job that is being delivered if nothing of it is pending.

        If a delivery has failed for good, the job is ``failed``. Otherwise every object has reached every destination,
        and the job is ``delivered``; if its analysis was not processed or failed, it ends in that state instead.
        """
        job = self._jobs.get_within(connection, job_id)
        query = (
            sa.select(deliveries.c.state, deliveries.c.destination, deliveries.c.comment)
            .where(deliveries.c.job_id == job_id)
            .order_by(deliveries.c.destination, deliveries.c.sop_instance_uid)
        )
        rows = connection.execute(query).all()
        states = {row.state for row in rows}
        if job.state is not JobState.DELIVERING or DeliveryState.PENDING in states:
            return
        if DeliveryState.FAILED in states:
            told = [f"{row.destination}: {row.comment}" for row in rows if row.state == DeliveryState.FAILED]
            reason = "; ".join(dict.fromkeys([*filter(None, [job.outcome_reason]), *told]))
            self._jobs.move_within(connection, job_id, JobState.FAILED, reason=reason, lease_until=0.0)
            return
        unanalysed = job.outcome in (JobState.NOT_PROCESSED, JobState.FAILED)
        end = JobState(job.outcome) if unanalysed else JobState.DELIVERED
        self._jobs.move_within(connection, job_id, end, reason=job.outcome_reason, lease_until=0.0)


def _delivery(row: Any) -> Delivery:
    values = {name: getattr(row, name) for name in Delivery.__dataclass_fields__}
    return Delivery(**values | {"state": DeliveryState(row.state)})
