"""Jobs of the ledger: which states follow which, and how jobs are listed."""

import itertools

import pytest
from support.jobs import put, received
from support.records import instance

from node.domain import JobState
from node.errors import IllegalTransition, LedgerError
from node.ledger.states import TRANSITIONS

S = JobState

LEGAL = {
    (S.RECEIVING, S.COMPLETE),
    (S.COMPLETE, S.QUEUED),
    (S.COMPLETE, S.NOT_PROCESSED),
    (S.COMPLETE, S.HELD),
    (S.HELD, S.COMPLETE),
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
    (S.DELIVERED, S.DELIVERING),
    (S.COMMITTED, S.DELIVERING),
    (S.NOT_PROCESSED, S.COMPLETE),
    (S.NOT_PROCESSED, S.DELIVERING),
    (S.FAILED, S.COMPLETE),
    (S.FAILED, S.DELIVERING),
}


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


def test_jobs_by_age_the_newest_so_many_and_of_states(ledger, clock):
    for n in range(4):
        clock.now += 1
        ledger.arrivals.register(instance(1, study=f"1.2.{n}"))
    ledger.jobs.move(ledger.jobs.find()[0].job_id, S.COMPLETE)
    assert [job.study_uid for job in ledger.jobs.find()] == ["1.2.0", "1.2.1", "1.2.2", "1.2.3"]
    assert [job.study_uid for job in ledger.jobs.find(newest=2)] == ["1.2.2", "1.2.3"]
    assert [job.study_uid for job in ledger.jobs.find([S.COMPLETE])] == ["1.2.0"]
