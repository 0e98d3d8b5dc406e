"""A worker's lease on a job: renewed while it works, given up if it takes too long."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from node.ledger.ledger import Ledger

log = logging.getLogger(__name__)


@contextmanager
def held(ledger: Ledger, job_id: str, attempt: int, *, lease_s: float, limit_s: float) -> Iterator[None]:
    """Renew a claimed job's lease in the background.

    A task that takes longer than ``limit_s`` seconds ends the whole process, because a hung GPU
    call cannot be interrupted in any other way. The supervisor starts a new process, and the
    reconciler dispatches the job again.
    """
    done = threading.Event()

    def renew() -> None:
        started = time.monotonic()
        while not done.wait(lease_s / 3):
            if time.monotonic() - started > limit_s:
                log.critical("task over its limit: ending this worker job=%s limit_s=%.0f", job_id, limit_s)
                os._exit(70)
            try:
                if not ledger.jobs.renew(job_id, attempt, lease_s):
                    log.warning("lease lost job=%s attempt=%d", job_id, attempt)
                    return
            except SQLAlchemyError as error:
                log.warning("lease not renewed job=%s error=%s", job_id, error)

    thread = threading.Thread(target=renew, name=f"lease-{job_id[:8]}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
