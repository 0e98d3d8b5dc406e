"""The sender of a destination: the one worker that sends to it, for all jobs."""

from __future__ import annotations

import logging
import time

from node.config import Config
from node.delivery.retry import RetryPolicy
from node.domain import Delivery
from node.ledger.deliveries import Replacement
from node.ledger.ledger import Ledger
from workers.lease import Lease

log = logging.getLogger(__name__)

_TURN_S = 30.0
"""How long a sender goes on from job to job before it lets go, so that a worker that is told to stop can."""


class Sender(Lease):
    """The right to send to a destination; used as a context manager, within which the lease is renewed.

    All methods raise `LeaseLost` if another worker sends to the destination by now: then nothing is recorded.

    Parameters
    ----------
    ledger
        Where jobs and deliveries are recorded.
    name, attempt
        The destination's name, and the number that fences off a sender that comes back too late.
    config
        The destinations, how long a lease and an attempt last, and when to try again.
    """

    def __init__(self, ledger: Ledger, name: str, attempt: int, config: Config) -> None:
        super().__init__(f"destination={name}", config.queue.lease_s)
        self.ledger = ledger
        self.name = name
        self.attempt = attempt
        self.destination = next((d for d in config.destination_list() if d.name == name), None)
        times = config.delivery
        warnings = self.destination is None or self.destination.accept_warnings
        self.policy = RetryPolicy(times.first_retry_s, times.longest_retry_s, times.give_up_after_s, warnings)
        self._silence = RetryPolicy(
            times.first_retry_s, min(times.longest_retry_s, times.longest_silence_s), times.give_up_after_s
        )
        self._hung_s = 60.0 + 2 * times.attempt_limit_s  # the association, and objects that are made to replace others
        self._turn_ends = time.monotonic() + _TURN_S
        self._job_began = time.monotonic()

    @classmethod
    def take(cls, ledger: Ledger, name: str, config: Config) -> Sender | None:
        """Become the sender of a destination, or return None if it has one, or is left alone for now."""
        attempt = ledger.senders.claim(name, config.queue.lease_s)
        return None if attempt is None else cls(ledger, name, attempt, config)

    def renew(self) -> bool:
        """Renew the lease. What hangs although its association was cut loses it: another worker may do better."""
        if time.monotonic() - self._job_began > self._hung_s:
            log.critical("sender hangs destination=%s limit_s=%.0f", self.name, self._hung_s)
            return False
        return self.ledger.senders.renew(self.name, self.attempt, self._lease_s)

    def next_job(self) -> str | None:
        """Return the job that the destination receives something of next; None if this sender's turn is over."""
        if time.monotonic() > self._turn_ends:
            self.ledger.senders.release(self.name, self.attempt)
            return None
        self._job_began = time.monotonic()
        return self.ledger.senders.next_job(self.name, self.attempt)

    def record(self, job_id: str, delivery: Delivery) -> None:
        """Record how an attempt to deliver one object ended."""
        self.ledger.deliveries.record(job_id, self.attempt, delivery)

    def replace(self, job_id: str, replacement: Replacement) -> None:
        """Open the delivery of other objects in place of those of a kind that the destination refuses."""
        self.ledger.deliveries.replace(job_id, self.attempt, replacement)

    def has_answered(self) -> None:
        """Record that the destination answers."""
        if self.ledger.senders.answers(self.name, self.attempt):
            log.info("destination=%s answers again", self.name)

    def has_stored(self, job_id: str) -> None:
        """Record that the destination has stored an object of a job: what it has not stored is tried again soon."""
        if self.name not in self.ledger.deliveries.waiting(job_id):
            return
        soon = self.ledger.clock() + self.policy.pause_s(1)
        self.ledger.deliveries.start_anew(job_id, self.attempt, self.name, soon)

    def is_silent(self, comment: str) -> None:
        """Record that the destination did not answer: it is left alone for a while, and what is overdue fails."""
        retry_at = self.ledger.senders.leave_alone(self.name, self.attempt, self._silence.pause_s, comment)
        now = self.ledger.clock()
        log.warning("destination=%s does not answer, pause_s=%.0f: %s", self.name, retry_at - now, comment)
        overdue = now - self.policy.give_up_after_s
        given_up = self.ledger.deliveries.give_up(self.name, self.attempt, overdue, f"given up: {comment}")
        if given_up:
            log.warning("destination=%s given up jobs=%d", self.name, given_up)
