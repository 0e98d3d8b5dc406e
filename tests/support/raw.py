"""PDUs by hand, for senders that do what no library would (PS3.8 9.3, PS3.7 6.3)."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import Self

from pydicom.uid import ExplicitVRLittleEndian

from support.records import MG, STUDY

VERIFICATION = "1.2.840.10008.1.1"
ABORT = bytes.fromhex("07 00 00000004 00 00 00 00")
RELEASE = bytes.fromhex("05 00 00000004 00000000")
_COMMAND, _LAST = 1, 2


def item(kind: int, value: bytes) -> bytes:
    """An item of an association request."""
    return struct.pack(">BxH", kind, len(value)) + value


def context(number: int, sop_class: str = MG, syntaxes: tuple[str, ...] = (ExplicitVRLittleEndian,)) -> bytes:
    """A presentation context item."""
    proposed = b"".join(item(0x40, uid.encode()) for uid in syntaxes)
    return item(0x20, bytes([number, 0, 0, 0]) + item(0x30, sop_class.encode()) + proposed)


USER_INFORMATION = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3")


def request(
    *contexts: bytes,
    calling: bytes = b"MODALITY",
    called: bytes = b"FTMTL",
    user_information: bytes = USER_INFORMATION,
    padding: bytes = b" ",
) -> bytes:
    """An A-ASSOCIATE-RQ; by default for mammograms, and for C-ECHO in Implicit VR Little Endian."""
    proposed = contexts or (context(1), context(3, VERIFICATION, ("1.2.840.10008.1.2",)))
    body = struct.pack(">HH", 1, 0) + called.ljust(16, padding) + calling.ljust(16, padding) + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + b"".join(proposed) + item(0x50, user_information)
    return struct.pack(">BxI", 1, len(body)) + body


def command(**elements: str | int) -> bytes:
    """A command set, from keywords of the ones that the tests need."""
    tags = {
        "AffectedSOPClassUID": 0x0002, "CommandField": 0x0100, "MessageID": 0x0110, "MessageIDBeingRespondedTo": 0x0120,
        "Priority": 0x0700, "CommandDataSetType": 0x0800, "Status": 0x0900, "AffectedSOPInstanceUID": 0x1000,
    }  # fmt: skip
    encoded = b""
    for keyword, tag in tags.items():
        if keyword in elements:
            value = elements[keyword]
            raw = struct.pack("<H", value) if isinstance(value, int) else value.encode() + b"\0" * (len(value) % 2)
            encoded += struct.pack("<HHI", 0, tag, len(raw)) + raw
    return struct.pack("<HHII", 0, 0, 4, len(encoded)) + encoded


def c_store(uid: str = f"{STUDY}.2.1", **changes: str | int) -> bytes:
    """The command set of a C-STORE with a data set."""
    usual: dict[str, str | int] = {
        "AffectedSOPClassUID": MG, "CommandField": 1, "MessageID": 1, "Priority": 0, "CommandDataSetType": 1,
        "AffectedSOPInstanceUID": uid,
    }  # fmt: skip
    return command(**usual | changes)


def c_echo() -> bytes:
    """The command set of a C-ECHO."""
    return command(AffectedSOPClassUID=VERIFICATION, CommandField=0x30, MessageID=1, CommandDataSetType=0x0101)


def c_cancel(message_id: int) -> bytes:
    """The command set of a C-CANCEL."""
    return command(CommandField=0x0FFF, MessageIDBeingRespondedTo=message_id, CommandDataSetType=0x0101)


def p_data(value: bytes, number: int = 1, *, is_command: bool = False, last: bool = True) -> bytes:
    """A P-DATA-TF PDU with one fragment."""
    fragment = bytes([number, _COMMAND * is_command | _LAST * last]) + value
    return struct.pack(">BxII", 4, len(fragment) + 4, len(fragment)) + fragment


class RawSender:
    """A connection to the listener, with an association if one is asked for."""

    def __init__(self, port: int, asked: bytes | None = None, *, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))
        self.reply = b""
        if asked is not None:
            self.socket.sendall(asked)
            self.reply = self.pdu()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def is_accepted(self) -> bool:
        """Whether the association was accepted (A-ASSOCIATE-AC)."""
        return self.reply[:1] == b"\x02"

    def send(self, *pdus: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(b"".join(pdus))

    def command(self, encoded: bytes, number: int = 1) -> None:
        """Send a command set."""
        self.send(p_data(encoded, number, is_command=True))

    def pdu(self) -> bytes:
        """Return the next PDU; nothing if the connection is closed."""
        header = self._read(6)
        return header + self._read(int.from_bytes(header[2:], "big")) if len(header) == 6 else b""

    def status(self) -> int:
        """Return the status of the next response."""
        pdu = self.pdu()
        assert pdu[:1] == b"\x04", pdu
        at = pdu.index(struct.pack("<HHI", 0, 0x0900, 2))
        return int.from_bytes(pdu[at + 8 : at + 10], "little")

    def is_ended(self) -> bool:
        """Wait until the listener has ended the connection; return whether it did so in 10 s."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def reset(self) -> None:
        """Close the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                return data
            data += more
        return data


@contextlib.contextmanager
def left_open(port: int, count: int, begun: bytes = b"") -> Iterator[list[socket.socket]]:
    """Connections on which something was begun, and nothing more is sent."""
    opened = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(count)]
    try:
        for connection in opened:
            with contextlib.suppress(OSError):  # it may have been ended already
                connection.sendall(begun)
        yield opened
    finally:
        for connection in opened:
            connection.close()


NOT_RECOGNISED, LOCAL_LIMIT_EXCEEDED = (1, 1, 3), (2, 3, 2)
"""Result, source and reason of a rejection: calling AE title not recognised; a limit (PS3.8 9.3.4)."""


def rejection(port: int, calling: str) -> tuple[int, ...]:
    """Ask for an association under an AE title; return result, source and reason of its rejection (PS3.8 9.3.4).

    pynetdicom's requestor sometimes takes a rejection for an abort when the connection is closed right behind it.
    """
    with RawSender(port, request(calling=calling.encode())) as sender:
        return tuple(sender.reply[7:10]) if sender.reply[:1] == b"\x03" else ()
