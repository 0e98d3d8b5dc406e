"""The sending Application Entity: sends result objects to a PACS by C-STORE, with one reply per object."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.pdu import A_RELEASE_RQ

from node.delivery.retry import Reply
from node.dimse.entity import RESULT_SYNTAXES, send_from_files, sending_entity
from node.dimse.scu import associate, cut_after, release
from node.dimse.status import Answer, meaning
from node.domain import Destination, ResultObject

log = logging.getLogger(__name__)


def send(
    destination: Destination, results: Sequence[ResultObject], calling_ae: str, limit_s: float = math.inf
) -> Iterator[Reply]:
    """Send result objects over one association, and yield one reply per object, in order.

    Segmentations should come before the report that refers to them. A network failure is also a
    reply; nothing is raised for it.

    Parameters
    ----------
    limit_s
        How long this may take, in seconds. The association is cut then, and what was not sent is not tried.
    """
    send_from_files()
    sending = _Sending(time.monotonic() + limit_s)
    entity = sending_entity(calling_ae, [result.sop_class_uid for result in results])
    ends = [(event, _end_wait) for event in (evt.EVT_PDU_RECV, evt.EVT_ABORTED, evt.EVT_RELEASED)]
    assoc = associate(entity, destination, [(evt.EVT_DIMSE_RECV, sending.hear), *ends])
    if isinstance(assoc, tuple):
        answer, comment = assoc
        if answer is Answer.TRY_AGAIN:
            answer = Answer.NOT_TRIED
        yield from (Reply(result.sop_instance_uid, answer, None, comment) for result in results)
        return
    try:
        for message_id, result in enumerate(results, start=1):
            yield sending.send(assoc, result, message_id)
    finally:
        if assoc.is_established:
            release(assoc)


def _end_wait(event: Any) -> None:
    """End the wait for a response when the association ends, or the peer asks for its release.

    pynetdicom waits on until the DIMSE time-out if that happens while a request is being sent.
    """
    if event.event is not evt.EVT_PDU_RECV or isinstance(event.pdu, A_RELEASE_RQ):
        event.assoc.dimse.msg_queue.put((None, None))


@dataclass
class _Sending:
    """What one association has sent and heard.

    Attributes
    ----------
    until
        When it has to be over, by the monotonic clock.
    """

    until: float
    _answered: int | None = field(default=None, init=False)

    def hear(self, event: Any) -> None:
        """Remember which request a response belongs to; pynetdicom takes any response for that of the last one."""
        if isinstance(event.message, C_STORE_RSP):
            self._answered = event.message.command_set.get("MessageIDBeingRespondedTo")

    def send(self, assoc: Association, result: ResultObject, message_id: int) -> Reply:
        """Send one object."""
        uid, left_s = result.sop_instance_uid, self.until - time.monotonic()
        if not assoc.is_established:
            return Reply(uid, Answer.NOT_TRIED, None, "the association ended")
        if left_s <= 0:
            return Reply(uid, Answer.NOT_TRIED, None, "the time for one attempt was over")
        syntaxes = [
            cx.transfer_syntax[0] for cx in assoc.accepted_contexts if cx.abstract_syntax == result.sop_class_uid
        ]
        if not syntaxes:
            return Reply(uid, Answer.CLASS_REFUSED, None, f"does not accept {UID(result.sop_class_uid).name}")
        with cut_after(min(left_s, assoc.dimse_timeout or left_s), [assoc]):
            try:
                as_it_is = RESULT_SYNTAXES[0] in syntaxes
                file = result.path if as_it_is else dcmread(result.path)
                status = assoc.send_c_store(file, message_id).get("Status")
            except RuntimeError:  # it ended just now
                return Reply(uid, Answer.NOT_TRIED, None, "the association ended")
            except OSError as error:
                return Reply(uid, Answer.TRY_AGAIN, None, f"cannot be sent: {error}")
            except (AttributeError, ValueError, InvalidDicomError) as error:
                return Reply(uid, Answer.REFUSED, None, f"cannot be sent, the file is damaged: {error}")
            return self._reply(assoc, uid, status, message_id)

    def _reply(self, assoc: Association, uid: str, status: int | None, message_id: int) -> Reply:
        if status is None or self._answered != message_id:
            if assoc.is_established:  # otherwise the next object would wait a whole DIMSE timeout for a dead peer
                assoc.abort()
            words = "no answer to C-STORE" if status is None else "the answer was to another message"
            return Reply(uid, Answer.UNANSWERED, None, words)
        answer, words = meaning(status)
        log.info("sent sop_instance=%s status=0x%04X %s", uid, status, words)
        return Reply(uid, answer, status, f"{answer.value} 0x{status:04X}: {words}" if words else "")
