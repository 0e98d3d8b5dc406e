"""Deliveries of a job's objects: opened, settled, and tried again."""

import pytest
from support.jobs import answer, delivering, put, queued
from support.records import PACS, SECOND, results

from node.domain import Analysed, DeliveryState, JobState
from node.errors import IllegalTransition, LedgerError

S = JobState

PENDING, DELIVERED, FAILED = DeliveryState.PENDING, DeliveryState.DELIVERED, DeliveryState.FAILED


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
    """Least of all one that is being delivered: a worker may hold it."""
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
