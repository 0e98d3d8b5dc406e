"""The sending Application Entity: result objects go to a PACS by C-STORE, each with its own answer."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config
from pynetdicom.association import Association

from node.domain import Delivery, DeliveryState, Destination, ResultObject
from node.results.identity import IMPLEMENTATION_CLASS_UID, implementation_version_name
from node.status import Answer, meaning

log = logging.getLogger(__name__)

TRANSFER_SYNTAXES = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
"""Offered for all result objects: the one that their files are in, and the default one (PS3.5 10.1)."""


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


def send(destination: Destination, results: Sequence[ResultObject], calling_ae: str) -> Iterator[Reply]:
    """Send result objects over one association; one reply an object, in their order.

    Segmentations should come before the report that refers to them. A network failure is a reply
    too: nothing is raised for it.
    """
    _config.STORE_SEND_CHUNKED_DATASET = True
    ae = sending_entity(calling_ae, [result.sop_class_uid for result in results])
    fault: tuple[Answer, str] | None
    try:
        assoc = ae.associate(
            destination.host, destination.port, ae_title=destination.ae_title, max_pdu=ae.maximum_pdu_size
        )
    except OSError as error:  # no such host name, at least now
        fault = Answer.TRY_AGAIN, f"{destination.host}: {error.strerror or error}"
    else:
        fault = None if assoc.is_established else _why_not(assoc)
    if fault is not None:
        answer, comment = fault
        yield from (Reply(result.sop_instance_uid, answer, None, comment) for result in results)
        return
    try:
        for result in results:
            yield _send_one(assoc, result)
    finally:
        if assoc.is_established:
            assoc.release()


def sending_entity(ae_title: str, sop_classes: Iterable[str]) -> AE:
    """Return the sending AE: what it proposes, and how long it waits."""
    ae = AE(ae_title)
    ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    ae.implementation_version_name = implementation_version_name()
    ae.maximum_pdu_size = 131072
    ae.connection_timeout = 10
    ae.acse_timeout = 30
    ae.dimse_timeout = 120
    for sop_class in dict.fromkeys(sop_classes):
        for syntax in TRANSFER_SYNTAXES:
            ae.add_requested_context(sop_class, syntax)
    return ae


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


def accepted_classes(destination: Destination, calling_ae: str, sop_classes: Iterable[str]) -> set[str] | None:
    """Ask a peer which SOP classes it would store; None if there is no asking it. Nothing is sent."""
    ae = sending_entity(calling_ae, sop_classes)
    try:
        assoc = ae.associate(destination.host, destination.port, ae_title=destination.ae_title)
    except OSError:
        return None
    accepted = {str(context.abstract_syntax) for context in assoc.accepted_contexts}
    if assoc.is_established:
        assoc.release()
        return accepted
    return set() if assoc.rejected_contexts else None


def echo(destination: Destination, calling_ae: str) -> str | None:
    """C-ECHO; None if the peer answered 0x0000, else what went wrong in words."""
    ae = AE(calling_ae)
    ae.connection_timeout = 10
    ae.add_requested_context("1.2.840.10008.1.1")
    try:
        assoc = ae.associate(destination.host, destination.port, ae_title=destination.ae_title)
    except OSError as error:
        return f"{destination.host}: {error.strerror or error}"
    if not assoc.is_established:
        return _why_not(assoc)[1]
    status = assoc.send_c_echo()
    assoc.release()
    code = status.get("Status")
    return None if code == 0 else ("no answer to C-ECHO" if code is None else f"C-ECHO status 0x{code:04X}")


def _send_one(assoc: Association, result: ResultObject) -> Reply:
    uid = result.sop_instance_uid
    if not assoc.is_established:
        return Reply(uid, Answer.TRY_AGAIN, None, "the association ended")
    accepted = [cx.transfer_syntax[0] for cx in assoc.accepted_contexts if cx.abstract_syntax == result.sop_class_uid]
    if not accepted:
        return Reply(uid, Answer.CLASS_REFUSED, None, f"does not accept {UID(result.sop_class_uid).name}")
    try:
        as_it_is = TRANSFER_SYNTAXES[0] in accepted
        status = assoc.send_c_store(result.path if as_it_is else dcmread(result.path)).get("Status")
    except (OSError, RuntimeError) as error:
        return Reply(uid, Answer.TRY_AGAIN, None, f"cannot be sent: {error}")
    except (AttributeError, ValueError, InvalidDicomError) as error:
        return Reply(uid, Answer.REFUSED, None, f"cannot be sent, its file is damaged: {error}")
    if status is None:
        if assoc.is_established:  # or the next object would wait the whole DIMSE timeout for a peer that is gone
            assoc.abort()
        return Reply(uid, Answer.TRY_AGAIN, None, "no answer to C-STORE")
    answer, words = meaning(status)
    log.info("sent sop_instance=%s status=0x%04X %s", uid, status, words)
    return Reply(uid, answer, status, f"{answer.value} 0x{status:04X}: {words}" if words else "")


def _why_not(assoc: Association) -> tuple[Answer, str]:
    """Why there is no association: nobody there, rejected (PS3.8 9.3.4), or nothing accepted."""
    if assoc.rejected_contexts and not assoc.accepted_contexts:
        refused = ", ".join(dict.fromkeys(str(UID(cx.abstract_syntax or "").name) for cx in assoc.rejected_contexts))
        return Answer.CLASS_REFUSED, f"accepts none of: {refused}"
    if assoc.is_rejected:
        reply = assoc.acceptor.primitive
        return Answer.TRY_AGAIN, f"association rejected: {reply.reason_str}" if reply else "association rejected"
    if assoc.is_aborted:
        return Answer.TRY_AGAIN, "the peer does not answer or aborted the association"
    return Answer.TRY_AGAIN, "no association"
