"""Jobs that a person retries: what is sent again, in which order, and to whom."""

import pytest
from support.jobs import answer, delivering, put, queued
from support.records import PACS, SECOND, results

from node.domain import Analysed, Cause, Delivery, DeliveryState, Destination, JobState, ResultObject
from node.errors import IllegalTransition, LedgerError
from node.kinds import ObjectKind
from node.ledger.deliveries import Replacement
from node.ledger.retries import Retry

S, K = JobState, ObjectKind
PENDING, DELIVERED, FAILED = DeliveryState.PENDING, DeliveryState.DELIVERED, DeliveryState.FAILED
REPLACED = DeliveryState.REPLACED
WAITS = [S.RECEIVING, S.COMPLETE, S.QUEUED, S.ANALYSING]


def states(ledger, job_id, destination="archive"):
    return {d.sop_instance_uid: d.state for d in ledger.deliveries.of(job_id) if d.destination == destination}


def refuse(ledger, job_id, kind, instead, state):
    """Let the archive refuse the objects of a kind, and record how the one sent instead ended."""
    attempt = ledger.senders.claim("archive", 30)
    ledger.deliveries.replace(job_id, attempt, Replacement("archive", kind, [instead], f"sent as {instead.kind}"))
    ledger.deliveries.record(job_id, attempt, Delivery("archive", instead.sop_instance_uid, state, 0xC000, 1))
    ledger.senders.release("archive", attempt)


def made(kind, uid):
    return ResultObject(kind, "1.2", uid, "2.25.19", results()[0].path)


COMPREHENSIVE = made(K.SR_COMPREHENSIVE, "2.25.3")
PAGE = made(K.SC, "2.25.4")


def test_what_was_refused_is_sent_again_and_nothing_else(ledger, clock):
    job_id = delivering(ledger)
    answer(ledger, job_id, DELIVERED, FAILED)
    clock.now += 1000
    assert ledger.deliveries.retry(job_id) is S.DELIVERING
    first, second = ledger.deliveries.of(job_id)
    assert first.state is DELIVERED
    assert (second.state, second.attempts, second.next_attempt, second.opened) == (PENDING, 0, 0.0, clock.now)
    assert (ledger.jobs.get(job_id).reason, ledger.jobs.get(job_id).dispatched) == ("", 0.0)
    assert ledger.senders.due() == [(job_id, "archive")]


@pytest.mark.parametrize("state", [S.FAILED, S.NOT_PROCESSED])
def test_what_came_to_no_result_is_analysed_again(ledger, state):
    job_id = queued(ledger)
    ledger.jobs.finish(job_id, ledger.jobs.claim(job_id, S.ANALYSING, 30), state, "why")
    assert ledger.deliveries.retry(job_id) is S.COMPLETE


@pytest.mark.parametrize("state", WAITS)
def test_what_is_on_its_way_to_an_analysis_is_left_alone(ledger, state):
    job_id = delivering(ledger)
    answer(ledger, job_id, FAILED, DELIVERED)
    put(ledger, job_id, state)
    before = ledger.jobs.get(job_id)
    with pytest.raises(IllegalTransition, match=f"is {state}: it goes on by itself"):
        ledger.deliveries.retry(job_id, Retry(now=True, again=True))
    assert ledger.jobs.get(job_id) == before
    assert ledger.deliveries.of(job_id)[0].state is FAILED, "nothing of it is half done"


def test_no_job_is_an_error(ledger):
    with pytest.raises(LedgerError):
        ledger.deliveries.retry("nobody")


