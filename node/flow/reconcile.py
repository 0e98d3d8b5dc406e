"""The reconciler: it puts jobs back on the queue that are unfinished in the ledger and that no worker holds."""

from __future__ import annotations

import logging

from node.domain import Job, JobState
from node.errors import IllegalTransition
from node.flow.dispatch import ANALYSE, DELIVER
from node.flow.handover import Handover
from node.ledger.ledger import Ledger
from node.settings import QueueSection

log = logging.getLogger(__name__)

_HOLD_S = 5.0
"""How long a job that this node has taken up is left alone by all nodes."""

_LOOK_S = 3600.0
"""How often a job that is being delivered is looked at. It ends with the last answer; this is for what went wrong."""


class Reconciler:
    """Compares the ledger with the queue.

    Parameters
    ----------
    ledger, handover
        The unfinished jobs, and the way to the queue.
    queue
        How long a worker may be silent, and how many workers a job may lose.
    """

    def __init__(self, ledger: Ledger, handover: Handover, queue: QueueSection) -> None:
        self.ledger = ledger
        self.handover = handover
        self.queue = queue

    def reconcile(self) -> None:
        """Put jobs back on the queue that are due and that no worker holds; a number of queries that is constant."""
        for job in self.ledger.jobs.take_due(JobState.COMPLETE, _HOLD_S):
            self.handover.route(job.job_id)
        self._analyse_due()
        for job in self.ledger.jobs.take_due(JobState.ANALYSING, _HOLD_S):
            if job.lease_until <= self.ledger.clock():
                self._take_back(job)
        self._deliver_due()

    def _analyse_due(self) -> None:
        """Dispatch what is due, unless messages wait: then the workers are busy, and nothing is lost."""
        if self.ledger.jobs.is_due(JobState.QUEUED) and self.handover.nothing_waits(ANALYSE):
            self.handover.analyse(*[job.job_id for job in self.ledger.jobs.take_due(JobState.QUEUED, _HOLD_S)])

    def _deliver_due(self) -> None:
        """Send for a sender for each destination that has something due and none; it goes on from job to job."""
        if delivering := self.ledger.jobs.take_due(JobState.DELIVERING, _LOOK_S):
            self.ledger.deliveries.settle([job.job_id for job in delivering])
        due = self.ledger.senders.due()
        if due and self.handover.nothing_waits(DELIVER):
            self.handover.deliver(*due)

    def _take_back(self, job: Job) -> None:
        """Queue a job again after its worker died, unless it has already lost too many workers."""
        try:
            lost = job.lost + 1
            if lost >= self.queue.max_attempts:
                reason = f"the worker died {lost} times while analysing this study"
                self.ledger.jobs.move(job.job_id, JobState.FAILED, reason=reason, lost=lost, lease_until=0.0)
                log.error("failed job=%s reason=%r", job.job_id, reason)
                return
            self.ledger.jobs.move(job.job_id, JobState.QUEUED, lost=lost, lease_until=0.0, due=self.ledger.clock())
        except IllegalTransition:
            return  # it has moved on in the meantime
        log.warning("lease expired job=%s attempt=%d: queued again", job.job_id, job.attempt)
        self.handover.analyse(job.job_id)
