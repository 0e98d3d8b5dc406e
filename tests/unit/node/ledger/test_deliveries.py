"""Deliveries of a job's objects: opened, recorded, given up; and how a job ends with them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.jobs import answer, delivering, put
from support.records import PACS, SECOND, results

from node.domain import Analysed, Cause, Delivery, DeliveryState, JobState

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
def test_a_job_ends_with_the_last_answer(ledger, answers, state):
    job_id = delivering(ledger)
    answer(ledger, job_id, *answers)
    job = ledger.jobs.get(job_id)
    assert (job.state, job.lease_until) == (state, 0.0)
    assert job.reason == ("archive: failed words" if state is S.FAILED else "")


def test_one_destination_that_waits_keeps_the_job_delivering(ledger):
    job_id = delivering(ledger, [PACS, SECOND])
    answer(ledger, job_id, DELIVERED, DELIVERED)
    assert ledger.jobs.get(job_id).state is S.DELIVERING
    answer(ledger, job_id, DELIVERED, DELIVERED, destination="second")
    assert ledger.jobs.get(job_id).state is S.DELIVERED


def test_two_senders_that_record_the_last_answers_at_once_end_the_job(ledger):
    """Neither may take the other's for pending still."""
    job_id = delivering(ledger, [PACS, SECOND])
    with ThreadPoolExecutor(2) as pool:
        list(
            pool.map(lambda name: answer(ledger, job_id, DELIVERED, DELIVERED, destination=name), ["archive", "second"])
        )
    assert ledger.jobs.get(job_id).state is S.DELIVERED


def test_a_job_whose_objects_are_all_there_ends_at_once(ledger):
    first = delivering(ledger)
    answer(ledger, first, DELIVERED, DELIVERED)
    again = ledger.jobs.add(ledger.jobs.get(first).study_uid, Cause.WISH)
    ledger.jobs.route(again, [PACS])
    ledger.deliveries.begin(again, ledger.jobs.claim(again, S.ANALYSING, 30), Analysed(results(), 1.0))
    assert ledger.jobs.get(again).state is S.DELIVERED
    assert [row["after"] for row in ledger.jobs.history(again)][-2:] == ["delivering", "delivered"]
    assert ledger.senders.due() == []


def test_what_was_delivered_stays_delivered(ledger):
    job_id = delivering(ledger)
    answer(ledger, job_id, DELIVERED, DELIVERED)
    answer(ledger, job_id, FAILED, PENDING)
    assert {d.state for d in ledger.deliveries.of(job_id)} == {DELIVERED}


def test_what_is_due_is_what_is_pending_and_not_in_its_pause(ledger, clock):
    job_id = delivering(ledger, [PACS, SECOND])
    attempt = ledger.senders.claim("archive", 30)
    again = Delivery("archive", "2.25.1", PENDING, 0xA700, 1, clock.now + 10)
    ledger.deliveries.record(job_id, attempt, again)
    assert list(ledger.deliveries.due(job_id, "archive")) == ["2.25.2"]
    assert list(ledger.deliveries.due(job_id, "second")) == ["2.25.1", "2.25.2"]
    clock.now += 10
    assert ledger.deliveries.due(job_id, "archive")["2.25.1"].status == 0xA700


def test_pauses_that_start_anew_end_sooner_and_never_later(ledger, clock):
    job_id = delivering(ledger, [PACS, SECOND])
    attempt = ledger.senders.claim("archive", 30)
    for uid, attempts, pause_s in (("2.25.1", 9, 3600), ("2.25.2", 1, 5)):
        ledger.deliveries.record(
            job_id, attempt, Delivery("archive", uid, PENDING, None, attempts, clock.now + pause_s)
        )
    ledger.deliveries.start_anew(job_id, attempt, "archive", clock.now + 10)
    assert [(d.attempts, d.next_attempt - clock.now) for d in ledger.deliveries.of(job_id)][:2] == [(1, 10), (1, 5)]


def test_what_is_overdue_at_a_destination_that_does_not_answer_is_given_up_and_the_rest_is_not(ledger, clock):
    old = delivering(ledger, [PACS, SECOND])
    clock.now += 100
    new = again(ledger, old, [PACS])
    attempt = ledger.senders.claim("archive", 30)
    assert ledger.deliveries.give_up("archive", attempt, clock.now - 100, "given up: no answer") == 1
    assert [(d.destination, d.state) for d in ledger.deliveries.of(old)] == [
        ("archive", FAILED),
        ("archive", FAILED),
        ("second", PENDING),
        ("second", PENDING),
    ]
    assert {d.state for d in ledger.deliveries.of(new)} == {PENDING}
    assert ledger.jobs.get(old).state is S.DELIVERING
    answer(ledger, old, DELIVERED, DELIVERED, destination="second")
    assert (ledger.jobs.get(old).state, ledger.jobs.get(old).reason) == (S.FAILED, "archive: given up: no answer")


def again(ledger, job_id, destinations):
    """Analyse a job's study once more, with other objects; return the new job's id."""
    job = ledger.jobs.add(ledger.jobs.get(job_id).study_uid, Cause.WISH)
    ledger.jobs.route(job, destinations)
    made = [replace(one, sop_instance_uid=one.sop_instance_uid + "0") for one in results()]
    ledger.deliveries.begin(job, ledger.jobs.claim(job, S.ANALYSING, 30), Analysed(made, 1.0))
    return job
