"""Updates a delivery from the destination's answer, and decides when to try again."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from node.dimse.status import Answer
from node.domain import Delivery, DeliveryState


@dataclass(frozen=True)
class RetryPolicy:
    """When to try again: pauses double from the first to the longest, plus or minus a fifth, until giving up.

    Times are in seconds; `node.settings.DeliverySection` has the defaults.

    Attributes
    ----------
    accept_warnings
        Whether an object that the destination has stored with a warning is delivered, or has failed.
    """

    first_retry_s: float
    longest_retry_s: float
    give_up_after_s: float
    accept_warnings: bool = True

    def pause_s(self, attempts: int) -> float:
        """Return the pause after a number of failed attempts in a row."""
        doubled = self.first_retry_s * 2.0 ** min(attempts - 1, 60)
        return min(self.longest_retry_s, doubled) * random.uniform(0.8, 1.2)


@dataclass(frozen=True)
class Reply:
    """How sending one object ended: the PACS's status, if it returned one, and what it means."""

    sop_instance_uid: str
    answer: Answer
    status: int | None
    comment: str

    @property
    def is_answer(self) -> bool:
        """Whether the destination has answered, and be it at the negotiation of the association."""
        return self.status is not None or self.answer is Answer.CLASS_REFUSED

    @property
    def is_silence(self) -> bool:
        """Whether an answer is missing."""
        return self.answer in (Answer.UNANSWERED, Answer.NOT_TRIED)


def next_state(delivery: Delivery, reply: Reply, now: float, policy: RetryPolicy) -> Delivery:
    """Return a delivery as updated by a reply. What was not tried is as due as it was."""
    if reply.answer is Answer.NOT_TRIED:
        return replace(delivery, comment=reply.comment)
    attempts = delivery.attempts + 1
    update = replace(delivery, status=reply.status, attempts=attempts, comment=reply.comment)
    if reply.answer is Answer.STORED or (reply.answer is Answer.WARNING and policy.accept_warnings):
        return replace(update, state=DeliveryState.DELIVERED)
    if reply.answer not in (Answer.TRY_AGAIN, Answer.UNANSWERED):
        return replace(update, state=DeliveryState.FAILED)
    if now - delivery.opened >= policy.give_up_after_s:
        return replace(update, state=DeliveryState.FAILED, comment=f"given up: {reply.comment}")
    return replace(update, next_attempt=now + policy.pause_s(attempts))
