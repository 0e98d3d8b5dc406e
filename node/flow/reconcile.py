"""The reconciler: it puts jobs back on the queue that are unfinished in the ledger and that no worker holds."""

from __future__ import annotations

import functools
import logging

from node.config import QueueSection
from node.domain import DeliveryState, Job, JobState
from node.errors import IllegalTransition
from node.flow.dispatch import ANALYSE, DELIVER
from node.flow.handover import Handover
from node.ledger.ledger import Ledger

log = logging.getLogger(__name__)


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
        """Put jobs back on the queue that are unfinished and that no worker holds."""
        now = self.ledger.clock()
        nothing_waits = functools.cache(self.handover.nothing_waits)  # ask once, so that everything lost is sent again
        unfinished = (JobState.COMPLETE, JobState.QUEUED, JobState.ANALYSING, JobState.DELIVERING)
        for job in self.ledger.jobs.find(unfinished):
            if job.state is JobState.COMPLETE:
                self.handover.route(job.job_id)
            elif job.state is JobState.QUEUED:
                if now - job.dispatched > self.queue.lease_s and nothing_waits(ANALYSE):
                    self.handover.dispatch(ANALYSE, job.job_id)
            elif job.lease_until > now:
                continue
            elif job.state is JobState.ANALYSING:
                self._take_back(job)
            elif self._is_due(job, now) and nothing_waits(DELIVER):
                self.handover.dispatch(DELIVER, job.job_id)

    def _take_back(self, job: Job) -> None:
        """Queue a job again after its worker died, unless it has already lost too many workers."""
        try:
            lost = job.lost + 1
            if lost >= self.queue.max_attempts:
                reason = f"the worker died {lost} times while analysing this study"
                self.ledger.jobs.move(job.job_id, JobState.FAILED, reason=reason, lost=lost, lease_until=0.0)
                log.error("failed job=%s reason=%r", job.job_id, reason)
                return
            self.ledger.jobs.move(job.job_id, JobState.QUEUED, lost=lost, lease_until=0.0)
        except IllegalTransition:
            return  # it has moved on in the meantime
        log.warning("lease expired job=%s attempt=%d: queued again", job.job_id, job.attempt)
        self.handover.dispatch(ANALYSE, job.job_id)

    def _is_due(self, job: Job, now: float) -> bool:
        """Return whether something is to be sent now, or the worker died after the last answer, before settling."""
        if now - job.dispatched < 5.0:
            return False
        pending = [d for d in self.ledger.deliveries.of(job.job_id) if d.state is DeliveryState.PENDING]
        return not pending or any(d.next_attempt <= now for d in pending)
