"""A worker's claim on a job that it analyses: every write is fenced by its attempt."""

from __future__ import annotations

import logging
import os
import time

from ftmtl.errors import FtmtlError
from node.domain import Analysed, Job, JobState
from node.errors import NodeError
from node.ledger.ledger import Ledger
from node.settings import QueueSection
from workers.lease import Lease

log = logging.getLogger(__name__)


class Claim(Lease):
    """A job that this worker holds; used as a context manager, within which the lease is renewed.

    All methods raise `LeaseLost` if another worker holds the job by now: then nothing is recorded.

    Parameters
    ----------
    ledger
        Where the job is recorded.
    job_id, attempt
        Which job, and the number that fences off a worker that comes back too late.
    queue
        How long the lease lasts, and how long the work may take. An analysis that takes longer ends the whole process:
        a hung GPU call can't be interrupted in any other way. The process is then restarted, and the reconciler
        dispatches the job again.
    """

    def __init__(self, ledger: Ledger, job_id: str, attempt: int, queue: QueueSection) -> None:
        super().__init__(f"job={job_id}", queue.lease_s)
        self.ledger = ledger
        self.job_id = job_id
        self.attempt = attempt
        self.queue = queue
        self._started = time.monotonic()

    @classmethod
    def take(cls, ledger: Ledger, job_id: str, queue: QueueSection) -> Claim | None:
        """Claim a job, or return None if it does not wait for an analysis or another worker holds it."""
        attempt = ledger.jobs.claim(job_id, JobState.ANALYSING, queue.lease_s)
        return None if attempt is None else cls(ledger, job_id, attempt, queue)

    def renew(self) -> bool:
        """Renew the lease, or end the process if the work takes too long."""
        limit_s = self.queue.task_limit_s
        if time.monotonic() - self._started > limit_s:
            log.critical("task over its limit: ending this worker job=%s limit_s=%.0f", self.job_id, limit_s)
            os._exit(70)
        return self.ledger.jobs.renew(self.job_id, self.attempt, self.queue.lease_s)

    def job(self) -> Job:
        """Return the job as the ledger has it now."""
        return self.ledger.jobs.get(self.job_id)

    def begin(self, analysed: Analysed) -> None:
        """Record the objects of an analysis, and open their deliveries."""
        self.ledger.deliveries.begin(self.job_id, self.attempt, analysed)

    def finish(self, state: JobState, reason: str) -> None:
        """End the attempt without results, as not processed or failed."""
        self.ledger.jobs.finish(self.job_id, self.attempt, state, reason)


def words_for(error: Exception) -> str:
    """Return what a job says of an unexpected error: of a library's only the kind, as its message may quote values."""
    said = f": {error}" if isinstance(error, (FtmtlError, NodeError, OSError)) else ""
    return f"{type(error).__name__}{said}"
