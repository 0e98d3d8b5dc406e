"""Open associations, with a heartbeat: every node on the ledger knows which studies are still arriving somewhere."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

import sqlalchemy as sa

from node.domain import JobState
from node.ledger.database import Database
from node.ledger.schema import association_studies, associations, jobs

SILENT_S = 30.0
"""A node that has shown no sign of life for this long has lost its associations."""


class Associations:
    """Records who is connected, and which studies they have brought."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def open(self, calling_ae: str) -> str:
        """Record a new association of this node, and return its id."""
        association_id, now = uuid.uuid4().hex, self.database.clock()
        row = {"association_id": association_id, "node": self.database.actor, "calling_ae": calling_ae[:16]}
        with self.database.write() as connection:
            connection.execute(associations.insert().values(**row, opened=now, heartbeat=now, active=now))
        return association_id

    def brings(self, association_id: str, study_uid: str) -> None:
        """Record that an association brings something of a study."""
        link = {"association_id": association_id, "study_uid": study_uid}
        with self.database.write() as connection:
            if connection.execute(association_studies.select().filter_by(**link)).first() is None:
                connection.execute(association_studies.insert().values(**link))

    def close(self, association_id: str) -> None:
        """Forget an association; the studies that it brought are due."""
        with self.database.write() as connection:
            self._forget(connection, associations.c.association_id == association_id)

    def beat(self, active: Mapping[str, float]) -> None:
        """Show that this node is alive, and when its associations last carried data; forget those of dead nodes.

        Parameters
        ----------
        active
            By association id: when data last arrived on it, in seconds since the epoch.
        """
        now, mine = self.database.clock(), associations.c.node == self.database.actor
        with self.database.write() as connection:
            connection.execute(associations.update().where(mine).values(heartbeat=now))
            for association_id, at in active.items():
                this = associations.c.association_id == association_id
                connection.execute(associations.update().where(this).values(active=at))
            self._forget(connection, associations.c.heartbeat < now - SILENT_S)

    def forget_mine(self) -> None:
        """Forget the associations of a process of this name that has ended."""
        with self.database.write() as connection:
            self._forget(connection, associations.c.node == self.database.actor)

    def open_studies(self) -> set[str]:
        """Return the studies that an open association has brought something of."""
        alive = associations.c.heartbeat >= self.database.clock() - SILENT_S
        query = (
            sa.select(association_studies.c.study_uid)
            .join(associations, associations.c.association_id == association_studies.c.association_id)
            .where(alive)
            .distinct()
        )
        with self.database.read() as connection:
            return set(connection.execute(query).scalars())

    def senders_under_way(self) -> dict[str, float]:
        """Return who has an association that carries data and has not brought anything yet, and when it last did."""
        alive = associations.c.heartbeat >= self.database.clock() - SILENT_S
        brought = sa.select(association_studies.c.study_uid).where(
            association_studies.c.association_id == associations.c.association_id
        )
        query = (
            sa.select(associations.c.calling_ae, sa.func.max(associations.c.active))
            .where(alive, ~brought.exists())
            .group_by(associations.c.calling_ae)
        )
        with self.database.read() as connection:
            return {calling_ae: float(active) for calling_ae, active in connection.execute(query)}

    def _forget(self, connection: sa.Connection, which: sa.ColumnElement[bool]) -> None:
        gone = list(connection.execute(sa.select(associations.c.association_id).where(which)).scalars())
        if not gone:
            return
        theirs = association_studies.c.association_id.in_(gone)
        uids = list(connection.execute(sa.select(association_studies.c.study_uid).where(theirs)).scalars())
        connection.execute(association_studies.delete().where(theirs))
        connection.execute(associations.delete().where(associations.c.association_id.in_(gone)))
        if uids:
            connection.execute(
                jobs.update()
                .where(jobs.c.study_uid.in_(uids), jobs.c.state == JobState.RECEIVING)
                .values(due=self.database.clock())
            )
