"""The upper layer of an accepted association (PS3.8): PDUs, bounded in size and in time.

pynetdicom waits without end for the rest of a PDU, believes what it says of its length, and lets its thread die of what
it doesn't expect. What is overridden here is where it does so.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from typing import TYPE_CHECKING, Any, cast

from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import TRANSITION_TABLE
from pynetdicom.transport import AssociationSocket

if TYPE_CHECKING:
    from node.dimse.association import AcceptedAssociation

_PDU_TYPES = range(0x01, 0x08)
A_ABORT = 0x07
_LARGEST_PDU = 1 << 20
"""Bytes. More than the node offers to take, because some senders heed their own setting only."""
_WAITING = 8
"""Messages that wait to be served; more are not read before. Senders have to await each answer (PS3.7 D.3.3.3)."""
_SEND_S, _DRAIN_S = 10.0, 1.0
_CLOSING = ("Sta1", "Sta13")
"""States in which nothing more can be sent (PS3.8 table 9-10)."""
_ABORTING = ("AA-1", "AA-8")
"""Actions that abort the association (PS3.8 table 9-9)."""
_CLOSED = "the connection was closed without a release"


class InvalidPDU(ValueError):  # noqa: N818 - it names what it is
    """What arrived is no PDU, in words that may be logged."""


class Socket(AssociationSocket):
    """A connection of which the beginning has been read already."""

    def __init__(self, assoc: AcceptedAssociation, connection: socket.socket, read_ahead: bytes) -> None:
        super().__init__(assoc, client_socket=connection)
        self.association = assoc
        self._read = read_ahead
        self._silence_s = assoc.service.limits.silence_s
        self._poll = select.poll()  # `select` knows no descriptor above 1023
        self._poll.register(connection, select.POLLIN)

    @property
    def ready(self) -> bool:
        """Whether something can be read, if only that the sender has closed the connection."""
        if self.socket is None or not self._is_connected:
            return False
        return bool(self._read) or bool(self._poll.poll(0))

    def read_pdu(self) -> bytes:
        """Read a PDU (PS3.8 9.3.1).

        Raises
        ------
        OSError
            If the connection is closed; `TimeoutError` if the PDU is not whole in time.
        InvalidPDU
            If it can't be one.
        """
        deadline = time.monotonic() + self._silence_s
        header = self._read_exactly(6, deadline)
        length = int.from_bytes(header[2:], "big")
        if header[0] not in _PDU_TYPES:
            raise InvalidPDU(f"sent a PDU of the unknown type 0x{header[0]:02X}")
        if length > _LARGEST_PDU:
            raise InvalidPDU(f"sent a PDU of {length} bytes")
        return header + self._read_exactly(length, deadline)

    def _read_exactly(self, count: int, deadline: float) -> bytes:
        buffer = memoryview(bytearray(count))
        filled = min(count, len(self._read))
        buffer[:filled], self._read = self._read[:filled], self._read[filled:]
        connection = cast(socket.socket, self.socket)
        while filled < count:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            received = connection.recv_into(buffer[filled:])
            if not received:
                raise ConnectionResetError("closed by the sender")
            filled += received
        return bytes(buffer)

    def send(self, bytestream: bytes) -> None:
        """Send bytes; a sender that doesn't read its answers has lost its connection after a while."""
        connection = self.socket
        if connection is None:  # closed already
            return
        try:
            connection.settimeout(_SEND_S)
            connection.sendall(bytestream)
        except TimeoutError:
            self._lose(f"did not read an answer for {_SEND_S:.0f} s")
        except OSError:
            self._lose(_CLOSED)

    def _lose(self, reason: str) -> None:
        self.association.blame(reason)
        self.event_queue.put("Evt17")

    def drain(self) -> None:
        """Say that nothing more comes, and read on for a moment: closing at once may discard what was sent."""
        deadline = time.monotonic() + _DRAIN_S
        with contextlib.suppress(OSError):
            connection = cast(socket.socket, self.socket)
            connection.shutdown(socket.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0:
                connection.settimeout(left)
                if not connection.recv(1 << 16):
                    return


class UpperLayer(DULServiceProvider):
    """Reads and writes PDUs; a thread. A PDU is bounded in size and time."""

    def __init__(self, assoc: AcceptedAssociation) -> None:
        super().__init__(assoc)
        self.association = assoc
        self.daemon = True  # a sender that stalls must not keep the process alive
        self._active = time.monotonic()

    def run_reactor(self) -> None:
        """Read and write until the connection ends."""
        try:
            super().run_reactor()
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a sender provokes ends one association only
            self.association.blame(f"failed: {type(error).__name__}")

    def idle_timer_expired(self) -> bool:
        """Return whether the sender has been silent for too long; by a clock that nobody sets."""
        limits, silent_s = self.association.service.limits, time.monotonic() - self._active
        if self.association.dimse.message is not None and silent_s > limits.silence_s:
            self.association.blame(f"sent nothing for {limits.silence_s:.0f} s")
            return True
        if silent_s > limits.idle_s:
            self.association.blame(f"was idle for {limits.idle_s:.0f} s")
            return True
        return False

    def _is_transport_event(self) -> bool:
        connection = cast(Socket, self.socket)
        if self.state_machine.current_state == "Sta13":  # the association has ended: nothing more is parsed
            connection.drain()
            connection.close()
            return True
        if self.association.dimse.msg_queue.qsize() >= _WAITING:
            return False
        return super()._is_transport_event()

    def _process_recv_primitive(self) -> bool:
        if self.state_machine.current_state in _CLOSING:
            self.to_provider_queue.queue.clear()
            return False
        return super()._process_recv_primitive()

    def _read_pdu_data(self) -> None:
        self._active = time.monotonic()
        try:
            data = cast(Socket, self.socket).read_pdu()
            pdu, event = self._decode_pdu(bytearray(data))
        except TimeoutError:
            self._end("Evt19", f"sent a PDU that was not whole after {self.association.service.limits.silence_s:.0f} s")
        except OSError:
            self._end("Evt17", _CLOSED)
        except InvalidPDU as error:
            self._end("Evt19", str(error))
        except Exception as error:  # noqa: BLE001 - the boundary: pynetdicom raises whatever the bytes provoke
            self._end("Evt19", f"sent a PDU that can't be read: {type(error).__name__}")
        else:
            if data[0] == A_ABORT:
                self.association.blame("aborted by the sender")
            elif TRANSITION_TABLE.get((event, self.state_machine.current_state)) in _ABORTING:
                self.association.blame(f"sent a PDU of the type 0x{data[0]:02X} out of order")
            self._recv_pdu.put(pdu)
            self.event_queue.put(event)
        self._active = time.monotonic()

    def _end(self, event: str, reason: str) -> None:
        self.association.blame(reason)
        self.event_queue.put(event)

    def _send(self, pdu: Any) -> None:
        super()._send(pdu)
        self._active = time.monotonic()
