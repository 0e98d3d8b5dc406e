"""The ledger: the truth about every study, whoever dies and whoever comes at once."""

import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from support.records import PACS, STUDY, Clock, instance, open_ledger, results

from node.domain import Analysed, Delivery, DeliveryState, Destination, JobState
from node.errors import IllegalTransition, LeaseLost, LedgerError
from node.ledger.arrivals import Registration
from node.ledger.schema import jobs, metadata
from node.ledger.states import TRANSITIONS

S = JobState
LEGAL = {
    (S.RECEIVING, S.COMPLETE),
    (S.COMPLETE, S.QUEUED),
    (S.COMPLETE, S.NOT_PROCESSED),
    (S.QUEUED, S.ANALYSING),
    (S.ANALYSING, S.ANALYSING),
    (S.ANALYSING, S.QUEUED),
    (S.ANALYSING, S.DELIVERING),
    (S.ANALYSING, S.NOT_PROCESSED),
    (S.ANALYSING, S.FAILED),
    (S.DELIVERING, S.DELIVERING),
    (S.DELIVERING, S.DELIVERED),
    (S.DELIVERING, S.NOT_PROCESSED),
    (S.DELIVERING, S.FAILED),
    (S.DELIVERED, S.COMMITTED),
    (S.NOT_PROCESSED, S.COMPLETE),
    (S.FAILED, S.COMPLETE),
    (S.FAILED, S.DELIVERING),
}
SECOND = Destination("second", "PACS2", "127.0.0.1", 105)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(tmp_path, clock):
    opened = open_ledger(tmp_path, clock)
    yield opened
    opened.close()


def put(ledger, job_id, state):
    """Force a job into a state, past all rules."""
    with ledger.database.engine.begin() as connection:
        connection.execute(jobs.update().where(jobs.c.job_id == job_id).values(state=state))


def received(ledger, number=1, **changes):
    """Register an instance; return its job's id."""
    ledger.arrivals.register(instance(number, **changes))
    return ledger.jobs.find()[-1].job_id


def queued(ledger, destinations=(PACS,)):
    job_id = received(ledger)
    ledger.jobs.move(job_id, S.COMPLETE)
    ledger.jobs.route(job_id, destinations)
    return job_id


def delivering(ledger, destinations=(PACS,)):
    """A job with two result objects; return its id."""
    job_id = queued(ledger, destinations)
    attempt = ledger.jobs.claim(job_id, S.ANALYSING, 30)
    ledger.deliveries.begin(job_id, attempt, Analysed(results(), 1.5))
    return job_id


def answer(ledger, job_id, *states, destination="archive"):
    """Record how the deliveries of both objects ended."""
    for uid, state in zip(("2.25.1", "2.25.2"), states, strict=True):
        ledger.deliveries.record(job_id, Delivery(destination, uid, state, 0x0000, 1, 0.0, f"{state} words"))


# -- schema --------------------------------------------------------------------------------------------------------


def test_migrations_build_the_schema_that_the_code_declares(ledger):
    with ledger.database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        indexes = {row.name: row.sql for row in connection.execute(sa.text("select name, sql from sqlite_master"))}
    assert "UNIQUE" in indexes["one_receiving_job"]
    assert "WHERE state = 'receiving'" in indexes["one_receiving_job"]


def test_upgrade_again_keeps_everything(ledger):
    job_id = received(ledger)
    ledger.upgrade()
    assert [job.job_id for job in ledger.jobs.find()] == [job_id]


def test_every_connection_writes_ahead_and_syncs_fully(ledger):
    with ledger.database.engine.connect() as first, ledger.database.engine.connect() as second:
        for connection in (first, second):
            pragma = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
            assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30000}


