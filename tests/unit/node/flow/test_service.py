"""The reconciler: what the ledger says is unfinished goes on, whatever was lost on the way."""

import time

import pytest
from support.flow import LEASE_S, S, delivering, four_views, queued
from support.records import CT, STUDY, instance, results

from node.domain import Analysed, Delivery, DeliveryState
from node.errors import IllegalTransition
from node.flow.dispatch import ANALYSE, DELIVER
from node.ledger.schema import deliveries, jobs

# -- assembly and routing ------------------------------------------------------------------------------------------


def test_a_complete_study_is_queued_for_its_destinations(node, ledger, queue, clock):
    job_id = queued(node)
    job = ledger.jobs.get(job_id)
    assert (job.state, job.destinations, job.dispatched) == (S.QUEUED, ("archive",), clock.now)
    assert queue.waiting == [(ANALYSE, job_id)]
    node.assemble()
    node.reconciler.reconcile()
    assert queue.waiting == [(ANALYSE, job_id)], "once"


def test_an_incomplete_study_waits_for_silence(node, ledger, clock):
    ledger.arrivals.register(instance(1))
    node.assemble()
    assert ledger.jobs.find()[0].state is S.RECEIVING
    clock.now += 10
    node.assemble()
    assert ledger.jobs.find()[0].state is S.QUEUED


def test_an_open_association_counts_only_for_its_own_study(node, ledger, clock):
    ledger.associations.brings(ledger.associations.open("MODALITY"), STUDY)
    ledger.arrivals.register(instance(1))
    ledger.arrivals.register(instance(1, study="1.2.3"))
    clock.now += 10
    node.assemble()
    assert {job.study_uid: job.state for job in ledger.jobs.find()} == {STUDY: S.RECEIVING, "1.2.3": S.QUEUED}


def test_a_study_without_mammograms_is_not_processed(node, ledger, queue, clock):
    ledger.arrivals.register(instance(1, sop_class_uid=CT, modality="CT"))
    clock.now += 10
    node.assemble()
    (job,) = ledger.jobs.find()
    assert job.state is S.NOT_PROCESSED
    assert "CT" in job.reason
    assert queue.waiting == []


def test_a_job_that_was_completed_and_not_routed_is_routed(node, ledger, queue):
    job_id = four_views(ledger)
    ledger.jobs.move(job_id, S.COMPLETE)
    node.reconciler.reconcile()
    assert ledger.jobs.get(job_id).state is S.QUEUED
    assert queue.waiting == [(ANALYSE, job_id)]


def test_another_node_on_the_same_ledger_may_be_faster(node, ledger, queue, monkeypatch):
    slow, other = four_views(ledger), four_views(ledger, "1.2.3")
    real = ledger.jobs.move

    def move(job_id, to, **values):
        if job_id == slow:
            real(job_id, S.COMPLETE)
            real(job_id, S.QUEUED)
            raise IllegalTransition("it is elsewhere")
        real(job_id, to, **values)

    monkeypatch.setattr(ledger.jobs, "move", move)
    node.assemble()
    assert ledger.jobs.get(other).state is S.QUEUED, "the rest goes on"
    assert queue.waiting == [(ANALYSE, other)]


# -- a lost message ------------------------------------------------------------------------------------------------


def test_a_queued_job_is_dispatched_again_only_when_the_queue_is_empty(node, queue, clock):
    job_id = queued(node)
    clock.now += LEASE_S + 1
    node.reconciler.reconcile()
    assert queue.waiting == [(ANALYSE, job_id)], "it still waits there"
    queue.waiting.clear()
    node.reconciler.reconcile()
    assert queue.waiting == [(ANALYSE, job_id)]


def test_a_job_that_was_dispatched_just_now_is_left_alone(node, queue, clock):
    queued(node)
    queue.waiting.clear()
    clock.now += LEASE_S - 1
    node.reconciler.reconcile()
    assert queue.waiting == []


