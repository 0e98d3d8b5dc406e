"""A worker's claim on a job: it renews the lease while the worker works, and fences every write by its attempt."""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

from sqlalchemy.exc import SQLAlchemyError

from ftmtl.errors import FtmtlError
from node.config import QueueSection
from node.domain import Analysed, Delivery, Job, JobState
from node.errors import NodeError
from node.ledger.deliveries import Replacement
from node.ledger.ledger import Ledger

log = logging.getLogger(__name__)


@dataclass
class Claim:
    """A job that this worker holds; used as a context manager, within which the lease is renewed.

    All methods raise `LeaseLost` if another worker holds the job by now: then nothing is recorded.

    Attributes
    ----------
    ledger
        Where the job is recorded.
    job_id, attempt
        Which job, and the number that fences off a worker that comes back too late.
    queue
        How long the lease lasts, and how long the work may take. A task that takes longer ends the whole process: a
        hung GPU call can't be interrupted in any other way. The process is then restarted, and the reconciler
        dispatches the job again.
    """

    ledger: Ledger
    job_id: str
    attempt: int
    queue: QueueSection
    _done: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _thread: threading.Thread | None = field(default=None, init=False, repr=False)

    @classmethod
    def take(cls, ledger: Ledger, job_id: str, to: JobState, queue: QueueSection) -> Claim | None:
        """Claim a job, or return None if it is in another state or another worker holds it."""
        attempt = ledger.jobs.claim(job_id, to, queue.lease_s)
        return None if attempt is None else cls(ledger, job_id, attempt, queue)

    def __enter__(self) -> Claim:
        self._thread = threading.Thread(target=self._renew, name=f"lease-{self.job_id[:8]}", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def job(self) -> Job:
        """Return the job as the ledger has it now."""
        return self.ledger.jobs.get(self.job_id)

    def begin(self, analysed: Analysed) -> None:
        """Record the objects of an analysis, and open their deliveries."""
        self.ledger.deliveries.begin(self.job_id, self.attempt, analysed)

    def record(self, delivery: Delivery) -> None:
        """Record how an attempt to deliver one object ended."""
        self.ledger.deliveries.record(self.job_id, self.attempt, delivery)

    def replace(self, replacement: Replacement) -> None:
        """Open the delivery of other objects to a destination that refuses those of one kind."""
        self.ledger.deliveries.replace(self.job_id, self.attempt, replacement)

    def settle(self) -> JobState:
        """Release the job after an attempt to deliver, and return its new state."""
        return self.ledger.deliveries.settle(self.job_id, self.attempt)

    def finish(self, state: JobState, reason: str) -> None:
        """End the attempt without results, as not processed or failed."""
        self.ledger.jobs.finish(self.job_id, self.attempt, state, reason)

    def _renew(self) -> None:
        started = time.monotonic()
        while not self._done.wait(self.queue.lease_s / 3):
            if time.monotonic() - started > self.queue.task_limit_s:
                limit_s = self.queue.task_limit_s
                log.critical("task over its limit: ending this worker job=%s limit_s=%.0f", self.job_id, limit_s)
                os._exit(70)
            try:
                if not self.ledger.jobs.renew(self.job_id, self.attempt, self.queue.lease_s):
                    log.warning("lease lost job=%s attempt=%d", self.job_id, self.attempt)
                    return
            except SQLAlchemyError as error:
                log.warning("lease not renewed job=%s error=%s", self.job_id, error)


def words_for(error: Exception) -> str:
    """Return what a job says of an unexpected error: of a library's only the kind, as its message may quote values."""
    said = f": {error}" if isinstance(error, (FtmtlError, NodeError, OSError)) else ""
    return f"{type(error).__name__}{said}"
