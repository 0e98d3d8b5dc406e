"""The node as a service class user: associations with peers, and what can be asked of one without sending anything."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from node.dimse.entity import VERIFICATION, requesting_entity, sending_entity
from node.dimse.status import Answer
from node.domain import Destination


def associate(ae: AE, peer: Destination) -> Association | tuple[Answer, str]:
    """Ask a peer for an association; return it, or what its absence means and why there is none."""
    try:
        assoc = ae.associate(peer.host, peer.port, ae_title=peer.ae_title, max_pdu=ae.maximum_pdu_size)
    except OSError as error:  # no such host name, at least now
        return Answer.TRY_AGAIN, f"{peer.host}: {error.strerror or error}"
    return assoc if assoc.is_established else _why_not(assoc)


def accepted_classes(peer: Destination, calling_ae: str, sop_classes: Iterable[str]) -> set[str] | None:
    """Ask a peer which SOP classes it would store; None if it opens no association. Nothing is sent."""
    assoc = associate(sending_entity(calling_ae, sop_classes), peer)
    if isinstance(assoc, tuple):
        return set() if assoc[0] is Answer.CLASS_REFUSED else None
    accepted = {str(context.abstract_syntax) for context in assoc.accepted_contexts}
    assoc.release()
    return accepted


def echo(peer: Destination, calling_ae: str) -> str | None:
    """C-ECHO; None if the peer answered 0x0000, else what went wrong in words."""
    ae = requesting_entity(calling_ae, [(VERIFICATION, ImplicitVRLittleEndian)], dimse_timeout_s=30)
    assoc = associate(ae, peer)
    if isinstance(assoc, tuple):
        return assoc[1]
    status = assoc.send_c_echo()
    assoc.release()
    code = status.get("Status")
    return None if code == 0 else ("no answer to C-ECHO" if code is None else f"C-ECHO status 0x{code:04X}")


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
