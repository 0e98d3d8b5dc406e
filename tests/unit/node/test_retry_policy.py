"""What a reply makes of a delivery, and when it is tried again."""

import itertools
from dataclasses import replace

import pytest

from node.delivery.retry import Reply, RetryPolicy, next_state
from node.dimse.status import Answer
from node.domain import Delivery, DeliveryState

POLICY = RetryPolicy(first_retry_s=10, longest_retry_s=3600, give_up_after_s=86400)
OPEN = Delivery("archive", "2.25.1", DeliveryState.PENDING, opened=1000.0)


def reply(answer, status=None, comment="words"):
    return Reply("2.25.1", answer, status, comment)


def test_stored_is_delivered():
    after = next_state(OPEN, reply(Answer.STORED, 0, ""), 2000.0, POLICY)
    assert (after.state, after.status, after.attempts, after.comment) == (DeliveryState.DELIVERED, 0, 1, "")


@pytest.mark.parametrize(("answer", "status"), [(Answer.REFUSED, 0xC000), (Answer.REFUSED, None)])
def test_what_is_refused_has_failed(answer, status):
    after = next_state(OPEN, reply(answer, status), 2000.0, POLICY)
    assert (after.state, after.status, after.comment) == (DeliveryState.FAILED, status, "words")


@pytest.mark.parametrize(("accept", "state"), [(True, DeliveryState.DELIVERED), (False, DeliveryState.FAILED)])
def test_what_is_stored_with_a_warning_is_delivered_with_a_note_unless_a_person_wants_to_look(accept, state):
    policy = replace(POLICY, accept_warnings=accept)
    after = next_state(OPEN, reply(Answer.WARNING, 0xB000), 2000.0, policy)
    assert (after.state, after.status, after.attempts, after.comment) == (state, 0xB000, 1, "words")


def test_what_was_not_tried_is_as_due_as_before():
    waiting = replace(OPEN, attempts=3, status=0xA700, next_attempt=1500.0)
    after = next_state(waiting, reply(Answer.NOT_TRIED), waiting.opened + 10 * POLICY.give_up_after_s, POLICY)
    assert after == replace(waiting, comment="words")


def test_what_got_no_answer_is_tried_again_later():
    after = next_state(OPEN, reply(Answer.UNANSWERED), 2000.0, POLICY)
    assert (after.state, after.status, after.attempts) == (DeliveryState.PENDING, None, 1)
    assert 2008 <= after.next_attempt <= 2012


def test_a_passing_failure_is_tried_again_later():
    after = next_state(OPEN, reply(Answer.TRY_AGAIN, 0xA700), 2000.0, POLICY)
    assert (after.state, after.status, after.attempts) == (DeliveryState.PENDING, 0xA700, 1)
    assert 2008 <= after.next_attempt <= 2012


def test_pauses_double_up_to_the_longest(monkeypatch):
    monkeypatch.setattr("random.uniform", lambda low, high: 1.0)
    delivery, pauses = OPEN, []
    for _ in range(12):
        delivery = next_state(delivery, reply(Answer.TRY_AGAIN), 2000.0, POLICY)
        pauses.append(delivery.next_attempt - 2000.0)
    assert pauses[:5] == [10, 20, 40, 80, 160]
    assert all(a <= b for a, b in itertools.pairwise(pauses))
    assert pauses[-1] == 3600
    assert POLICY.pause_s(100_000) == 3600, "no overflow after a long while"


def test_pauses_are_spread_so_that_jobs_do_not_come_back_all_at_once():
    assert len({POLICY.pause_s(1) for _ in range(20)}) > 1
    assert all(8 <= POLICY.pause_s(1) <= 12 for _ in range(100))


def test_gives_up_after_the_time_and_says_so():
    late = OPEN.opened + POLICY.give_up_after_s
    assert next_state(OPEN, reply(Answer.TRY_AGAIN), late - 1, POLICY).state is DeliveryState.PENDING
    after = next_state(OPEN, reply(Answer.TRY_AGAIN), late, POLICY)
    assert (after.state, after.comment) == (DeliveryState.FAILED, "given up: words")


def test_a_late_success_counts():
    late = OPEN.opened + 10 * POLICY.give_up_after_s
    failed_often = replace(OPEN, attempts=50)
    assert next_state(failed_often, reply(Answer.STORED, 0, ""), late, POLICY).state is DeliveryState.DELIVERED