# -- transitions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", JobState)
def test_moves_only_where_the_table_lets_it(ledger, state):
    job_id = received(ledger)
    for to in JobState:
        put(ledger, job_id, state)
        if (state, to) in LEGAL:
            ledger.jobs.move(job_id, to, reason="because")
            assert (ledger.jobs.get(job_id).state, ledger.jobs.get(job_id).reason) == (to, "because")
        else:
            with pytest.raises(IllegalTransition, match=f"{state} and cannot become {to}"):
                ledger.jobs.move(job_id, to)
            assert ledger.jobs.get(job_id).state is state


def test_every_state_is_in_the_table_and_can_be_reached():
    assert set(TRANSITIONS) == set(JobState)
    assert set(itertools.chain(*TRANSITIONS.values())) | {S.RECEIVING} == set(JobState)


def test_a_move_of_no_job_is_an_error(ledger):
    with pytest.raises(LedgerError, match="there is no job"):
        ledger.jobs.move("nobody", S.COMPLETE)
    with pytest.raises(LedgerError, match="there is no job"):
        ledger.jobs.get("nobody")


# -- receiving -----------------------------------------------------------------------------------------------------


def test_register_enters_an_instance_as_it_is(ledger):
    sent = instance(1, laterality=None, view=None)
    assert ledger.arrivals.register(sent) is Registration.NEW
    (job,) = ledger.jobs.find()
    assert (job.state, job.study_uid) == (S.RECEIVING, STUDY)
    assert ledger.arrivals.instances(job.job_id) == [sent]


def test_the_same_bytes_again_change_nothing(ledger, clock):
    ledger.arrivals.register(instance(1))
    before = ledger.jobs.find()
    clock.now += 5
    assert ledger.arrivals.register(instance(1, received=9.0, path=Path("/elsewhere"))) is Registration.SAME
    assert ledger.jobs.find() == before
    assert ledger.arrivals.instances(before[0].job_id) == [instance(1)]


def test_other_bytes_under_a_known_uid_are_a_conflict_and_the_first_stays(ledger):
    ledger.arrivals.register(instance(1))
    before = ledger.jobs.find()
    assert ledger.arrivals.register(instance(1, sha256="f" * 64)) is Registration.CONFLICT
    assert ledger.jobs.find() == before
    assert ledger.arrivals.instances(before[0].job_id) == [instance(1)]


def test_a_uid_that_another_study_holds_is_a_conflict_too(ledger):
    ledger.arrivals.register(instance(1))
    assert ledger.arrivals.register(instance(1, study_uid="1.2.3", sha256="f" * 64)) is Registration.CONFLICT
    assert len(ledger.jobs.find()) == 1


def test_instances_of_a_study_meet_in_its_open_job(ledger, clock):
    ledger.arrivals.register(instance(1))
    clock.now += 5
    ledger.arrivals.register(instance(2))
    (job,) = ledger.jobs.find()
    assert len(ledger.arrivals.instances(job.job_id)) == 2
    assert (job.created, job.last_received) == (clock.now - 5, clock.now)


@pytest.mark.parametrize("state", [state for state in JobState if state is not S.RECEIVING])
def test_a_late_instance_opens_a_new_job(ledger, clock, state):
    first = received(ledger)
    put(ledger, first, state)
    clock.now += 60
    second = received(ledger, 2)
    assert second != first
    assert ledger.jobs.get(first).state is state
    assert [i.sop_instance_uid for i in ledger.arrivals.instances(second)] == [f"{STUDY}.2"]


