"""One sender per destination: who sends to it now, and until when it is left alone because it does not answer.

The row of a destination is what keeps destinations apart: a sender that hangs holds up its own destination only, and
whatever it writes is fenced by its attempt. All workers on the ledger share the rows, so that a PACS that has just let
one of them wait is not asked by the others, too.

Where a transaction locks a job and a sender, it locks the job first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from node.domain import DeliveryState, JobState
from node.errors import LeaseLost
from node.ledger.database import Database
from node.ledger.schema import deliveries, jobs, senders


@dataclass(frozen=True)
class Silence:
    """A destination that does not answer.

    Attributes
    ----------
    failures
        Attempts since its last answer.
    since, retry_at
        When the first of them failed, and when the next one is made, in seconds since the epoch.
    comment
        How the last one failed, in words.
    """

    destination: str
    failures: int
    since: float
    retry_at: float
    comment: str


class Senders:
    """Records the sender of each destination."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def due(self) -> list[tuple[str, str]]:
        """Return the destinations that have something to receive now and no sender, each with its next job.

        One query, which costs the same however many jobs wait.
        """
        now = self.database.clock()
        job_id = _next_job(now).where(deliveries.c.destination == senders.c.destination).scalar_subquery()
        query = sa.select(job_id, senders.c.destination).where(senders.c.lease_until <= now, senders.c.retry_at <= now)
        with self.database.read() as connection:
            return [(job_id, destination) for job_id, destination in connection.execute(query) if job_id is not None]

    def silent(self) -> dict[str, Silence]:
        """Return the destinations that do not answer, by name."""
        query = senders.select().where(senders.c.failures > 0)
        with self.database.read() as connection:
            return {
                row.destination: Silence(row.destination, row.failures, row.failing_since, row.retry_at, row.comment)
                for row in connection.execute(query)
            }

    def claim(self, destination: str, lease_s: float) -> int | None:
        """Become the sender of a destination.

        Returns
        -------
        int or None
            The number of the attempt, which every write shows; None if the destination has a sender, or is left alone
            for now because it does not answer.
        """
        now = self.database.clock()
        with self.database.write() as connection:
            row = connection.execute(_row(destination).with_for_update()).one_or_none()
            if row is None or row.lease_until > now or row.retry_at > now:
                return None
            attempt = int(row.attempt) + 1
            _update(connection, destination, attempt=attempt, lease_until=now + lease_s)
            return attempt

    def renew(self, destination: str, attempt: int, lease_s: float) -> bool:
        """Renew a lease; return False if this attempt is no longer the destination's sender."""
        kept = senders.update().where(
            senders.c.destination == destination, senders.c.attempt == attempt, senders.c.lease_until > 0
        )
        with self.database.write() as connection:
            return connection.execute(kept.values(lease_until=self.database.clock() + lease_s)).rowcount == 1

    def next_job(self, destination: str, attempt: int) -> str | None:
        """Return the job that a destination receives something of next; if there is none, stop being its sender.

        Both in one transaction, so that a job which becomes due meanwhile finds either this sender or none.

        Raises
        ------
        LeaseLost
            If another attempt sends to the destination.
        """
        now = self.database.clock()
        with self.database.write() as connection:
            sender = held_within(connection, destination, attempt)
            query = _next_job(now).where(deliveries.c.destination == destination)
            row = None if sender.retry_at > now else connection.execute(query).first()
            if row is None:
                _update(connection, destination, lease_until=0.0)
                return None
            return str(row.job_id)

    def release(self, destination: str, attempt: int) -> None:
        """Stop being the sender of a destination.

        Raises
        ------
        LeaseLost
            If another attempt sends to the destination.
        """
        with self.database.write() as connection:
            held_within(connection, destination, attempt)
            _update(connection, destination, lease_until=0.0)

    def leave_alone(self, destination: str, attempt: int, pause_s: Callable[[int], float], comment: str) -> float:
        """Record that a destination did not answer, and return the time before which nobody asks it again.

        Parameters
        ----------
        pause_s
            The pause after a number of failures in a row, in seconds.
        comment
            What went wrong, in words.

        Raises
        ------
        LeaseLost
            If another attempt sends to the destination.
        """
        with self.database.write() as connection:
            sender, now = held_within(connection, destination, attempt), self.database.clock()
            since, failures = sender.failing_since if sender.failures else now, sender.failures + 1
            retry_at = now + pause_s(failures)
            values = {"failures": failures, "failing_since": since, "retry_at": retry_at, "comment": comment}
            _update(connection, destination, **values)
            return retry_at

    def answers(self, destination: str, attempt: int) -> bool:
        """Record that a destination answers; return whether that is news.

        Raises
        ------
        LeaseLost
            If another attempt sends to the destination.
        """
        with self.database.read() as connection:
            if connection.execute(_row(destination).where(senders.c.failures == 0)).first() is not None:
                return False
        with self.database.write() as connection:
            held_within(connection, destination, attempt)
            ask_again(connection, [destination])
            return True


# -- within a transaction ----------------------------------------------------------------------------------------------


def held_within(connection: sa.Connection, destination: str, attempt: int) -> Any:
    """Return the row of a destination if this attempt is still its sender, else raise `LeaseLost`."""
    row = connection.execute(_row(destination).with_for_update()).one_or_none()
    if row is None or row.attempt != attempt or row.lease_until == 0:
        raise LeaseLost(f"destination {destination}: attempt {attempt} is no longer its sender")
    return row


def add_within(connection: sa.Connection, destinations: Iterable[str]) -> None:
    """Add rows for destinations that have none yet."""
    insert = sqlite.insert(senders) if connection.dialect.name == "sqlite" else postgresql.insert(senders)
    for destination in destinations:
        connection.execute(insert.values(destination=destination).on_conflict_do_nothing())


def ask_again(connection: sa.Connection, destinations: Iterable[str]) -> None:
    """Let destinations be asked again at once, as if they had answered."""
    values = {"failures": 0, "failing_since": 0.0, "retry_at": 0.0, "comment": ""}
    connection.execute(senders.update().where(senders.c.destination.in_(list(destinations))).values(**values))


def _row(destination: str) -> sa.Select[Any]:
    return senders.select().where(senders.c.destination == destination)


def _update(connection: sa.Connection, destination: str, **values: object) -> None:
    connection.execute(senders.update().where(senders.c.destination == destination).values(**values))


def _next_job(now: float) -> sa.Select[Any]:
    """Select the job with the delivery that has been due longest; what was never tried comes first.

    A lease on the job is one of an earlier version, whose workers sent to all destinations one after the other.
    """
    return (
        sa.select(deliveries.c.job_id)
        .join(jobs, jobs.c.job_id == deliveries.c.job_id)
        .where(deliveries.c.state == DeliveryState.PENDING, deliveries.c.next_attempt <= now)
        .where(jobs.c.state == JobState.DELIVERING, jobs.c.lease_until <= now)
        .order_by(deliveries.c.next_attempt, deliveries.c.opened)
        .limit(1)
    )
