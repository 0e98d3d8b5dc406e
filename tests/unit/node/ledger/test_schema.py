"""The database of the ledger: its schema, and how each connection writes."""

import re

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from support.jobs import received
from support.records import open_ledger

from node.ledger.schema import metadata


def test_migrations_build_the_schema_that_the_code_declares(ledger):
    with ledger.database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        sqlite = connection.dialect.name == "sqlite"
        query = "select name, sql from sqlite_master" if sqlite else "select indexname, indexdef from pg_indexes"
        indexes = dict(map(tuple, connection.execute(sa.text(query))))
    assert "UNIQUE" in indexes["one_receiving_job"]
    assert re.search(r"WHERE \(*state\)*(::text)? = 'receiving'", indexes["one_receiving_job"])


def test_upgrade_again_keeps_everything(ledger):
    job_id = received(ledger)
    ledger.upgrade()
    assert [job.job_id for job in ledger.jobs.find()] == [job_id]


def test_every_connection_writes_ahead_and_syncs_fully(tmp_path):
    ledger = open_ledger(tmp_path)
    with ledger.database.engine.connect() as first, ledger.database.engine.connect() as second:
        for connection in (first, second):
            pragma = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
            assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30000}
    ledger.close()