def test_threads_that_bring_one_study_meet_in_one_job(ledger):
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda n: ledger.arrivals.register(instance(n // 2)), range(40)))
    assert outcomes.count(Registration.NEW) == outcomes.count(Registration.SAME) == 20
    (job,) = ledger.jobs.find()
    assert len(ledger.arrivals.instances(job.job_id)) == 20


PROCESS = """
import sys
sys.path.insert(0, sys.argv[3])
from support.records import instance
from node.ledger.ledger import Ledger
ledger = Ledger(sys.argv[1])
ledger.jobs.find()
print("ready", flush=True)
sys.stdin.readline()
for n in range(int(sys.argv[2]), 40, 2):
    ledger.arrivals.register(instance(n))
    ledger.arrivals.register(instance(n, study=f"1.2.{n // 2}"))
"""


def test_processes_that_bring_one_study_meet_in_one_job(ledger):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(ledger.database.engine.url), str(first), str(Path(__file__).parents[2])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for first in (0, 1)
    ]
    for process in processes:
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=30)
        assert process.returncode == 0
    counts = {}
    for job in ledger.jobs.find():
        assert job.study_uid not in counts, "two open jobs of one study"
        counts[job.study_uid] = len(ledger.arrivals.instances(job.job_id))
    assert counts == {STUDY: 40} | {f"1.2.{n}": 2 for n in range(20)}


def test_a_refused_instance_is_noted(ledger, clock):
    ledger.arrivals.reject("1.2.3", "MODALITY", 0xA900, "mismatch", None)
    (row,) = ledger.arrivals.rejected()
    assert (row["sop_instance_uid"], row["status"], row["reason"], row["path"]) == ("1.2.3", 0xA900, "mismatch", "")
    assert row["received"] == clock.now


def test_jobs_by_age_the_newest_so_many_and_of_states(ledger, clock):
    for n in range(4):
        clock.now += 1
        ledger.arrivals.register(instance(1, study=f"1.2.{n}"))
    ledger.jobs.move(ledger.jobs.find()[0].job_id, S.COMPLETE)
    assert [job.study_uid for job in ledger.jobs.find()] == ["1.2.0", "1.2.1", "1.2.2", "1.2.3"]
    assert [job.study_uid for job in ledger.jobs.find(newest=2)] == ["1.2.2", "1.2.3"]
    assert [job.study_uid for job in ledger.jobs.find([S.COMPLETE])] == ["1.2.0"]


# -- leases and fencing --------------------------------------------------------------------------------------------


def test_one_worker_only_gets_a_job(ledger):
    job_id = queued(ledger)
    with ThreadPoolExecutor(8) as pool:
        attempts = list(pool.map(lambda _: ledger.jobs.claim(job_id, S.ANALYSING, 30), range(8)))
    assert sorted(attempts, key=str) == [1, *[None] * 7]
    assert ledger.jobs.get(job_id).state is S.ANALYSING


@pytest.mark.parametrize("state", [s for s in JobState if s not in (S.QUEUED, S.ANALYSING)])
def test_a_job_that_waits_for_no_analysis_cannot_be_claimed_for_one(ledger, state):
    job_id = received(ledger)
    put(ledger, job_id, state)
    assert ledger.jobs.claim(job_id, S.ANALYSING, 30) is None
    assert ledger.jobs.claim("nobody", S.ANALYSING, 30) is None


def test_a_lease_that_ran_out_can_be_claimed_by_another(ledger, clock):
    job_id = queued(ledger)
    assert ledger.jobs.claim(job_id, S.ANALYSING, 30) == 1
    clock.now += 30
    assert ledger.jobs.claim(job_id, S.ANALYSING, 30) is None, "still his"
    clock.now += 1
    assert ledger.jobs.claim(job_id, S.ANALYSING, 30) == 2
    assert ledger.jobs.get(job_id).lost == 1, "a worker ended over it"


def test_renewing_keeps_it(ledger, clock):
    job_id = queued(ledger)
    ledger.jobs.claim(job_id, S.ANALYSING, 30)
    for _ in range(5):
        clock.now += 20
        assert ledger.jobs.renew(job_id, 1, 30)
    assert ledger.jobs.get(job_id).lease_until == clock.now + 30
    assert ledger.jobs.claim(job_id, S.ANALYSING, 30) is None


