"""A ledger of the version before, with a job in every state, is brought over with nothing lost."""

import json
import sqlite3
from collections import Counter
from contextlib import closing

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from support.places import ROOT
from support.records import instance

from node.domain import Cause, DeliveryState, JobState
from node.kinds import ObjectKind
from node.ledger.arrivals import Registration
from node.ledger.ledger import Ledger

S = JobState
OLD = ROOT / "tests" / "data" / "ledger-0002.sql"


def read(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def old(tmp_path):
    """The ledger as the version before wrote it."""
    path = tmp_path / "data" / "ledger.sqlite"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLD.read_text())
    return path


@pytest.fixture
def migrated(old):
    ledger = Ledger(f"sqlite:///{old}", lambda: 1_800_000_000.0)
    ledger.upgrade()
    yield ledger
    ledger.close()


def test_the_file_is_backed_up_first(old, migrated):
    (copy,) = old.parent.glob("ledger.sqlite.before-0002-*")
    assert read(copy, "SELECT version_num FROM alembic_version") == [("0002",)]
    assert read(copy, "SELECT count(*) FROM jobs") == read(old, "SELECT count(*) FROM jobs") == [(11,)]
    migrated.upgrade()
    assert len(list(old.parent.glob("*.before-*"))) == 1, "nothing to migrate, nothing to back up"


def test_a_new_ledger_needs_no_backup(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    assert ledger.database.upgrade() is None
    ledger.close()


def test_every_job_keeps_its_state_and_its_instances(old, migrated):
    (copy,) = old.parent.glob("*.before-*")
    before = dict(read(copy, "SELECT job_id, state FROM jobs"))
    assert {job.job_id: job.state.value for job in migrated.jobs.find()} == before
    held = Counter(job_id for (job_id,) in read(copy, "SELECT job_id FROM instances"))
    (late,) = (job for job in migrated.jobs.find([S.RECEIVING]) if job.cause is Cause.LATE)
    held[late.job_id] += 4  # a late image is analysed with the whole study
    assert {job_id: len(migrated.arrivals.instances(job_id)) for job_id in held} == held
    names = "job_id, reason, created, attempt, lost, lease_until, forward_seconds, outcome, outcome_reason"
    assert read(old, f"SELECT {names} FROM jobs ORDER BY 1") == read(copy, f"SELECT {names} FROM jobs ORDER BY 1")


def test_paths_become_keys(old, migrated):
    (copy,) = old.parent.glob("*.before-*")
    paths = sorted(path for (path,) in read(copy, "SELECT path FROM instances UNION SELECT path FROM objects"))
    keys = sorted(key for (key,) in read(old, "SELECT key FROM instances UNION SELECT key FROM objects"))
    assert [f"/srv/ftmtl/spool/{key}" for key in keys] == paths
    assert read(old, "SELECT key FROM rejections") == [("rejected/ab/abc.dcm",)]


def test_plans_name_the_destinations_and_leave_the_kinds_to_the_configuration(old, migrated):
    (copy,) = old.parent.glob("*.before-*")
    before = {job_id: json.loads(names) for job_id, names in read(copy, "SELECT job_id, destinations FROM jobs")}
    assert {job.job_id: list(job.destinations) for job in migrated.jobs.find()} == before
    assert {kinds for job in migrated.jobs.find() for kinds in job.plan.values()} == {()}


def test_deliveries_stay_where_they_were(old, migrated):
    (copy,) = old.parent.glob("*.before-*")
    query = "SELECT * FROM deliveries ORDER BY job_id, destination, sop_instance_uid"
    assert read(old, query) == read(copy, query)
    (job,) = migrated.jobs.find([S.DELIVERING])
    assert migrated.deliveries.states([job.job_id])[job.job_id] == {
        "archive": {DeliveryState.PENDING},
        "viewer": {DeliveryState.DELIVERED},
    }
    assert [made.kind for made in migrated.deliveries.objects(job.job_id)] == [ObjectKind.SEG, ObjectKind.SR]


def test_every_job_can_go_on(migrated):
    for state in (S.COMPLETE, S.QUEUED, S.ANALYSING, S.DELIVERING, S.RECEIVING):
        assert migrated.jobs.take_due(state, 5), f"{state}: the node looks at it again"
    (queued,) = migrated.jobs.find([S.QUEUED])
    assert migrated.jobs.claim(queued.job_id, S.ANALYSING, 30) == 1
    (delivering,) = migrated.jobs.find([S.DELIVERING])
    assert ("archive", delivering.job_id) in [(destination, job_id) for job_id, destination in migrated.senders.due()]
    assert migrated.senders.claim("archive", 30) == 1
    (failed,) = migrated.jobs.find([S.FAILED])
    assert migrated.deliveries.retry(failed.job_id) is S.DELIVERING


def test_a_known_instance_is_known_and_a_late_one_brings_the_whole_study(migrated):
    (delivered,) = migrated.jobs.find([S.DELIVERED])
    (known, *_) = migrated.arrivals.instances(delivered.job_id)
    assert migrated.arrivals.register(known) is Registration.SAME
    assert migrated.arrivals.register(instance(77, study=delivered.study_uid)) is Registration.NEW
    (receiving,) = (job for job in migrated.jobs.of_study(delivered.study_uid) if job.state is S.RECEIVING)
    assert len(migrated.arrivals.instances(receiving.job_id)) == 6, "four views, the late one of before, and this one"


def test_raw_images_still_do_not_complete_a_study(migrated):
    (job,) = migrated.jobs.of_study("1.2.11")
    assert [bool(i.refusal) for i in migrated.arrivals.instances(job.job_id)] == [True]


@pytest.mark.peer
def test_a_ledger_in_postgresql_is_brought_over_the_same_way(old, migrated, postgres):
    """The same rows, put into PostgreSQL as the version before had them."""
    url = postgres.new_url(empty=True)
    engine = sa.create_engine(url)
    config = AlembicConfig()
    config.set_main_option("script_location", "node.ledger:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        for table in ("jobs", "instances", "objects", "deliveries", "rejections"):
            copy_rows(next(old.parent.glob("*.before-*")), table, connection)
    engine.dispose()
    ledger = Ledger(url, lambda: 1_800_000_000.0)
    assert ledger.database.upgrade() is None, "a server's back-ups are the business of who runs it"
    assert ledger.jobs.find() == migrated.jobs.find()
    for job in ledger.jobs.find():
        assert ledger.arrivals.instances(job.job_id) == migrated.arrivals.instances(job.job_id)
        assert ledger.deliveries.of(job.job_id) == migrated.deliveries.of(job.job_id)
        assert ledger.deliveries.objects(job.job_id) == migrated.deliveries.objects(job.job_id)
    ledger.close()


def copy_rows(path, table, connection):
    with closing(sqlite3.connect(path)) as source:
        source.row_factory = sqlite3.Row
        rows = [dict(row) for row in source.execute(f"SELECT * FROM {table}")]
    if rows:
        target = sa.Table(table, sa.MetaData(), autoload_with=connection)
        connection.execute(target.insert(), rows)
