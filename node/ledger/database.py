"""The ledger's database: SQLite in WAL mode, synced on every commit, or PostgreSQL given by its URL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy.exc import ArgumentError

from node.errors import LedgerError


class Database:
    """Connections to the database, and the clock that timestamps its rows.

    Parameters
    ----------
    url
        SQLAlchemy URL.
    clock
        Returns seconds since the epoch; tests pass their own.

    Raises
    ------
    LedgerError
        If the URL cannot be parsed, or its driver is not installed.
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
        """Upgrade the schema to this version's, or create it in an empty database."""
        config = AlembicConfig()
        config.set_main_option("script_location", "node.ledger:migrations")
        with self.write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Close the database connections."""
        self.engine.dispose()

    def read(self) -> sa.Connection:
        """Return a connection for reading, to be used as a context manager."""
        return self.engine.connect()

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Open a write transaction; it is committed at the end, or rolled back on an exception."""
        with self.engine.connect().execution_options(ftmtl_write=True) as connection, connection.begin():
            yield connection


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we issue BEGIN ourselves
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """Begin a transaction. A writer locks at once: if it read first and wrote later, two writers could deadlock."""
    immediate = connection.get_execution_options().get("ftmtl_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