def test_a_zombie_can_neither_renew_nor_record(ledger, clock):
    job_id = queued(ledger)
    ledger.jobs.claim(job_id, S.ANALYSING, 30)
    clock.now += 31
    ledger.jobs.claim(job_id, S.ANALYSING, 30)
    assert not ledger.jobs.renew(job_id, 1, 30)
    with pytest.raises(LeaseLost):
        ledger.jobs.finish(job_id, 1, S.FAILED, "the zombie says so")
    with pytest.raises(LeaseLost):
        ledger.deliveries.begin(job_id, 1, Analysed(results(), 1.0))
    assert ledger.jobs.get(job_id).state is S.ANALYSING
    assert ledger.deliveries.objects(job_id) == []
    ledger.deliveries.begin(job_id, 2, Analysed(results(), 1.0))
    with pytest.raises(LeaseLost):
        ledger.deliveries.settle(job_id, 1)


@pytest.mark.parametrize("end", ["taken back", "finished"])
def test_an_attempt_that_let_go_cannot_come_back(ledger, end):
    job_id = queued(ledger)
    ledger.jobs.claim(job_id, S.ANALYSING, 30)
    if end == "taken back":
        ledger.jobs.move(job_id, S.QUEUED, lease_until=0.0)
    else:
        ledger.deliveries.begin(job_id, 1, Analysed(results(), 1.0))
    assert not ledger.jobs.renew(job_id, 1, 30)
    with pytest.raises(LeaseLost):
        ledger.jobs.finish(job_id, 1, S.FAILED, "")


def test_a_zombie_from_before_a_retry_is_fenced_off_too(ledger, clock):
    """The fence must not fall because a human pressed retry: attempts are never counted anew."""
    job_id = queued(ledger)
    zombie = ledger.jobs.claim(job_id, S.ANALYSING, 30)
    clock.now += 31
    ledger.jobs.move(job_id, S.FAILED, reason="the worker ended", lease_until=0.0)
    ledger.deliveries.retry(job_id)
    ledger.jobs.route(job_id, [PACS])
    alive = ledger.jobs.claim(job_id, S.ANALYSING, 30)
    with pytest.raises(LeaseLost):
        ledger.jobs.finish(job_id, zombie, S.FAILED, "the zombie says so")
    ledger.deliveries.begin(job_id, alive, Analysed(results(), 1.0))


def test_finish_ends_a_job_with_its_reason(ledger):
    job_id = queued(ledger)
    ledger.jobs.finish(job_id, ledger.jobs.claim(job_id, S.ANALYSING, 30), S.NOT_PROCESSED, "no mammogram")
    job = ledger.jobs.get(job_id)
    assert (job.state, job.reason, job.lease_until) == (S.NOT_PROCESSED, "no mammogram", 0.0)


def test_finish_analysis_opens_a_delivery_an_object_and_destination(ledger, clock):
    job_id = delivering(ledger, [PACS, SECOND])
    assert ledger.deliveries.objects(job_id) == results()
    assert [(d.destination, d.sop_instance_uid) for d in ledger.deliveries.of(job_id)] == [
        ("archive", "2.25.1"),
        ("archive", "2.25.2"),
        ("second", "2.25.1"),
        ("second", "2.25.2"),
    ]
    assert {(d.state, d.attempts, d.opened) for d in ledger.deliveries.of(job_id)} == {
        (DeliveryState.PENDING, 0, clock.now)
    }
    job = ledger.jobs.get(job_id)
    assert (job.state, job.forward_seconds, job.lease_until) == (S.DELIVERING, 1.5, 0.0)


def test_a_second_analysis_replaces_the_first_ones_objects(ledger):
    job_id = delivering(ledger)
    put(ledger, job_id, S.QUEUED)
    ledger.deliveries.begin(job_id, ledger.jobs.claim(job_id, S.ANALYSING, 30), Analysed(results()[1:], 1.0))
    assert ledger.deliveries.objects(job_id) == results()[1:]
    assert [d.sop_instance_uid for d in ledger.deliveries.of(job_id)] == ["2.25.2"]


# -- delivering ----------------------------------------------------------------------------------------------------

