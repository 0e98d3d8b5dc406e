"""The delivery task: it sends what a job's destinations have yet to receive, and records every answer."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.exc import SQLAlchemyError

from ftmtl.errors import FtmtlError
from ftmtl.mammogram.pixels import display_pixels
from node.config import Config
from node.delivery.retry import Reply, RetryPolicy, next_state
from node.delivery.send import send
from node.dimse.status import Answer
from node.domain import Delivery, DeliveryState, JobState, ResultObject
from node.errors import LeaseLost
from node.kinds import ObjectKind
from node.ledger.ledger import Ledger
from node.results.build import build_results
from node.results.kept import read_result
from node.store.spool import Spool
from workers.lease import held

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeliveryTask:
    """Delivers one job after another.

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

    def run(self, job_id: str) -> None:
        """Claim a job, send what is due, and settle it."""
        queue = self.config.queue
        attempt = self.ledger.jobs.claim(job_id, JobState.DELIVERING, queue.lease_s)
        if attempt is None:
            log.info("not claimed job=%s", job_id)
            return
        with held(self.ledger, job_id, attempt, lease_s=queue.lease_s, limit_s=queue.task_limit_s):
            try:
                while self._send_due(job_id):
                    pass
                state = self.ledger.deliveries.settle(job_id, attempt)
            except LeaseLost as error:
                log.warning("delivery not settled: %s", error)
                return
            except SQLAlchemyError as error:  # once the lease expires, the reconciler has it sent again
                log.error("ledger unavailable job=%s: %s", job_id, error)
                return
            except Exception as error:  # the boundary: a study always ends in a named state
                log.exception("delivery failed job=%s", job_id)
                self.ledger.jobs.finish(job_id, attempt, JobState.FAILED, f"{type(error).__name__}: {error}")
                return
        log.info("settled job=%s state=%s", job_id, state)

    def _send_due(self, job_id: str) -> bool:
        """Send what is due; return True if refused objects were replaced with others, which are due at once."""
        objects = self.ledger.deliveries.objects(job_id)
        destinations = {destination.name: destination for destination in self.config.destination_list()}
        replaced = False
        for name, pending in self._due(job_id).items():
            wanted = [result for result in objects if result.sop_instance_uid in pending]
            destination = destinations.get(name)
            replies = _unknown(wanted) if destination is None else send(destination, wanted, self.config.node.ae_title)
            for kind, comment in self._record(job_id, wanted, pending, replies).items():
                try:
                    self._replace(job_id, name, kind, comment)
                    replaced = True
                except FtmtlError as error:
                    refused = [pending[result.sop_instance_uid] for result in wanted if result.kind is kind]
                    self._give_up(job_id, refused, f"{comment}; {kind.fallback} cannot be made instead: {error}")
        return replaced

    def _due(self, job_id: str) -> dict[str, dict[str, Delivery]]:
        """Return what is to be sent now, by destination and SOP Instance UID."""
        due: dict[str, dict[str, Delivery]] = defaultdict(dict)
        for delivery in self.ledger.deliveries.of(job_id):
            if delivery.state is DeliveryState.PENDING and delivery.next_attempt <= time.time():
                due[delivery.destination][delivery.sop_instance_uid] = delivery
        return due

    def _record(
        self, job_id: str, wanted: Sequence[ResultObject], pending: Mapping[str, Delivery], replies: Iterable[Reply]
    ) -> dict[ObjectKind, str]:
        """Record each reply as it arrives; return the refused kinds that can be replaced, and why they were refused."""
        section = self.config.delivery
        retry = RetryPolicy(section.first_retry_s, section.longest_retry_s, section.give_up_after_s)
        kinds = {result.sop_instance_uid: result.kind for result in wanted}
        refused: dict[ObjectKind, str] = {}
        for reply in replies:
            kind, delivery = kinds[reply.sop_instance_uid], pending[reply.sop_instance_uid]
            if reply.answer is Answer.CLASS_REFUSED and kind.fallback is not None:
                refused[kind] = reply.comment
                continue
            after = next_state(delivery, reply, time.time(), retry)
            self.ledger.deliveries.record(job_id, after)
            if after.comment:
                log.warning("not delivered job=%s destination=%s: %s", job_id, delivery.destination, after.comment)
        return refused

    def _replace(self, job_id: str, destination: str, refused: ObjectKind, comment: str) -> None:
        """Build the objects that a destination may accept in place of refused ones, and open their delivery."""
        kind = refused.fallback
        assert kind is not None
        objects = [made for made in self.ledger.deliveries.objects(job_id) if made.kind is kind]
        if not objects:
            folder = self.spool.results(job_id)
            result, predecessor = read_result(folder)
            paths = [instance.path for instance in self.ledger.arrivals.instances(job_id)]
            objects = build_results(result, paths, folder, [kind], display=display_pixels, predecessor=predecessor)
        words = f"{comment}; sent as {kind} instead"
        self.ledger.deliveries.replace(job_id, destination, refused, objects, words)
        log.warning("replaced job=%s destination=%s kind=%s: %s", job_id, destination, refused, words)

    def _give_up(self, job_id: str, refused: Iterable[Delivery], comment: str) -> None:
        """Fail deliveries that were refused and cannot be replaced."""
        for delivery in refused:
            self.ledger.deliveries.record(job_id, replace(delivery, state=DeliveryState.FAILED, comment=comment))
            log.warning("not delivered job=%s destination=%s: %s", job_id, delivery.destination, comment)


def _unknown(results: Sequence[ResultObject]) -> Iterator[Reply]:
    """Yield replies for a destination that routing chose but that is no longer configured; it may come back."""
    for result in results:
        yield Reply(result.sop_instance_uid, Answer.TRY_AGAIN, None, "the configuration no longer has this destination")
