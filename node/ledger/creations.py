"""When each result object was first made."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from node.ledger.database import Database
from node.ledger.schema import creations


class Creations:
    """Keeps the time at which an object with a SOP Instance UID was first made, whichever job makes it again."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def first(self, sop_instance_uid: str) -> datetime:
        """Return when an object was first made (UTC, whole seconds): now, if it never was."""
        with self.database.write() as connection:
            insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
            row = {"sop_instance_uid": sop_instance_uid, "at": float(int(self.database.clock()))}
            connection.execute(insert(creations).values(**row).on_conflict_do_nothing())
            found = sa.select(creations.c.at).where(creations.c.sop_instance_uid == sop_instance_uid)
            return datetime.fromtimestamp(connection.execute(found).scalar_one(), UTC)