PENDING, DELIVERED, FAILED = DeliveryState.PENDING, DeliveryState.DELIVERED, DeliveryState.FAILED


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        ((DELIVERED, DELIVERED), S.DELIVERED),
        ((DELIVERED, FAILED), S.FAILED),
        ((FAILED, FAILED), S.FAILED),
        ((DELIVERED, PENDING), S.DELIVERING),
        ((FAILED, PENDING), S.DELIVERING),
    ],
)
def test_settle(ledger, answers, state):
    job_id = delivering(ledger)
    attempt = ledger.jobs.claim(job_id, S.DELIVERING, 30)
    answer(ledger, job_id, *answers)
    assert ledger.deliveries.settle(job_id, attempt) is state
    job = ledger.jobs.get(job_id)
    assert (job.state, job.lease_until) == (state, 0.0)
    assert job.reason == ("archive: failed words" if state is S.FAILED else "")


def test_one_destination_that_waits_keeps_the_job_delivering(ledger):
    job_id = delivering(ledger, [PACS, SECOND])
    attempt = ledger.jobs.claim(job_id, S.DELIVERING, 30)
    answer(ledger, job_id, DELIVERED, DELIVERED)
    assert ledger.deliveries.settle(job_id, attempt) is S.DELIVERING
    attempt = ledger.jobs.claim(job_id, S.DELIVERING, 30)
    answer(ledger, job_id, DELIVERED, DELIVERED, destination="second")
    assert ledger.deliveries.settle(job_id, attempt) is S.DELIVERED


def test_what_was_delivered_stays_delivered(ledger):
    job_id = delivering(ledger)
    answer(ledger, job_id, DELIVERED, DELIVERED)
    answer(ledger, job_id, FAILED, PENDING)
    assert {d.state for d in ledger.deliveries.of(job_id)} == {DELIVERED}


# -- retry ---------------------------------------------------------------------------------------------------------


def test_retry_sends_again_only_what_was_refused(ledger, clock):
    job_id = delivering(ledger)
    attempt = ledger.jobs.claim(job_id, S.DELIVERING, 30)
    answer(ledger, job_id, DELIVERED, FAILED)
    ledger.deliveries.settle(job_id, attempt)
    clock.now += 1000
    assert ledger.deliveries.retry(job_id) is S.DELIVERING
    first, second = ledger.deliveries.of(job_id)
    assert first.state is DELIVERED
    assert (second.state, second.attempts, second.next_attempt, second.opened) == (PENDING, 0, 0.0, clock.now)
    assert (ledger.jobs.get(job_id).reason, ledger.jobs.get(job_id).dispatched) == ("", 0.0)
    assert ledger.jobs.claim(job_id, S.DELIVERING, 30) is not None


@pytest.mark.parametrize("state", [S.FAILED, S.NOT_PROCESSED])
def test_retry_analyses_again_what_came_to_no_result(ledger, state):
    job_id = queued(ledger)
    ledger.jobs.finish(job_id, ledger.jobs.claim(job_id, S.ANALYSING, 30), state, "why")
    assert ledger.deliveries.retry(job_id) is S.COMPLETE


@pytest.mark.parametrize("state", [s for s in JobState if s not in (S.FAILED, S.NOT_PROCESSED)])
def test_retry_leaves_alone_what_has_not_ended_so(ledger, state):
    """One that is being delivered least of all: a worker may hold it."""
    job_id = delivering(ledger)
    answer(ledger, job_id, FAILED, DELIVERED)
    put(ledger, job_id, state)
    before = ledger.jobs.get(job_id)
    with pytest.raises(IllegalTransition, match=state):
        ledger.deliveries.retry(job_id)
    assert ledger.jobs.get(job_id) == before
    assert ledger.deliveries.of(job_id)[0].state is FAILED, "nothing of it is half done"


def test_retry_of_no_job_is_an_error(ledger):
    with pytest.raises(LedgerError):
        ledger.deliveries.retry("nobody")