def test_a_job_that_waits_keeps_its_pauses_unless_they_are_to_end_now(ledger, clock):
    job_id = delivering(ledger, [PACS, SECOND])
    attempt = ledger.senders.claim("archive", 30)
    ledger.deliveries.record(job_id, attempt, Delivery("archive", "2.25.1", PENDING, 0xA700, 7, clock.now + 3600))
    ledger.senders.leave_alone("archive", attempt, lambda _: 300.0, "no answer")
    ledger.senders.release("archive", attempt)
    ledger.senders.leave_alone("second", ledger.senders.claim("second", 30), lambda _: 300.0, "no answer")
    assert ledger.deliveries.retry(job_id) is S.DELIVERING
    assert ledger.deliveries.of(job_id)[0].attempts == 7
    assert ledger.senders.due() == []
    assert ledger.deliveries.retry(job_id, Retry(now=True, to="archive")) is S.DELIVERING
    assert (ledger.deliveries.of(job_id)[0].attempts, ledger.deliveries.of(job_id)[0].next_attempt) == (0, 0.0)
    assert ledger.senders.due() == [(job_id, "archive")]
    assert list(ledger.senders.silent()) == ["second"], "nobody asked for that one"


@pytest.mark.parametrize("state", [S.DELIVERED, S.COMMITTED, S.FAILED, S.DELIVERING])
def test_objects_that_were_refused_are_offered_again_before_their_replacements(ledger, state):
    """Whatever became of the job; a replacement that is not there yet is withdrawn."""
    job_id = delivering(ledger)
    refuse(ledger, job_id, K.SR, COMPREHENSIVE, FAILED)
    refuse(ledger, job_id, K.SR_COMPREHENSIVE, PAGE, FAILED)
    put(ledger, job_id, state)
    assert ledger.deliveries.retry(job_id) is S.DELIVERING
    assert states(ledger, job_id) == {"2.25.1": PENDING, "2.25.2": PENDING}
    refuse(ledger, job_id, K.SR, COMPREHENSIVE, DELIVERED)
    assert states(ledger, job_id) == {"2.25.1": PENDING, "2.25.2": REPLACED, "2.25.3": DELIVERED}


def test_a_replacement_that_was_delivered_is_left_as_it_is(ledger):
    job_id = delivering(ledger)
    refuse(ledger, job_id, K.SR, COMPREHENSIVE, DELIVERED)
    answer(ledger, job_id, DELIVERED, REPLACED)
    assert ledger.jobs.get(job_id).state is S.DELIVERED
    assert ledger.deliveries.retry(job_id) is S.DELIVERING
    assert states(ledger, job_id) == {"2.25.1": DELIVERED, "2.25.2": PENDING, "2.25.3": DELIVERED}
    refuse(ledger, job_id, K.SR, COMPREHENSIVE, DELIVERED)
    assert ledger.jobs.get(job_id).state is S.DELIVERED


def test_a_replacement_that_the_destination_wants_anyway_is_not_withdrawn(ledger):
    job_id = delivering(ledger, [Destination("archive", "PACS", "h", 1, (K.SEG, K.SR, K.SR_COMPREHENSIVE))])
    refuse(ledger, job_id, K.SR, COMPREHENSIVE, FAILED)
    assert ledger.deliveries.retry(job_id) is S.DELIVERING
    assert set(states(ledger, job_id)) == {"2.25.1", "2.25.2", "2.25.3"}


def test_a_job_whose_objects_are_all_there_is_not_sent_again_by_mistake(ledger):
    job_id = delivering(ledger)
    answer(ledger, job_id, DELIVERED, DELIVERED)
    history = ledger.jobs.history(job_id)
    assert ledger.deliveries.retry(job_id) is S.DELIVERED
    assert ledger.deliveries.retry(job_id, Retry(now=True, to="archive")) is S.DELIVERED
    assert ledger.jobs.history(job_id) == history
    assert set(states(ledger, job_id).values()) == {DELIVERED}


def test_an_archive_that_has_lost_everything_gets_it_again(ledger):
    job_id = delivering(ledger, [PACS, SECOND])
    refuse(ledger, job_id, K.SR, COMPREHENSIVE, DELIVERED)
    answer(ledger, job_id, DELIVERED, REPLACED)
    answer(ledger, job_id, DELIVERED, DELIVERED, destination="second")
    assert ledger.deliveries.retry(job_id, Retry(to="archive", again=True)) is S.DELIVERING
    assert states(ledger, job_id) == {"2.25.1": PENDING, "2.25.2": PENDING}, "the replacement only if it must be"
    assert set(states(ledger, job_id, "second").values()) == {DELIVERED}


