"""What has come to nothing at the listener: a row for what is the same in all but time, and not too many rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa

from node.domain import NetworkEvent, NetworkEventKind, Tally
from node.ledger.database import Database
from node.ledger.schema import network_events

KEPT = 1000
"""Rows; the ones that happened longest ago go first."""

_KEY = (
    network_events.c.kind,
    network_events.c.calling_ae,
    network_events.c.called_ae,
    network_events.c.address,
    network_events.c.reason,
)


class NetworkEvents:
    """Counts what has come to nothing."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, events: Mapping[NetworkEvent, Tally]) -> None:
        """Add to the counts."""
        with self.database.write() as connection:
            for event, tally in events.items():
                self._add(connection, event, tally)
            newest = sa.select(network_events.c.id).order_by(network_events.c.last.desc(), network_events.c.id.desc())
            connection.execute(network_events.delete().where(network_events.c.id.not_in(newest.limit(KEPT))))

    def latest(self, limit: int = 50) -> list[tuple[NetworkEvent, Tally]]:
        """Return what has happened last, newest first."""
        query = network_events.select().order_by(network_events.c.last.desc(), network_events.c.id.desc()).limit(limit)
        with self.database.read() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def _add(self, connection: sa.Connection, event: NetworkEvent, tally: Tally) -> None:
        values = asdict(event)
        same = [column == values[column.name] for column in _KEY]
        more = {"count": network_events.c.count + tally.count, "last": tally.last, "expected": event.expected}
        if not connection.execute(network_events.update().where(*same).values(more)).rowcount:
            connection.execute(network_events.insert().values(**values, **asdict(tally)))


def _entry(row: Any) -> tuple[NetworkEvent, Tally]:
    event = NetworkEvent(**{name: getattr(row, name) for name in NetworkEvent.__dataclass_fields__})
    return replace(event, kind=NetworkEventKind(event.kind)), Tally(row._mapping["count"], row.first, row.last)
