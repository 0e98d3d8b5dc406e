"""Updates a delivery from the destination's answer, and decides when to try again."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from node.dimse.status import Answer
from node.domain import Delivery, DeliveryState


@dataclass(frozen=True)
class RetryPolicy:
    """When to try again: pauses double from the first to the longest, plus or minus a fifth, until giving up.

    All values are in seconds; `node.config.DeliverySection` has the defaults.
    """

    first_retry_s: float
    longest_retry_s: float
    give_up_after_s: float

    def pause_s(self, attempts: int) -> float:
        """Return the pause after a number of failed attempts."""
        doubled = self.first_retry_s * 2.0 ** min(attempts - 1, 60)
        return min(self.longest_retry_s, doubled) * random.uniform(0.8, 1.2)


@dataclass(frozen=True)
class Reply:
    """How sending one object ended: the PACS's status, if it returned one, and what it means."""

    sop_instance_uid: str
    answer: Answer
    status: int | None
    comment: str


def next_state(delivery: Delivery, reply: Reply, now: float, policy: RetryPolicy) -> Delivery:
    """Return a delivery as updated by a reply."""
    attempts = delivery.attempts + 1
    update = replace(delivery, status=reply.status, attempts=attempts, comment=reply.comment)
    if reply.answer is Answer.STORED:
        return replace(update, state=DeliveryState.DELIVERED)
    if reply.answer is not Answer.TRY_AGAIN:
        return replace(update, state=DeliveryState.FAILED)
    if now - delivery.opened >= policy.give_up_after_s:
        return replace(update, state=DeliveryState.FAILED, comment=f"given up: {reply.comment}")
    return replace(update, next_attempt=now + policy.pause_s(attempts))
