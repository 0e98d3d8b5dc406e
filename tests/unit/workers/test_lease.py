"""A worker's hold on a job or a destination, and the delivery task that works under it."""

import logging
import os
import threading
import time

import pytest
from support.jobs import queued
from support.peers import wait_for
from support.records import PACS, configuration, results

from node.delivery.retry import Reply
from node.dimse.status import Answer
from node.domain import Analysed, DeliveryState, JobState
from node.errors import LeaseLost
from node.settings import QueueSection
from node.store.spool import Spool
from workers import deliver
from workers.claim import Claim
from workers.sender import Sender

S = JobState


@pytest.fixture
def job_id(ledger):
    return queued(ledger)


@pytest.fixture
def delivering(ledger, job_id):
    ledger.deliveries.begin(job_id, ledger.jobs.claim(job_id, S.ANALYSING, 30), Analysed(results(), 1.0))
    return job_id


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


def run(ledger, job_id, spool, destinations=(PACS,)):
    deliver.DeliveryTask(configuration(destinations), ledger, spool).run(job_id)


def replying(*answers):
    def send(destination, wanted, calling_ae, limit_s):
        for result, (answer, status) in zip(wanted, answers, strict=True):
            yield Reply(result.sop_instance_uid, answer, status, answer.value)

    return send


def test_a_lease_is_renewed_while_the_work_goes_on(ledger, job_id):
    attempt = ledger.jobs.claim(job_id, S.ANALYSING, 0.3)
    first = ledger.jobs.get(job_id).lease_until
    with Claim(ledger, job_id, attempt, QueueSection(lease_s=0.3, task_limit_s=60)):
        wait_for(lambda: ledger.jobs.get(job_id).lease_until > first + 0.3)
        assert ledger.jobs.claim(job_id, S.ANALYSING, 30) is None
    assert "lease-" not in str(threading.enumerate())


def test_a_lease_is_no_longer_renewed_after_the_work(ledger, job_id):
    attempt = ledger.jobs.claim(job_id, S.ANALYSING, 0.3)
    with (
        pytest.raises(ValueError, match="work"),
        Claim(ledger, job_id, attempt, QueueSection(lease_s=0.3, task_limit_s=60)),
    ):
        raise ValueError("work")
    wait_for(lambda: ledger.jobs.claim(job_id, S.ANALYSING, 30) is not None)


def test_a_lost_lease_is_noticed_and_the_work_is_not_recorded(ledger, job_id, caplog):
    attempt = ledger.jobs.claim(job_id, S.ANALYSING, 0.15)
    with Claim(ledger, job_id, attempt, QueueSection(lease_s=0.15, task_limit_s=60)):
        ledger.jobs.move(job_id, S.QUEUED, lease_until=0.0)
        wait_for(lambda: "lease lost" in caplog.text)
        with pytest.raises(LeaseLost):
            ledger.deliveries.begin(job_id, attempt, Analysed(results(), 1.0))
    assert ledger.jobs.get(job_id).state is S.QUEUED


def test_a_task_over_its_limit_ends_the_process(ledger, job_id, monkeypatch):
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    attempt = ledger.jobs.claim(job_id, S.ANALYSING, 30)
    with Claim(ledger, job_id, attempt, QueueSection(lease_s=0.06, task_limit_s=0.05)):
        wait_for(lambda: codes)
    assert set(codes) == {70}


def test_deliver_sends_what_is_due_and_settles(ledger, delivering, spool, monkeypatch):
    monkeypatch.setattr(deliver, "send", replying((Answer.STORED, 0), (Answer.STORED, 0)))
    run(ledger, delivering, spool)
    assert ledger.jobs.get(delivering).state is S.DELIVERED
    assert {d.status for d in ledger.deliveries.of(delivering)} == {0}


