"""What the answer of a destination makes of a delivery, and when it is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from node.dimse.status import Answer
from node.domain import Delivery, DeliveryState


@dataclass(frozen=True)
class RetryPolicy:
    """When to try again: pauses double from the first to the longest, give or take a fifth, until it is given up.

    All in seconds; `node.config.DeliverySection` has the defaults.
    """

    first_retry_s: float
    longest_retry_s: float
    give_up_after_s: float

    def pause_s(self, attempts: int) -> float:
        """Pause after so many failed attempts."""
        doubled = self.first_retry_s * 2.0 ** min(attempts - 1, 60)
        return min(self.longest_retry_s, doubled) * random.uniform(0.8, 1.2)


@dataclass(frozen=True)
class Reply:
    """How sending one object ended: the PACS' status, if it gave one, and what it means."""

    sop_instance_uid: str
    answer: Answer
    status: int | None
    comment: str


def next_state(delivery: Delivery, reply: Reply, now: float, policy: RetryPolicy) -> Delivery:
    """What a reply makes of a delivery."""
    attempts = delivery.attempts + 1
    update = replace(delivery, status=reply.status, attempts=attempts, comment=reply.comment)
    if reply.answer is Answer.STORED:
        return replace(update, state=DeliveryState.DELIVERED)
    if reply.answer is not Answer.TRY_AGAIN:
        return replace(update, state=DeliveryState.FAILED)
    if now - delivery.opened >= policy.give_up_after_s:
        return replace(update, state=DeliveryState.FAILED, comment=f"given up: {reply.comment}")
    return replace(update, next_attempt=now + policy.pause_s(attempts))