def test_a_wiped_queue_gets_everything_back_at_once(node, queue, clock):
    job_ids = {queued(node, f"1.2.{n}") for n in range(5)}
    queue.waiting.clear()
    queue.asked = 0
    clock.now += LEASE_S + 1
    node.reconciler.reconcile()
    assert {job_id for _, job_id in queue.waiting} == job_ids
    assert queue.asked == 1, "not a connection a job"


# -- a dead worker -------------------------------------------------------------------------------------------------


def test_an_analysis_whose_lease_holds_is_left_alone(node, ledger, queue, clock):
    job_id = queued(node)
    queue.waiting.clear()
    ledger.jobs.claim(job_id, S.ANALYSING, LEASE_S)
    clock.now += LEASE_S - 1
    node.reconciler.reconcile()
    assert ledger.jobs.get(job_id).state is S.ANALYSING
    assert queue.waiting == []


def test_an_analysis_whose_lease_ran_out_is_queued_again(node, ledger, queue, clock):
    job_id = queued(node)
    queue.waiting.clear()
    dead = ledger.jobs.claim(job_id, S.ANALYSING, LEASE_S)
    clock.now += LEASE_S
    node.reconciler.reconcile()
    assert ledger.jobs.get(job_id).state is S.QUEUED
    assert queue.waiting == [(ANALYSE, job_id)]
    assert not ledger.jobs.renew(job_id, dead, LEASE_S)


def test_a_study_that_kills_every_worker_fails_with_its_reason(node, ledger, queue, clock):
    job_id = queued(node)
    for _ in range(3):
        assert ledger.jobs.get(job_id).state is S.QUEUED
        ledger.jobs.claim(job_id, S.ANALYSING, LEASE_S)
        clock.now += LEASE_S
        queue.waiting.clear()
        node.reconciler.reconcile()
    job = ledger.jobs.get(job_id)
    assert (job.state, job.reason) == (S.FAILED, "the worker died 3 times while analysing this study")
    assert queue.waiting == []


def test_a_retried_study_gets_all_its_attempts_again(node, ledger, clock):
    job_id = queued(node)
    for round_ in range(2):
        for _ in range(3):
            ledger.jobs.claim(job_id, S.ANALYSING, LEASE_S)
            clock.now += LEASE_S
            node.reconciler.reconcile()
        assert ledger.jobs.get(job_id).state is S.FAILED, round_
        ledger.deliveries.retry(job_id)
        node.reconciler.reconcile()
    assert ledger.jobs.get(job_id).state is S.QUEUED


# -- delivery ------------------------------------------------------------------------------------------------------


def test_a_delivery_that_is_due_is_dispatched(node, ledger, queue, clock):
    job_id = delivering(node, clock)
    node.reconciler.reconcile()
    assert queue.waiting == [(DELIVER, job_id, "archive")]
    clock.now += 60
    node.reconciler.reconcile()
    assert queue.waiting == [(DELIVER, job_id, "archive")], "it waits there already"


def test_a_delivery_in_its_pause_waits(node, ledger, queue, clock):
    job_id = delivering(node, clock)
    attempt = ledger.senders.claim("archive", LEASE_S)
    for uid in ("2.25.1", "2.25.2"):
        again = Delivery("archive", uid, DeliveryState.PENDING, 0xA700, 1, clock.now + 100)
        ledger.deliveries.record(job_id, attempt, again)
    assert ledger.senders.next_job("archive", attempt) is None
    node.reconciler.reconcile()
    assert queue.waiting == []
    clock.now += 100
    node.reconciler.reconcile()
    assert queue.waiting == [(DELIVER, job_id, "archive")]


@pytest.mark.parametrize("version", ["this", "the one before"])
def test_a_delivery_that_a_worker_is_busy_with_is_left_alone(node, ledger, queue, clock, version):
    """A worker of this version holds the destination, one of the version before the whole job."""
    job_id = delivering(node, clock)
    if version == "this":
        ledger.senders.claim("archive", LEASE_S)
    else:
        ledger.jobs.claim(job_id, S.DELIVERING, LEASE_S)
    clock.now += LEASE_S - 1
    node.reconciler.reconcile()
    assert queue.waiting == []
    clock.now += 2
    node.reconciler.reconcile()
    assert queue.waiting == [(DELIVER, job_id, "archive")]