def test_deliver_sends_only_what_is_not_there_yet(ledger, delivering, spool, monkeypatch):
    monkeypatch.setattr(deliver, "send", replying((Answer.STORED, 0), (Answer.TRY_AGAIN, 0xA700)))
    run(ledger, delivering, spool)
    assert ledger.jobs.get(delivering).state is S.DELIVERING
    run(ledger, delivering, spool)  # in its pause: nothing is due, and `replying` would say so
    first, second = ledger.deliveries.of(delivering)
    assert (first.state, second.state, second.attempts) == (DeliveryState.DELIVERED, DeliveryState.PENDING, 1)
    monkeypatch.setattr(time, "time", lambda: second.next_attempt + 1)
    monkeypatch.setattr(deliver, "send", replying((Answer.STORED, 0)))
    ledger.clock = time.time
    run(ledger, delivering, spool)
    assert ledger.jobs.get(delivering).state is S.DELIVERED


def test_a_destination_that_left_the_configuration_is_waited_for(ledger, delivering, spool):
    run(ledger, delivering, spool, ())
    assert ledger.jobs.get(delivering).state is S.DELIVERING
    assert {d.comment for d in ledger.deliveries.of(delivering)} == {"the configuration no longer has this destination"}


def test_a_bug_in_sending_is_recorded_and_tried_again_until_it_is_given_up(
    ledger, delivering, spool, monkeypatch, caplog
):
    def send(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(deliver, "send", send)
    now = ledger.clock()
    with caplog.at_level(logging.CRITICAL):
        run(ledger, delivering, spool)
        assert ledger.jobs.get(delivering).state is S.DELIVERING
        ledger.clock = lambda: now + 8 * 86400
        run(ledger, delivering, spool)
    job = ledger.jobs.get(delivering)
    words = (S.FAILED, "archive: given up: ZeroDivisionError")
    assert (job.state, job.reason) == words, "foreign messages may quote values"
    assert ledger.deliveries.retry(delivering) is S.DELIVERING, "and what was made is sent again"


def test_a_destination_that_has_a_sender_is_not_sent_to_twice(ledger, delivering, spool, monkeypatch):
    ledger.senders.claim("archive", 30)
    monkeypatch.setattr(deliver, "send", replying())
    run(ledger, delivering, spool)
    assert {d.attempts for d in ledger.deliveries.of(delivering)} == {0}


def test_a_sender_that_hangs_for_good_loses_its_lease_and_its_process_goes_on(ledger, delivering, caplog):
    """Whatever hangs, although its association was cut: another worker sends to the destination."""
    config = configuration([PACS])
    config = config.model_copy(update={"queue": QueueSection(lease_s=0.15, task_limit_s=0.01)})
    sender = Sender.take(ledger, "archive", config)
    sender._hung_s = 0.1
    with sender:
        assert sender.next_job() == delivering
        wait_for(lambda: ledger.senders.claim("archive", 30), 10, "the lease to run out")
        assert "sender hangs destination=archive" in caplog.text
        with pytest.raises(LeaseLost):
            sender.record(delivering, ledger.deliveries.of(delivering)[0])


def test_a_sender_lets_go_when_its_turn_is_over(ledger, delivering):
    """So that a worker with much to send can be stopped; the reconciler sends for the next sender."""
    sender = Sender.take(ledger, "archive", configuration([PACS]))
    sender._turn_ends = time.monotonic() - 1
    assert sender.next_job() is None
    assert ledger.senders.due() == [(delivering, "archive")]


def test_a_sender_that_lost_its_lease_leaves_the_rest_to_the_next(ledger, delivering, spool, monkeypatch):
    def send(destination, wanted, calling_ae, limit_s):
        with ledger.database.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE senders SET attempt = attempt + 1")
        return replying((Answer.STORED, 0), (Answer.STORED, 0))(destination, wanted, calling_ae, limit_s)

    monkeypatch.setattr(deliver, "send", send)
    run(ledger, delivering, spool)
    assert {d.state for d in ledger.deliveries.of(delivering)} == {DeliveryState.PENDING}
