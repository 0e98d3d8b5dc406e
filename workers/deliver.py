"""The delivery task: it sends what a job's destinations have yet to receive, and records every answer."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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
from node.ledger.deliveries import Replacement
from node.ledger.ledger import Ledger
from node.results.build import build_results
from node.results.kept import read_result
from node.store.spool import Spool
from workers.claim import Claim, words_for

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
        """Claim a job, send what is due, settle it."""
        claim = Claim.take(self.ledger, job_id, JobState.DELIVERING, self.config.queue)
        if claim is None:
            log.info("not claimed job=%s", job_id)
            return
        with claim:
            try:
                while self._send_due(claim):
                    pass
                state = claim.settle()
            except LeaseLost as error:
                log.warning("%s", error)
                return
            except SQLAlchemyError as error:  # when the lease runs out the reconciler has it sent again
                log.error("ledger unavailable job=%s: %s", job_id, error)
                return
            except Exception as error:  # the boundary: a study always ends in a named state
                log.exception("delivery failed job=%s", job_id)
                claim.finish(JobState.FAILED, words_for(error))
                return
        log.info("settled job=%s state=%s", job_id, state)

    def _send_due(self, claim: Claim) -> bool:
        """Send what is due; return True if refused objects were replaced by others, which are due at once."""
        objects = self.ledger.deliveries.objects(claim.job_id)
        destinations = {destination.name: destination for destination in self.config.destination_list()}
        replaced = False
        for name, pending in self._due(claim.job_id).items():
            wanted = [made for made in objects if made.sop_instance_uid in pending]
            files = [replace(made, path=self.spool.path(str(made.path))) for made in wanted]
            destination = destinations.get(name)
            replies = _unknown(files) if destination is None else send(destination, files, self.config.node.ae_title)
            for kind, comment in self._record(claim, wanted, pending, replies).items():
                try:
                    self._replace(claim, name, kind, comment)
                    replaced = True
                except FtmtlError as error:
                    refused = [pending[made.sop_instance_uid] for made in wanted if made.kind is kind]
                    _give_up(claim, refused, f"{comment}; {kind.fallback} cannot be made instead: {error}")
        return replaced

    def _due(self, job_id: str) -> dict[str, dict[str, Delivery]]:
        """Return what is to be sent now, by destination and SOP Instance UID."""
        now = self.ledger.clock()
        due: dict[str, dict[str, Delivery]] = defaultdict(dict)
        for delivery in self.ledger.deliveries.of(job_id):
            if delivery.state is DeliveryState.PENDING and delivery.next_attempt <= now:
                due[delivery.destination][delivery.sop_instance_uid] = delivery
        return due

    def _record(
        self, claim: Claim, wanted: Sequence[ResultObject], pending: Mapping[str, Delivery], replies: Iterable[Reply]
    ) -> dict[ObjectKind, str]:
        """Record each reply as it arrives; return the kinds that are refused and can be replaced, and why."""
        section = self.config.delivery
        retry = RetryPolicy(section.first_retry_s, section.longest_retry_s, section.give_up_after_s)
        kinds = {result.sop_instance_uid: result.kind for result in wanted}
        refused: dict[ObjectKind, str] = {}
        for reply in replies:
            kind, delivery = kinds[reply.sop_instance_uid], pending[reply.sop_instance_uid]
            if reply.answer is Answer.CLASS_REFUSED and kind.fallback is not None:
                refused[kind] = reply.comment
                continue
            after = next_state(delivery, reply, self.ledger.clock(), retry)
            claim.record(after)
            if after.comment:
                log.warning("job=%s destination=%s %s", claim.job_id, delivery.destination, after.comment)
        return refused

    def _replace(self, claim: Claim, destination: str, refused: ObjectKind, comment: str) -> None:
        """Make the objects that replace refused ones at a destination, and open their delivery."""
        kind = refused.fallback
        assert kind is not None
        objects = [made for made in self.ledger.deliveries.objects(claim.job_id) if made.kind is kind]
        if not objects:
            folder = self.spool.results(claim.job_id)
            result, predecessor = read_result(folder)
            paths = [self.spool.path(instance.key) for instance in self.ledger.arrivals.instances(claim.job_id)]
            built = build_results(
                result,
                paths,
                folder,
                [kind],
                display=display_pixels,
                predecessor=predecessor,
                charset=self.config.dicom.default_charset,
            )
            objects = [replace(made, path=Path(self.spool.key(made.path))) for made in built]
        words = f"{comment}; sent as {kind} instead"
        claim.replace(Replacement(destination, refused, objects, words))
        log.warning("job=%s destination=%s %s: %s", claim.job_id, destination, refused, words)


def _give_up(claim: Claim, refused: Iterable[Delivery], comment: str) -> None:
    """Fail deliveries that were refused and can't be replaced."""
    for delivery in refused:
        claim.record(replace(delivery, state=DeliveryState.FAILED, comment=comment))
        log.warning("job=%s destination=%s %s", claim.job_id, delivery.destination, comment)


def _unknown(results: Sequence[ResultObject]) -> Iterator[Reply]:
    """Yield replies for a destination that routing chose but that is no longer configured; it may come back."""
    for result in results:
        yield Reply(result.sop_instance_uid, Answer.TRY_AGAIN, None, "the configuration no longer has this destination")
