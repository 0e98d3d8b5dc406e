"""Each destination has one sender, and is left alone while it does not answer."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.jobs import answer, delivering, put
from support.records import PACS, SECOND

from node.domain import Delivery, DeliveryState, JobState
from node.errors import LeaseLost
from node.kinds import ObjectKind
from node.ledger.deliveries import Replacement

S = JobState
PENDING, DELIVERED = DeliveryState.PENDING, DeliveryState.DELIVERED


def test_one_worker_only_sends_to_a_destination(ledger):
    delivering(ledger)
    with ThreadPoolExecutor(8) as pool:
        attempts = list(pool.map(lambda _: ledger.senders.claim("archive", 30), range(8)))
    assert sorted(attempts, key=str) == [1, *[None] * 7]
    assert ledger.senders.claim("nobody", 30) is None


def test_the_sender_of_one_is_no_hindrance_to_another(ledger):
    job_id = delivering(ledger, [PACS, SECOND])
    assert ledger.senders.claim("archive", 30) == 1
    assert ledger.senders.due() == [(job_id, "second")]
    assert ledger.senders.claim("second", 30) == 1
    assert ledger.senders.due() == []


def test_a_lease_that_ran_out_goes_to_another_and_the_zombie_records_nothing(ledger, clock):
    job_id = delivering(ledger)
    zombie = ledger.senders.claim("archive", 30)
    clock.now += 29
    assert ledger.senders.claim("archive", 30) is None
    assert ledger.senders.renew("archive", zombie, 30)
    clock.now += 31
    assert ledger.senders.due() == [(job_id, "archive")]
    alive = ledger.senders.claim("archive", 30)
    assert alive == zombie + 1
    assert not ledger.senders.renew("archive", zombie, 30)
    delivery = Delivery("archive", "2.25.1", DELIVERED, 0, 1)
    for write in (
        lambda attempt: ledger.deliveries.record(job_id, attempt, delivery),
        lambda attempt: ledger.deliveries.replace(job_id, attempt, Replacement("archive", ObjectKind.SR, [], "")),
        lambda attempt: ledger.deliveries.start_anew(job_id, attempt, "archive", 0.0),
        lambda attempt: ledger.senders.next_job("archive", attempt),
        lambda attempt: ledger.senders.leave_alone("archive", attempt, float, "no answer"),
        lambda attempt: ledger.senders.release("archive", attempt),
    ):
        with pytest.raises(LeaseLost, match="archive"):
            write(zombie)
    assert {d.state for d in ledger.deliveries.of(job_id)} == {PENDING}
    ledger.deliveries.record(job_id, alive, delivery)


def test_a_sender_that_let_go_records_nothing_more(ledger):
    job_id = delivering(ledger)
    attempt = ledger.senders.claim("archive", 30)
    ledger.senders.release("archive", attempt)
    with pytest.raises(LeaseLost):
        ledger.deliveries.record(job_id, attempt, Delivery("archive", "2.25.1", DELIVERED, 0, 1))
    assert ledger.senders.claim("archive", 30) == attempt + 1


def test_a_sender_goes_on_to_the_job_that_has_waited_longest_and_lets_go_after_the_last(ledger, clock):
    job_id = delivering(ledger)
    attempt = ledger.senders.claim("archive", 30)
    assert ledger.senders.next_job("archive", attempt) == job_id
    for uid, pause_s in (("2.25.1", 20), ("2.25.2", 10)):
        ledger.deliveries.record(job_id, attempt, Delivery("archive", uid, PENDING, 0xA700, 1, clock.now + pause_s))
    assert ledger.senders.next_job("archive", attempt) is None
    assert ledger.senders.due() == []
    clock.now += 10
    assert ledger.senders.due() == [(job_id, "archive")]
    assert ledger.senders.claim("archive", 30) == attempt + 1


@pytest.mark.parametrize("state", [s for s in JobState if s is not S.DELIVERING])
def test_a_job_in_another_state_is_not_sent(ledger, state):
    put(ledger, delivering(ledger), state)
    assert ledger.senders.due() == []


def test_a_job_that_a_worker_of_the_version_before_holds_is_left_to_it(ledger, clock):
    job_id = delivering(ledger)
    ledger.jobs.claim(job_id, S.DELIVERING, 30)
    attempt = ledger.senders.claim("archive", 30)
    assert ledger.senders.next_job("archive", attempt) is None
    clock.now += 31
    assert ledger.senders.due() == [(job_id, "archive")]


def test_a_destination_that_does_not_answer_is_left_alone_by_everybody(ledger, clock):
    job_id = delivering(ledger, [PACS, SECOND])
    began = clock.now
    for failures in (1, 2, 3):
        attempt = ledger.senders.claim("archive", 30)
        assert (
            ledger.senders.leave_alone("archive", attempt, lambda n: 10.0 * n, "no answer") == clock.now + 10 * failures
        )
        assert ledger.senders.next_job("archive", attempt) is None, "and the sender lets go"
        silence = ledger.senders.silent()["archive"]
        assert (silence.failures, silence.since, silence.comment) == (failures, began, "no answer")
        clock.now += 10 * failures - 1
        assert ledger.senders.claim("archive", 30) is None
        assert ledger.senders.due() == [(job_id, "second")]
        clock.now += 1
        assert (job_id, "archive") in ledger.senders.due()
    attempt = ledger.senders.claim("archive", 30)
    assert ledger.senders.answers("archive", attempt)
    assert not ledger.senders.answers("archive", attempt), "that is no news"
    assert ledger.senders.silent() == {}


def test_a_clock_that_is_set_back_keeps_no_destination_waiting(ledger, clock):
    job_id = delivering(ledger, [PACS, SECOND])
    ledger.senders.leave_alone("archive", ledger.senders.claim("archive", 30), lambda _: 10.0, "no answer")
    ledger.senders.claim("second", 30)
    clock.now -= 3600
    ledger.jobs.clock_set_back(3600)
    clock.now += 31
    assert sorted(ledger.senders.due()) == [(job_id, "archive"), (job_id, "second")]


def test_answers_of_the_last_objects_leave_nothing_due(ledger):
    job_id = delivering(ledger)
    answer(ledger, job_id, DELIVERED, DELIVERED)
    assert ledger.senders.due() == []
    assert ledger.deliveries.waiting(job_id) == []
