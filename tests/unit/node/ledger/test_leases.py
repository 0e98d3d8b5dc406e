"""A job has one holder at a time: leases that run out, and workers fenced off by their attempts."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.jobs import put, queued, received
from support.records import PACS, results

from node.domain import Analysed, JobState
from node.errors import LeaseLost

S = JobState


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
    """The fence must not fall because somebody pressed retry: attempts are never counted from the start again."""
    job_id = queued(ledger)
    zombie = ledger.jobs.claim(job_id, S.ANALYSING, 30)
    clock.now += 31
    ledger.jobs.move(job_id, S.FAILED, reason="the worker died", lease_until=0.0)
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
