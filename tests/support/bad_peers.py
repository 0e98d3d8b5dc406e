"""PACSs that do not do what they should, each in its own way, over real sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import MaximumLengthNotification

from node.cli.standalone import free_port
from support.records import SEG, SR

GARBAGE = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
ABORT = bytes.fromhex("07 00 00000004 0000 00 00")
"""A-ABORT (PS3.8 9.3.8), source: service user."""


class Peer:
    """A bad PACS: its port, the SOP Instance UIDs that it was sent, and how often it was called."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[str] = []
        self.calls = 0
        self.closing = threading.Event()


@contextmanager
def talking(talk: Callable[[Peer, socket.socket], None]) -> Iterator[Peer]:
    """A TCP server that talks to each caller as it is told, then hangs up; callers are cut off at the end."""
    peer, threads = Peer(), []
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer.port = server.getsockname()[1]

        def talk_to(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                talk(peer, connection)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    peer.calls += 1
                    threads.append(threading.Thread(target=talk_to, args=(connection,)))
                    threads[-1].start()

        listener = threading.Thread(target=accept)
        listener.start()
        try:
            yield peer
        finally:
            peer.closing.set()
            server.shutdown(socket.SHUT_RDWR)
            for thread in (listener, *threads):
                thread.join(20)


def _silent(peer: Peer, _: socket.socket) -> None:
    peer.closing.wait()


def _garbage(peer: Peer, connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(GARBAGE)
    peer.closing.wait()


def _abort(_: Peer, connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(ABORT)
    connection.recv(4096)


def _drip(peer: Peer, connection: socket.socket) -> None:
    """Begin an A-ASSOCIATE-AC of a mebibyte, and send a byte of it from time to time."""
    connection.sendall(bytes.fromhex("02 00 00100000"))
    while not peer.closing.wait(0.1):
        connection.sendall(b"\x00")


@contextmanager
def storing(
    store: Callable[[Peer, Any], int], *more: tuple[Any, Callable[[Peer, Any], None]], calling: tuple[str, ...] = ()
) -> Iterator[Peer]:
    """A Storage SCP whose answers are what a function says; it, and handlers of more events, learn of the peer."""
    peer, ae = Peer(), AE("PACS")
    for sop_class in (SEG, SR):
        ae.add_supported_context(sop_class)
    ae.require_calling_aet = list(calling)

    def answer(event: Any) -> int:
        peer.asked.append(str(event.request.AffectedSOPInstanceUID))
        return store(peer, event)

    def count(_: Any) -> None:
        peer.calls += 1

    handlers: list[Any] = [(evt.EVT_C_STORE, answer), (evt.EVT_CONN_OPEN, count)]
    handlers += [(event, lambda e, handle=handle: handle(peer, e)) for event, handle in more]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    peer.port = server.socket.getsockname()[1]
    try:
        yield peer
    finally:
        peer.closing.set()
        server.shutdown()


def _stored(_peer: Peer, _event: Any) -> int:
    return 0x0000


def _never(peer: Peer, event: Any) -> int:
    peer.closing.wait()
    event.assoc.abort()
    return 0x0000


def _closes(_: Peer, event: Any) -> int:
    """Answer, and close the association before the next object comes."""
    _respond(event, event.request.MessageID)
    event.assoc.abort()
    return 0x0000


def _releases(_: Peer, event: Any) -> int:
    """Answer, and ask for the release of the association before the next object comes."""
    _respond(event, event.request.MessageID)
    event.assoc.acse.send_release()
    event.assoc.is_established = False  # nothing is answered any more
    return 0x0000


def _interrupts(peer: Peer, event: Any) -> int:
    """Ask for the release of the association instead of answering."""
    event.assoc.acse.send_release()
    peer.closing.wait()
    return 0x0000


def _another(_: Peer, event: Any) -> int:
    """Answer a message that was never sent."""
    _respond(event, event.request.MessageID + 7)
    return 0x0000


def _respond(event: Any, message_id: int) -> None:
    response = C_STORE()
    response.MessageIDBeingRespondedTo = message_id
    response.AffectedSOPClassUID = event.request.AffectedSOPClassUID
    response.AffectedSOPInstanceUID = event.request.AffectedSOPInstanceUID
    response.Status = 0x0000
    event.assoc.dimse.send_msg(response, event.context.context_id)


def _deaf(peer: Peer, event: Any) -> None:
    """Stop reading with the first P-DATA."""
    if isinstance(event.pdu, P_DATA_TF):
        peer.closing.wait()


def _without_length(_: Peer, event: Any) -> None:
    acceptor = event.assoc.acceptor
    acceptor._user_info = [i for i in acceptor._user_info if not isinstance(i, MaximumLengthNotification)]


def _without_release(_: Peer, event: Any) -> None:
    """Lose every A-RELEASE request."""
    event.assoc.acse.is_release_requested = lambda: False


@contextmanager
def _nobody(host: str = "127.0.0.1") -> Iterator[Peer]:
    peer = Peer()
    peer.port = free_port()
    yield peer


MUTE = {
    "silent": lambda: talking(_silent),
    "garbage": lambda: talking(_garbage),
    "abort": lambda: talking(_abort),
    "drip": lambda: talking(_drip),
    "refused": _nobody,
    "rejected": lambda: storing(_stored, calling=("SOMEBODY",)),
    "no-answer": lambda: storing(_never),
    "deaf": lambda: storing(_stored, (evt.EVT_PDU_RECV, _deaf)),
    "wrong-message": lambda: storing(_another),
    "interrupts": lambda: storing(_interrupts),
}
"""PACSs that store nothing, as far as anybody can tell."""

ODD = {
    "no-length": lambda: storing(_stored, (evt.EVT_REQUESTED, _without_length)),
    "no-release": lambda: storing(_stored, (evt.EVT_ESTABLISHED, _without_release)),
    "closes": lambda: storing(_closes),
    "releases": lambda: storing(_releases),
}
"""PACSs that store in spite of all."""
