"""The sending Application Entity: sends result objects to a PACS by C-STORE, with one reply per object."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom.association import Association

from node.delivery.retry import Reply
from node.dimse.entity import RESULT_SYNTAXES, send_from_files, sending_entity
from node.dimse.scu import associate
from node.dimse.status import Answer, meaning
from node.domain import Destination, ResultObject

log = logging.getLogger(__name__)


def send(destination: Destination, results: Sequence[ResultObject], calling_ae: str) -> Iterator[Reply]:
    """Send result objects over one association, and yield one reply per object, in order.

    Segmentations should come before the report that refers to them. A network failure is also a
    reply; nothing is raised for it.
    """
    send_from_files()
    assoc = associate(sending_entity(calling_ae, [result.sop_class_uid for result in results]), destination)
    if isinstance(assoc, tuple):
        answer, comment = assoc
        yield from (Reply(result.sop_instance_uid, answer, None, comment) for result in results)
        return
    try:
        for result in results:
            yield _send_one(assoc, result)
    finally:
        if assoc.is_established:
            assoc.release()


def _send_one(assoc: Association, result: ResultObject) -> Reply:
    uid = result.sop_instance_uid
    if not assoc.is_established:
        return Reply(uid, Answer.TRY_AGAIN, None, "the association ended")
    accepted = [cx.transfer_syntax[0] for cx in assoc.accepted_contexts if cx.abstract_syntax == result.sop_class_uid]
    if not accepted:
        return Reply(uid, Answer.CLASS_REFUSED, None, f"does not accept {UID(result.sop_class_uid).name}")
    try:
        as_it_is = RESULT_SYNTAXES[0] in accepted
        status = assoc.send_c_store(result.path if as_it_is else dcmread(result.path)).get("Status")
    except (OSError, RuntimeError) as error:
        return Reply(uid, Answer.TRY_AGAIN, None, f"cannot be sent: {error}")
    except (AttributeError, ValueError, InvalidDicomError) as error:
        return Reply(uid, Answer.REFUSED, None, f"cannot be sent, the file is damaged: {error}")
    if status is None:
        if assoc.is_established:  # otherwise the next object would wait a whole DIMSE timeout for a dead peer
            assoc.abort()
        return Reply(uid, Answer.TRY_AGAIN, None, "no answer to C-STORE")
    answer, words = meaning(status)
    log.info("sent sop_instance=%s status=0x%04X %s", uid, status, words)
    return Reply(uid, answer, status, f"{answer.value} 0x{status:04X}: {words}" if words else "")
