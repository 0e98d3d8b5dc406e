"""What waits: for a person, for a clock that was set back, and with many others."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from support.flow import LEASE_S, S, four_views, queued
from support.records import instance, results

from node.domain import Analysed, Cause
from node.flow.dispatch import ANALYSE


def test_two_patients_in_one_study_are_held_until_a_person_releases_them(node, ledger, queue):
    for n, (side, view) in enumerate([("L", "CC"), ("R", "CC"), ("L", "MLO"), ("R", "MLO")]):
        ledger.arrivals.register(instance(n, laterality=side, view=view, identity="a" * 64 if n else "b" * 64))
    node.assemble()
    (job,) = ledger.jobs.find()
    assert (job.state, queue.waiting) == (S.HELD, [])
    assert "aaaaaaaaaaaa and bbbbbbbbbbbb" in job.reason
    ledger.deliveries.retry(job.job_id)
    node.reconciler.reconcile()
    assert ledger.jobs.get(job.job_id).state is S.QUEUED
    assert [row["after"] for row in ledger.jobs.history(job.job_id)] == ["complete", "held", "complete", "queued"]


def again(ledger, first, cause):
    """Let a view arrive with other values; return the job that has it."""
    ledger.arrivals.register(instance(0, sha256="another", laterality="L", view="CC"), replace=cause)
    return max(ledger.jobs.find(), key=lambda job: (job.state is S.RECEIVING, job.job_id == first))


@pytest.mark.parametrize("analysed", [False, True], ids=["still receiving", "analysed before"])
def test_a_corrected_image_is_held_if_a_person_wants_to_be_asked(node, ledger, analysed):
    node.handover.ask = True
    first = queued(node) if analysed else four_views(ledger)
    job = again(ledger, first, Cause.CORRECTED)
    assert (job.job_id != first) == analysed
    node.assemble()
    assert ledger.jobs.get(job.job_id).state is S.HELD
    ledger.deliveries.retry(job.job_id)
    node.reconciler.reconcile()
    assert ledger.jobs.get(job.job_id).state is S.QUEUED


@pytest.mark.parametrize(("ask", "cause"), [(True, Cause.LATE), (False, Cause.CORRECTED)])
def test_no_person_is_asked_for_more(node, ledger, ask, cause):
    """A readable version of an unreadable image is no correction."""
    node.handover.ask = ask
    job = again(ledger, queued(node), cause)
    node.assemble()
    assert (ledger.jobs.get(job.job_id).state, ledger.jobs.get(job.job_id).cause) == (S.QUEUED, cause)


def test_a_clock_that_is_set_back_stops_no_study(node, ledger, queue, clock):
    waiting = queued(node)
    queue.waiting.clear()  # lost
    ledger.arrivals.register(instance(1, study="1.2.3"))
    clock.now += 5
    node.watch_clock()
    clock.now -= 3600
    node.watch_clock()
    clock.now += LEASE_S + 10
    node.watch_clock()
    node.reconciler.reconcile()
    node.assemble()
    assert sorted(queue.waiting) == sorted((ANALYSE, job.job_id) for job in ledger.jobs.find([S.QUEUED]))
    assert waiting in {job.job_id for job in ledger.jobs.find([S.QUEUED])}
    assert len(ledger.jobs.find([S.QUEUED])) == 2


@pytest.mark.parametrize("count", [1, 60])
def test_a_tick_asks_the_ledger_as_often_with_many_jobs_as_with_one(node, ledger, clock, count):
    """Of studies that are open, of jobs that wait in the queue, and of deliveries to a PACS that is away."""
    for n in range(count):
        ledger.arrivals.register(instance(1, study=f"1.2.1{n:03d}"))
        queued(node, f"1.2.2{n:03d}")
        job_id = queued(node, f"1.2.3{n:03d}")
        attempt = ledger.jobs.claim(job_id, S.ANALYSING, LEASE_S)
        ledger.deliveries.begin(job_id, attempt, Analysed(results(Path(f"results/{n}")), 1.0))
    clock.now += 9
    statements = []

    def count_statement(_connection, _cursor, statement, *_):
        statements.append(statement)

    sa.event.listen(ledger.database.engine, "before_cursor_execute", count_statement)
    node.listener.beat()
    node.assemble()
    node.reconciler.reconcile()
    sa.event.remove(ledger.database.engine, "before_cursor_execute", count_statement)
    assert len([s for s in statements if not s.startswith("BEGIN")]) <= 25