def test_a_job_ends_with_its_last_answer(node, ledger, clock):
    job_id = delivering(node, clock)
    attempt = ledger.senders.claim("archive", LEASE_S)
    for uid, state in (("2.25.1", S.DELIVERING), ("2.25.2", S.DELIVERED)):
        ledger.deliveries.record(job_id, attempt, Delivery("archive", uid, DeliveryState.DELIVERED, 0, 1))
        assert ledger.jobs.get(job_id).state is state


def test_a_job_whose_last_answer_an_earlier_version_recorded_before_it_died_ends_too(node, ledger, queue, clock):
    job_id = delivering(node, clock)
    with ledger.database.engine.begin() as connection:
        connection.execute(deliveries.update().values(state=DeliveryState.DELIVERED))
    node.reconciler.reconcile()
    assert (ledger.jobs.get(job_id).state, queue.waiting) == (S.DELIVERED, [])


def test_many_jobs_for_a_destination_are_one_message(node, ledger, queue, clock):
    """Its sender goes on from job to job."""
    first = delivering(node, clock)
    for n in range(3):
        other = queued(node, f"1.2.{n}")
        ledger.deliveries.begin(other, ledger.jobs.claim(other, S.ANALYSING, LEASE_S), Analysed(results(), 1.0))
    queue.waiting.clear()
    node.reconciler.reconcile()
    assert queue.waiting == [(DELIVER, first, "archive")]


def test_what_has_ended_is_never_dispatched(node, ledger, queue, clock):
    job_id = delivering(node, clock)
    for state in (S.DELIVERED, S.COMMITTED, S.FAILED, S.NOT_PROCESSED):
        with ledger.database.engine.begin() as connection:
            connection.execute(jobs.update().values(state=state))
        node.reconciler.reconcile()
        assert (ledger.jobs.get(job_id).state, queue.waiting) == (state, [])


# -- the queue is down ---------------------------------------------------------------------------------------------


def test_a_queue_that_is_down_keeps_the_job_and_gets_it_when_it_is_back(node, ledger, queue, clock):
    queue.up = False
    job_id = queued(node)
    assert (ledger.jobs.get(job_id).state, ledger.jobs.get(job_id).dispatched) == (S.QUEUED, 0.0)
    node.reconciler.reconcile()
    assert ledger.jobs.get(job_id).state is S.QUEUED
    queue.up = True
    node.reconciler.reconcile()
    assert queue.waiting == [(ANALYSE, job_id)]
    assert ledger.jobs.get(job_id).dispatched == clock.now


def test_a_queue_that_is_down_does_not_lose_a_delivery(node, ledger, queue, clock):
    job_id = delivering(node, clock)
    queue.up = False
    node.reconciler.reconcile()
    assert ledger.jobs.get(job_id).state is S.DELIVERING
    queue.up = True
    node.reconciler.reconcile()
    assert queue.waiting == [(DELIVER, job_id, "archive")]


# -- the thread ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError("disk"), IllegalTransition("elsewhere")])
def test_an_error_does_not_end_the_thread(node, ledger, queue, monkeypatch, error):
    real, failed = node.assemble, []

    def assemble():
        if not failed:
            failed.append(1)
            raise error
        real()

    monkeypatch.setattr(node, "assemble", assemble)
    monkeypatch.setattr("node.flow.service._TICK_S", 0.02)
    job_id = four_views(ledger)
    node.start()
    try:
        deadline = time.monotonic() + 5
        while not queue.waiting and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        node.stop()
    assert queue.waiting == [(ANALYSE, job_id)]


def test_start_removes_what_was_never_acknowledged(node):
    half = node.spool.incoming / "half.dcm"
    half.write_bytes(b"half")
    node.start()
    node.stop()
    assert not half.exists()


def test_a_node_that_never_started_can_be_stopped(node):
    node.stop()
