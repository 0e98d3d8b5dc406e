"""The node as a Service Class User: it opens associations, sends C-ECHO, and asks which SOP classes a peer accepts."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association

from node.dimse.entity import VERIFICATION, requesting_entity, sending_entity
from node.dimse.status import Answer
from node.domain import Destination

_GRACE_S = 5.0
"""How much longer than by its time-outs a step may take before the connection is cut."""

_MODEST_PDU_BYTES = 16384
"""What a peer is sent that does not say how long a PDU it takes."""

_RELEASE_S = 5.0
"""How long a peer may take to answer A-RELEASE: everything has been said by then."""


def associate(ae: AE, peer: Destination, handlers: Sequence[Any] = ()) -> Association | tuple[Answer, str]:
    """Request an association with a peer; return it, or what the failure means and its reason in words.

    Parameters
    ----------
    handlers
        Pairs of a pynetdicom event and its handler.
    """
    opened: list[Association] = []

    def is_open(event: Any) -> None:
        opened.append(event.assoc)
        # A message is a command and a data set: Nagle's algorithm would hold back the second, for 40 ms an object.
        event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    watched = [*handlers, (evt.EVT_CONN_OPEN, is_open)]
    try:
        with cut_after((ae.connection_timeout or 0) + (ae.acse_timeout or 0), opened):
            assoc = ae.associate(
                peer.host, peer.port, ae_title=peer.ae_title, max_pdu=ae.maximum_pdu_size, evt_handlers=watched
            )
    except OSError as error:  # the host name does not resolve, at least for now
        return Answer.TRY_AGAIN, f"{peer.host}: {error.strerror or error}"
    if not opened:
        return Answer.TRY_AGAIN, f"{peer.host}:{peer.port} does not answer: no connection"
    if not assoc.is_established:
        _close(assoc)
        return _why_not(assoc)
    accepted = assoc.acceptor.primitive
    if accepted is not None and accepted.maximum_length_received is None:
        accepted.maximum_length_received = _MODEST_PDU_BYTES  # PS3.8 D.1 requires it, and some peers leave it out
    return assoc


@contextlib.contextmanager
def cut_after(seconds: float, associations: Sequence[Association]) -> Iterator[None]:
    """Cut the connections of associations if the block takes much longer than it may, or raises.

    pynetdicom waits without end for the rest of a message, and to get rid of one that the peer does not read; its
    time-outs come to nothing then. A connection that is cut ends the wait.

    Parameters
    ----------
    seconds
        How long the block may take by its own time-outs; they are given some seconds more.
    associations
        May be added to within the block.
    """
    timer = threading.Timer(seconds + _GRACE_S, _cut, (associations,))
    timer.daemon = True
    timer.start()
    try:
        yield
    except BaseException:
        _cut(associations)
        raise
    finally:
        timer.cancel()


def release(assoc: Association) -> None:
    """Release an association, or cut it if the peer does not answer."""
    assoc.acse_timeout = _RELEASE_S
    with cut_after(_RELEASE_S, [assoc]):
        assoc.release()


def accepted_classes(peer: Destination, calling_ae: str, sop_classes: Iterable[str]) -> set[str] | None:
    """Return the SOP classes that a peer would store, or None if it accepts no association. Nothing is sent."""
    assoc = associate(sending_entity(calling_ae, sop_classes), peer)
    if isinstance(assoc, tuple):
        return set() if assoc[0] is Answer.CLASS_REFUSED else None
    accepted = {str(context.abstract_syntax) for context in assoc.accepted_contexts}
    release(assoc)
    return accepted


def echo(peer: Destination, calling_ae: str) -> str | None:
    """Send a C-ECHO; return None if the peer answered 0x0000, otherwise what went wrong, in words."""
    ae = requesting_entity(calling_ae, [(VERIFICATION, ImplicitVRLittleEndian)], dimse_timeout_s=30)
    assoc = associate(ae, peer)
    if isinstance(assoc, tuple):
        return assoc[1]
    with cut_after(ae.dimse_timeout or 0, [assoc]):
        status = assoc.send_c_echo()
    release(assoc)
    code = status.get("Status")
    return None if code == 0 else ("no answer to C-ECHO" if code is None else f"C-ECHO status 0x{code:04X}")


def _cut(associations: Iterable[Association]) -> None:
    for assoc in associations:
        connection = None if assoc.dul.socket is None else assoc.dul.socket.socket
        if connection is not None:
            with contextlib.suppress(OSError):  # it is closed already
                connection.shutdown(socket.SHUT_RDWR)


def _close(assoc: Association) -> None:
    """Close the socket of an association that was not established; pynetdicom leaves some open."""
    assoc.dul.join(_GRACE_S)
    connection = None if assoc.dul.socket is None else assoc.dul.socket.socket
    if connection is not None:
        connection.close()


def _why_not(assoc: Association) -> tuple[Answer, str]:
    """Return why there is no association: no answer, rejected (PS3.8 9.3.4), or no presentation context accepted."""
    if assoc.rejected_contexts and not assoc.accepted_contexts:
        refused = ", ".join(dict.fromkeys(str(UID(cx.abstract_syntax or "").name) for cx in assoc.rejected_contexts))
        return Answer.CLASS_REFUSED, f"accepts none of: {refused}"
    if assoc.is_rejected:
        reply = assoc.acceptor.primitive
        return Answer.TRY_AGAIN, f"association rejected: {reply.reason_str}" if reply else "association rejected"
    if assoc.is_aborted:
        return Answer.TRY_AGAIN, "the peer does not answer the request of an association, or aborts it"
    return Answer.TRY_AGAIN, "no association"
