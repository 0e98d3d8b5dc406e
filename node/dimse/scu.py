"""The node as a Service Class User: it opens associations, sends C-ECHO, and asks which SOP classes a peer accepts."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from node.dimse.entity import VERIFICATION, requesting_entity, sending_entity
from node.dimse.status import Answer
from node.domain import Destination


def associate(ae: AE, peer: Destination) -> Association | tuple[Answer, str]:
    """Request an association with a peer; return it, or what the failure means and its reason in words."""
    try:
        assoc = ae.associate(peer.host, peer.port, ae_title=peer.ae_title, max_pdu=ae.maximum_pdu_size)
    except OSError as error:  # the host name does not resolve, at least for now
        return Answer.TRY_AGAIN, f"{peer.host}: {error.strerror or error}"
    return assoc if assoc.is_established else _why_not(assoc)


def accepted_classes(peer: Destination, calling_ae: str, sop_classes: Iterable[str]) -> set[str] | None:
    """Return the SOP classes that a peer would store, or None if it accepts no association. Nothing is sent."""
    assoc = associate(sending_entity(calling_ae, sop_classes), peer)
    if isinstance(assoc, tuple):
        return set() if assoc[0] is Answer.CLASS_REFUSED else None
    accepted = {str(context.abstract_syntax) for context in assoc.accepted_contexts}
    assoc.release()
    return accepted


def echo(peer: Destination, calling_ae: str) -> str | None:
    """Send a C-ECHO; return None if the peer answered 0x0000, otherwise what went wrong, in words."""
    ae = requesting_entity(calling_ae, [(VERIFICATION, ImplicitVRLittleEndian)], dimse_timeout_s=30)
    assoc = associate(ae, peer)
    if isinstance(assoc, tuple):
        return assoc[1]
    status = assoc.send_c_echo()
    assoc.release()
    code = status.get("Status")
    return None if code == 0 else ("no answer to C-ECHO" if code is None else f"C-ECHO status 0x{code:04X}")


def _why_not(assoc: Association) -> tuple[Answer, str]:
    """Return why there is no association: no answer, rejected (PS3.8 9.3.4), or no presentation context accepted."""
    if assoc.rejected_contexts and not assoc.accepted_contexts:
        refused = ", ".join(dict.fromkeys(str(UID(cx.abstract_syntax or "").name) for cx in assoc.rejected_contexts))
        return Answer.CLASS_REFUSED, f"accepts none of: {refused}"
    if assoc.is_rejected:
        reply = assoc.acceptor.primitive
        return Answer.TRY_AGAIN, f"association rejected: {reply.reason_str}" if reply else "association rejected"
    if assoc.is_aborted:
        return Answer.TRY_AGAIN, "the peer does not answer or aborted the association"
    return Answer.TRY_AGAIN, "no association"
