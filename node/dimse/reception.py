"""Where connections arrive. One becomes an association only when its whole request is there.

Until then a connection costs a few bytes and no thread, however many there are and whatever they send or don't send.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import selectors
import socket
import threading
import time
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from node.dimse.request import A_ASSOCIATE_RQ

Address = IPv4Address | IPv6Address

_BACKLOG = 128
_WAITING = 128
"""Connections whose request is not there yet; of more, the oldest is closed. An honest one waits for milliseconds."""
_LARGEST_REQUEST = 1 << 18
"""Bytes of an association request: 128 presentation contexts with every transfer syntax that there is fit in."""
_KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""A machine that is gone is noticed after 50 s."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_UNKNOWN = IPv4Address(0)
_OTHER_PROTOCOLS = ((b"\x16\x03", "TLS"), (b"GET ", "HTTP"), (b"POST", "HTTP"), (b"HEAD", "HTTP"), (b"PROX", "PROXY"))


@dataclass
class Connection:
    """A connection, and what was read of it beyond the association request."""

    socket: socket.socket
    address: Address
    port: int
    read_ahead: bytes = b""

    def close(self) -> None:
        """Close it."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Host(Protocol):
    """What takes the connections; called in the thread of the reception, so it must not wait."""

    def knows(self, address: Address) -> bool:
        """Return whether anything is read from an address."""

    def visited(self, connection: Connection, request: bytes) -> None:
        """Take a connection over, with the association request that it has brought."""

    def turned_away(self, address: Address, reason: str) -> None:
        """Learn that a connection was closed without an association request."""


@dataclass
class _Visitor:
    """A connection whose request is arriving."""

    connection: Connection
    until: float
    received: bytearray = field(default_factory=bytearray)


class Reception:
    """A listening socket, and one thread that reads the first PDU of each connection.

    Parameters
    ----------
    host
        Takes the connections.
    address
        Address or name, and port; ``::`` takes IPv4, too.
    request_s
        Seconds that a connection has to bring its request.

    Raises
    ------
    OSError
        If the address is not available.
    """

    def __init__(self, host: Host, address: tuple[str, int], request_s: float) -> None:
        self.host = host
        self.request_s = request_s
        self._socket = _listen(address)
        self.port = int(self._socket.getsockname()[1])
        self._waiting: dict[socket.socket, _Visitor] = {}  # oldest first
        self._selector = selectors.DefaultSelector()
        self._bell, self._other_end = socket.socketpair()
        for readable in (self._socket, self._other_end):
            readable.setblocking(False)
            self._selector.register(readable, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="reception", daemon=True)

    def start(self) -> None:
        """Take connections from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more connections, and close those that have not asked for an association."""
        self._bell.send(b"\0")
        self._thread.join()
        for visitor in list(self._waiting.values()):
            self._dismiss(visitor, "the node is stopping")
        self._selector.close()
        for used in (self._socket, self._bell, self._other_end):
            used.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select(self._patience()):
                if key.fileobj is self._other_end:
                    return
                if key.fileobj is self._socket:
                    self._accept()
                elif key.fileobj in self._waiting:  # not closed a moment ago
                    self._read(key.data)
            now = time.monotonic()
            for visitor in [one for one in self._waiting.values() if one.until <= now]:
                self._dismiss(visitor, f"no association request within {self.request_s:.0f} s")

    def _patience(self) -> float | None:
        """Return the seconds until the oldest connection has to be closed; None if there is none."""
        oldest = next(iter(self._waiting.values()), None)
        return None if oldest is None else max(0.0, oldest.until - time.monotonic())

    def _accept(self) -> None:
        try:
            accepted, peer = self._socket.accept()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self.host.turned_away(_UNKNOWN, f"cannot be accepted: {error.strerror}")
                self._make_room(1)
                time.sleep(0.05)  # the connection stays, so that the selector would return at once
            return
        connection = Connection(accepted, plain_address(peer[0]), peer[1])
        if not self.host.knows(connection.address):
            connection.close()
            self.host.turned_away(connection.address, "the address is not that of a peer")
            return
        try:
            _set_options(accepted)
        except OSError:  # gone again already
            connection.close()
            return
        visitor = _Visitor(connection, time.monotonic() + self.request_s)
        self._waiting[accepted] = visitor
        self._selector.register(accepted, selectors.EVENT_READ, visitor)
        self._make_room(len(self._waiting) - _WAITING)

    def _make_room(self, count: int) -> None:
        for visitor in list(self._waiting.values())[: max(0, count)]:
            self._dismiss(visitor, "too many connections wait to bring an association request")

    def _read(self, visitor: _Visitor) -> None:
        try:
            data = visitor.connection.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        visitor.received += data
        received = visitor.received
        length = 6 + int.from_bytes(received[2:6], "big") if len(received) >= 6 else _LARGEST_REQUEST
        if not data:
            self._dismiss(visitor, f"closed {'in the middle of' if received else 'without'} an association request")
        elif received[0] != A_ASSOCIATE_RQ:
            self._dismiss(visitor, _not_dicom(bytes(received)))
        elif length > _LARGEST_REQUEST:
            self._dismiss(visitor, f"an association request of {length} bytes")
        elif len(received) >= length:
            self._hand_over(visitor, length)

    def _hand_over(self, visitor: _Visitor, length: int) -> None:
        self._forget(visitor)
        visitor.connection.socket.setblocking(True)
        visitor.connection.read_ahead = bytes(visitor.received[length:])
        try:
            self.host.visited(visitor.connection, bytes(visitor.received[:length]))
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a sender provokes ends one connection only
            visitor.connection.close()
            self.host.turned_away(visitor.connection.address, f"cannot be served: {type(error).__name__}")

    def _dismiss(self, visitor: _Visitor, reason: str) -> None:
        self._forget(visitor)
        visitor.connection.close()
        self.host.turned_away(visitor.connection.address, reason)

    def _forget(self, visitor: _Visitor) -> None:
        self._selector.unregister(visitor.connection.socket)
        del self._waiting[visitor.connection.socket]


def plain_address(text: str) -> Address:
    """Return an address; an IPv4 address that came through an IPv6 socket as the IPv4 address."""
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _listen(address: tuple[str, int]) -> socket.socket:
    host, port = address
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, resolved = min(found, key=lambda one: one[0] != socket.AF_INET)  # of a name, the IPv4 address
    both = host == "::" and socket.has_dualstack_ipv6()
    where = (str(resolved[0]), int(resolved[1]))
    return socket.create_server(where, family=family, backlog=_BACKLOG, dualstack_ipv6=both)


def _set_options(connection: socket.socket) -> None:
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # not on every system
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _not_dicom(received: bytes) -> str:
    """Say what came instead of an association request."""
    for beginning, name in _OTHER_PROTOCOLS:
        if received.startswith(beginning):
            return f"{name} instead of DICOM"
    return "no DICOM"