def test_a_retry_may_mean_one_destination_only(ledger):
    job_id = delivering(ledger, [PACS, SECOND])
    answer(ledger, job_id, FAILED, FAILED)
    answer(ledger, job_id, FAILED, FAILED, destination="second")
    assert ledger.deliveries.retry(job_id, Retry(to="second")) is S.DELIVERING
    assert set(states(ledger, job_id).values()) == {FAILED}
    assert set(states(ledger, job_id, "second").values()) == {PENDING}
    answer(ledger, job_id, DELIVERED, DELIVERED, destination="second")
    assert (ledger.jobs.get(job_id).state, ledger.jobs.get(job_id).reason) == (S.FAILED, "archive: failed words")


def test_a_destination_that_is_new_receives_what_it_is_configured_to(ledger):
    job_id = delivering(ledger)
    answer(ledger, job_id, DELIVERED, DELIVERED)
    assert ledger.deliveries.retry(job_id, Retry(to="second", kinds=(K.SEG,))) is S.DELIVERING
    assert states(ledger, job_id, "second") == {"2.25.1": PENDING}
    assert ledger.jobs.get(job_id).plan == {"archive": (K.SEG, K.SR), "second": (K.SEG,)}
    assert ledger.senders.due() == [(job_id, "second")]


def test_a_new_destination_is_not_sent_what_another_job_of_the_study_has_brought(ledger):
    first = delivering(ledger, [PACS, SECOND])
    answer(ledger, first, DELIVERED, DELIVERED)
    answer(ledger, first, DELIVERED, DELIVERED, destination="second")
    other = ledger.jobs.add(ledger.jobs.get(first).study_uid, Cause.WISH)
    ledger.jobs.route(other, [PACS])
    ledger.deliveries.begin(other, ledger.jobs.claim(other, S.ANALYSING, 30), Analysed(results(), 1.0))
    assert ledger.deliveries.retry(other, Retry(to="second", kinds=(K.SEG, K.SR))) is S.DELIVERED
    assert set(states(ledger, other, "second").values()) == {DELIVERED}


@pytest.mark.parametrize(
    ("kinds", "words"),
    [((), "is neither a destination of job"), ((K.SEG, K.CAD), "receives cad, which job .* has not made")],
)
def test_a_destination_that_cannot_be_sent_to_is_an_error_and_nothing_changes(ledger, kinds, words):
    job_id = delivering(ledger)
    answer(ledger, job_id, FAILED, DELIVERED)
    before = ledger.jobs.get(job_id), ledger.deliveries.of(job_id)
    with pytest.raises(LedgerError, match=words):
        ledger.deliveries.retry(job_id, Retry(to="second", kinds=kinds))
    assert (ledger.jobs.get(job_id), ledger.deliveries.of(job_id)) == before


def test_a_study_without_results_cannot_be_sent_anywhere(ledger):
    job_id = queued(ledger)
    ledger.jobs.finish(job_id, ledger.jobs.claim(job_id, S.ANALYSING, 30), S.FAILED, "why")
    with pytest.raises(LedgerError, match="no results"):
        ledger.deliveries.retry(job_id, Retry(to="second", kinds=(K.SEG,)))


def test_a_study_whose_analysis_failed_is_analysed_again_though_its_report_was_replaced(ledger):
    job_id = queued(ledger)
    attempt = ledger.jobs.claim(job_id, S.ANALYSING, 30)
    ledger.deliveries.begin(job_id, attempt, Analysed(results()[1:], 1.0, "failed", "out of memory"))
    refuse(ledger, job_id, K.SR, COMPREHENSIVE, DELIVERED)
    assert (ledger.jobs.get(job_id).state, ledger.jobs.get(job_id).reason) == (S.FAILED, "out of memory")
    assert ledger.deliveries.retry(job_id) is S.COMPLETE
