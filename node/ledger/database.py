"""The ledger's database: SQLite in WAL mode, synced on every commit, or PostgreSQL given by its URL."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
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
        self.actor = f"{socket.gethostname()}:{os.getpid()}"
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        try:
            self.engine = sa.create_engine(url, pool_pre_ping=True)
        except (ArgumentError, ImportError) as error:
            raise LedgerError(f"ledger.url cannot be used: {error}") from error
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", _configure_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)

    def upgrade(self) -> Path | None:
        """Upgrade the schema to this version's, or create it in an empty database.

        Returns
        -------
        Path or None
            The back-up of an SQLite file that was taken before it was changed, if it was.
        """
        from alembic import command  # late: it takes as long to import as a list of jobs to print
        from alembic.config import Config
        from alembic.migration import MigrationContext
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", "node.ledger:migrations")
        head = ScriptDirectory.from_config(config).get_current_head()
        with self.read() as connection:
            revision = MigrationContext.configure(connection).get_current_revision()
        if revision == head:
            return None
        backup = None if revision is None or self.engine.dialect.name != "sqlite" else self._back_up(revision)
        with self.write() as connection:
            config.attributes["connection"] = connection
            if backup is not None:
                connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            command.upgrade(config, "head")
        return backup

    def _back_up(self, revision: str) -> Path:
        """Copy an SQLite file beside itself, named after its revision; an earlier copy is kept."""
        path = Path(self.url.removeprefix("sqlite:///"))
        copy = path.with_name(f"{path.name}.before-{revision}-{time.strftime('%Y%m%d-%H%M%S')}")
        with contextlib.closing(sqlite3.connect(path)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        with copy.open("rb") as file:
            os.fsync(file.fileno())
        return copy

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
