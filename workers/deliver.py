"""The delivery task: what a job still owes its destinations is sent, every answer recorded."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy.exc import SQLAlchemyError

from ftmtl.mammogram import display_pixels
from node.delivery import Reply, RetryPolicy, next_state, send
from node.domain import Delivery, DeliveryState, Destination, JobState, ObjectKind, ResultObject
from node.errors import LeaseLost
from node.ledger import Ledger
from node.results import build_results
from node.results.kept import read_result
from node.spool import Spool
from node.status import Answer
from workers.lease import held

log = logging.getLogger(__name__)


def run(
    job_id: str,
    ledger: Ledger,
    spool: Spool,
    destinations: Mapping[str, Destination],
    retry: RetryPolicy,
    *,
    calling_ae: str,
    lease_s: float,
    task_limit_s: float,
) -> None:
    """The task: claim a job, send what is due, settle it."""
    attempt = ledger.claim(job_id, JobState.DELIVERING, lease_s)
    if attempt is None:
        log.info("not claimed job=%s", job_id)
        return
    with held(ledger, job_id, attempt, lease_s=lease_s, limit_s=task_limit_s):
        try:
            while _send_due(job_id, ledger, spool, destinations, retry, calling_ae):
                pass
            state = ledger.settle(job_id, attempt)
        except LeaseLost as error:
            log.warning("%s", error)
            return
        except SQLAlchemyError as error:  # when the lease runs out the reconciler has it sent again
            log.error("job=%s the ledger does not answer: %s", job_id, error)
            return
        except Exception as error:  # the boundary: a study always ends in a named state
            log.exception("delivery failed job=%s", job_id)
            ledger.finish(job_id, attempt, JobState.FAILED, f"{type(error).__name__}: {error}")
            return
    log.info("settled job=%s state=%s", job_id, state)


def _send_due(
    job_id: str,
    ledger: Ledger,
    spool: Spool,
    destinations: Mapping[str, Destination],
    retry: RetryPolicy,
    calling_ae: str,
) -> bool:
    """Send what is due; True if refused objects were replaced by others, which are due at once."""
    objects = ledger.objects(job_id)
    replaced = False
    for name, pending in _due(job_id, ledger).items():
        wanted = [result for result in objects if result.sop_instance_uid in pending]
        kinds = {result.sop_instance_uid: result.kind for result in wanted}
        destination = destinations.get(name)
        refused: dict[ObjectKind, str] = {}
        for reply in _unknown(wanted) if destination is None else send(destination, wanted, calling_ae):
            kind = kinds[reply.sop_instance_uid]
            if reply.answer is Answer.CLASS_REFUSED and kind.fallback is not None:
                refused[kind] = reply.comment
                continue
            after = next_state(pending[reply.sop_instance_uid], reply, time.time(), retry)
            ledger.record_delivery(job_id, after)
            if after.comment:
                log.warning("job=%s destination=%s %s", job_id, name, after.comment)
        for kind, comment in refused.items():
            _replace(job_id, ledger, spool, name, kind, comment)
            replaced = True
    return replaced


def _due(job_id: str, ledger: Ledger) -> dict[str, dict[str, Delivery]]:
    """What is to be sent now, by destination and SOP Instance UID."""
    due: dict[str, dict[str, Delivery]] = defaultdict(dict)
    for delivery in ledger.deliveries(job_id):
        if delivery.state is DeliveryState.PENDING and delivery.next_attempt <= time.time():
            due[delivery.destination][delivery.sop_instance_uid] = delivery
    return due


def _replace(job_id: str, ledger: Ledger, spool: Spool, destination: str, refused: ObjectKind, comment: str) -> None:
    """Make the objects that a destination may take in place of refused ones, and open their delivery."""
    kind = refused.fallback
    assert kind is not None
    objects = [made for made in ledger.objects(job_id) if made.kind is kind]
    if not objects:
        folder = spool.results(job_id)
        result, predecessor = read_result(folder)
        paths = [instance.path for instance in ledger.instances(job_id)]
        objects = build_results(result, paths, folder, [kind], display=display_pixels, predecessor=predecessor)
    words = f"{comment}; sent as {kind} instead"
    ledger.replace(job_id, destination, refused, objects, words)
    log.warning("job=%s destination=%s %s: %s", job_id, destination, refused, words)


def _unknown(results: Sequence[ResultObject]) -> Iterator[Reply]:
    """A destination that routing chose and the configuration no longer has; it may come back."""
    for result in results:
        yield Reply(result.sop_instance_uid, Answer.TRY_AGAIN, None, "no such destination in the configuration")
