"""The delivery task: it sends to one destination what jobs have for it, and records every answer.

Each destination is served by itself. Whatever goes wrong with one of them is recorded there and tried again there.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from ftmtl.errors import FtmtlError
from ftmtl.mammogram.pixels import display_pixels
from node.config import Config
from node.delivery.retry import Reply, next_state
from node.delivery.send import send
from node.dimse.status import Answer
from node.domain import Delivery, DeliveryState, ResultObject
from node.errors import LeaseLost, ResultRejected
from node.kinds import ObjectKind, fallback_for
from node.ledger.deliveries import Replacement
from node.ledger.ledger import Ledger
from node.results.build import build_results
from node.results.kept import read_result
from node.store.spool import Spool
from workers.claim import words_for
from workers.sender import Sender

log = logging.getLogger(__name__)

_UNMADE = (FtmtlError, ResultRejected, ValueError, KeyError)
"""What building a replacement raises if it can't be made of what the analysis has kept, today or tomorrow."""


@dataclass(frozen=True)
class DeliveryTask:
    """Delivers to one destination after another.

    Attributes
    ----------
    config
        The whole configuration.
    ledger, spool
        The jobs and their files.
    """

    config: Config
    ledger: Ledger
    spool: Spool
    _building: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def run(self, job_id: str, destination: str = "") -> None:
        """Send to a destination what is due there, of this job and of others.

        A message of an earlier version names no destination: then every one that the job waits for is served, each in a
        thread of its own.
        """
        names = [destination] if destination else self.ledger.deliveries.waiting(job_id)
        with ThreadPoolExecutor(len(names) or 1, "sender") as pool:
            list(pool.map(self._serve, names))

    def _serve(self, name: str) -> None:
        """Become the destination's sender, unless it has one, and send until nothing is due."""
        try:
            sender = Sender.take(self.ledger, name, self.config)
            if sender is None:
                log.info("has a sender, or is left alone destination=%s", name)
                return
            with sender:
                while (job_id := sender.next_job()) is not None:
                    self._attempt(sender, job_id)
        except LeaseLost as error:
            log.warning("%s", error)
        except SQLAlchemyError as error:  # when the lease runs out the reconciler sends for another sender
            log.error("ledger unavailable destination=%s: %s", name, error)

    def _attempt(self, sender: Sender, job_id: str) -> None:
        """Send what is due of a job, and whatever happens record it for this destination only."""
        due = self.ledger.deliveries.due(job_id, sender.name)
        try:
            self._send(sender, job_id, due)
        except (LeaseLost, SQLAlchemyError):
            raise
        except Exception as error:  # the boundary: what is wrong with one destination stays there
            log.exception("delivery failed job=%s destination=%s", job_id, sender.name)
            for uid in self.ledger.deliveries.due(job_id, sender.name).keys() & due.keys():
                reply = Reply(uid, Answer.TRY_AGAIN, None, words_for(error))
                sender.record(job_id, next_state(due[uid], reply, self.ledger.clock(), sender.policy))

    def _send(self, sender: Sender, job_id: str, due: Mapping[str, Delivery]) -> None:
        objects = {made.sop_instance_uid: made for made in self.ledger.deliveries.objects(job_id)}
        wanted = [objects[uid] for uid in sorted(due, key=lambda uid: _place(due[uid], objects[uid]))]
        replies = []
        refused: dict[ObjectKind, str] = {}
        for reply in self._replies(sender, wanted):
            replies.append(reply)
            kind = objects[reply.sop_instance_uid].kind
            if reply.answer is Answer.CLASS_REFUSED and kind.fallback is not None:
                refused[kind] = reply.comment
                continue
            after = next_state(due[reply.sop_instance_uid], reply, self.ledger.clock(), sender.policy)
            sender.record(job_id, after)
            if after.comment:
                log.warning("job=%s destination=%s %s", job_id, sender.name, after.comment)
        for kind, comment in refused.items():
            self._replace(sender, job_id, kind, comment)
        _conclude(sender, job_id, replies)

    def _replies(self, sender: Sender, wanted: Sequence[ResultObject]) -> Iterator[Reply]:
        """Send, or say that routing chose a destination that is no longer configured; it may come back."""
        if sender.destination is None:
            gone = "the configuration no longer has this destination"
            return (Reply(made.sop_instance_uid, Answer.NOT_TRIED, None, gone) for made in wanted)
        files = [replace(made, path=self.spool.path(str(made.path))) for made in wanted]
        return send(sender.destination, files, self.config.node.ae_title, self.config.delivery.attempt_limit_s)

    def _replace(self, sender: Sender, job_id: str, refused: ObjectKind, comment: str) -> None:
        """Make what replaces the refused objects of a kind and open its delivery, or give those up."""
        kind = fallback_for(refused, self.ledger.jobs.get(job_id).plan.get(sender.name, ()))
        assert kind is not None
        words = f"{comment}; sent as {kind} instead"
        with self._building:  # two destinations may refuse the same, and objects are made once
            try:
                objects = self._objects(job_id, kind)
            except _UNMADE as error:
                self._give_up(sender, job_id, refused, f"{comment}; {kind} cannot be made instead: {error}")
                return
            sender.replace(job_id, Replacement(sender.name, refused, objects, words))
        log.warning("job=%s destination=%s %s: %s", job_id, sender.name, refused, words)

    def _objects(self, job_id: str, kind: ObjectKind) -> list[ResultObject]:
        """Return a job's objects of a kind; if it has none yet, make them."""
        known = [made for made in self.ledger.deliveries.objects(job_id) if made.kind is kind]
        if known:
            return known
        folder = self.spool.results(job_id)
        result, predecessors = read_result(folder)
        paths = [self.spool.path(instance.key) for instance in self.ledger.arrivals.instances(job_id)]
        built = build_results(
            result,
            paths,
            folder,
            [kind],
            display=display_pixels,
            predecessors=predecessors,
            charset=self.config.dicom.default_charset,
            clock=self.ledger.creations.first,
        )
        return [replace(made, path=Path(self.spool.key(made.path))) for made in built]

    def _give_up(self, sender: Sender, job_id: str, refused: ObjectKind, comment: str) -> None:
        """Fail objects of a kind that was refused and can't be replaced."""
        due = self.ledger.deliveries.due(job_id, sender.name)
        for made in self.ledger.deliveries.objects(job_id):
            if made.kind is refused and made.sop_instance_uid in due:
                failed = replace(due[made.sop_instance_uid], state=DeliveryState.FAILED, comment=comment)
                sender.record(job_id, failed)
        log.warning("job=%s destination=%s %s", job_id, sender.name, comment)


def _place(delivery: Delivery, made: ResultObject) -> tuple[bool, int, str]:
    """Return an object's place among those that are due: a report comes after what it refers to.

    An object that got no answer twice comes last: it may be what the destination fails over.
    """
    return delivery.status is None and delivery.attempts > 1, made.kind.place, made.sop_instance_uid


def _conclude(sender: Sender, job_id: str, replies: Sequence[Reply]) -> None:
    """Draw the conclusions from all replies of an attempt."""
    if any(reply.is_answer for reply in replies):
        sender.has_answered()
    elif silence := [reply for reply in replies if reply.is_silence]:
        sender.is_silent(silence[0].comment)
    if any(reply.answer in (Answer.STORED, Answer.WARNING) for reply in replies):
        sender.has_stored(job_id)
