"""The messages of an accepted association (PS3.7): data sets go to files as they arrive, and all else is small.

pynetdicom keeps whatever a message brings, at any length, and leaves the file of one that doesn't end.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import create_file_meta
from pynetdicom.pdu_primitives import P_DATA

if TYPE_CHECKING:
    from node.dimse.association import AcceptedAssociation

_COMMAND, _LAST = 0x01, 0x02
"""Bits of the message control header (PS3.8 annex E.2)."""
_NO_DATA_SET = 0x0101
"""Command Data Set Type (PS3.7 E.1)."""
_LARGEST_COMMAND = 1 << 16
"""Bytes of a command set; real ones have some hundred."""


class DataSetFile(Protocol):
    """Where a data set goes as it arrives. It takes whatever comes: a fault of the disk is not the reader's."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def overrun(self) -> bool:
        """Whether so much has come that nothing more should be read."""

    def write(self, data: bytes) -> None:
        """Append some bytes."""

    def discard(self) -> None:
        """Remove the file."""


class Messages(DIMSEServiceProvider):
    """Puts messages together. Data sets go to files as they arrive; all else is small."""

    def __init__(self, assoc: AcceptedAssociation) -> None:
        super().__init__(assoc)
        self.association = assoc

    @property
    def image_under_way(self) -> bool:
        """Whether some of a data set has arrived, and more is to come."""
        message = self.message  # another thread may ask
        return message is not None and message._data_set_file is not None

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the fragments of a P-DATA-TF PDU (PS3.8 9.3.5 and annex E)."""
        for context_id, fragment in primitive.presentation_data_value_list:
            try:
                self._receive(context_id, fragment)
            except Exception as error:  # noqa: BLE001 - the boundary: pynetdicom raises whatever the bytes provoke
                words = str(error) if isinstance(error, _InvalidMessage) else f"can't be read: {type(error).__name__}"
                self.association.blame(f"sent a message that {words}")
                self.dul.event_queue.put("Evt19")
                return

    def discard(self) -> None:
        """Remove the files of what will not be served."""
        discard(self.message)
        while not self.msg_queue.empty():
            discard(self.msg_queue.get()[1])

    def _receive(self, context_id: int, fragment: bytes) -> None:
        self._check(context_id, fragment)
        self.cancel_req.clear()  # nothing here can be cancelled
        one = P_DATA()
        one.presentation_data_value_list = cast(Any, [[context_id, fragment]])
        super().receive_primitive(one)
        message = self.message
        if message is None:
            return
        if fragment[0] & _LAST and (not fragment[0] & _COMMAND or not _has_data_set(message)):
            raise _InvalidMessage("can't be read")
        if message.context_id is not None and message._data_set_file is None:
            self._open(message, context_id)
        elif self.image_under_way and _file_of(message).overrun:
            raise _InvalidMessage("does not end")
        elif message.encoded_command_set.tell() > _LARGEST_COMMAND:
            raise _InvalidMessage("has too large a command set")

    def _check(self, context_id: int, fragment: bytes) -> None:
        """Check that a fragment may come now."""
        if not fragment:
            raise _InvalidMessage("has a fragment without a message control header")
        if context_id not in self.association._accepted_cx:
            raise _InvalidMessage("has a presentation context that was not accepted")
        is_command = bool(fragment[0] & _COMMAND)
        if is_command and self.image_under_way:
            raise _InvalidMessage("begins before the last one has ended")
        if not is_command and not self.image_under_way:
            raise _InvalidMessage("has a data set without a command")

    def _open(self, message: DIMSEMessage, context_id: int) -> None:
        """Give a message whose data set follows a file for it."""
        if not isinstance(message, C_STORE_RQ):
            raise _InvalidMessage("is not offered here")
        file = self.association.service.receive()
        syntax = self.association._accepted_cx[context_id].transfer_syntax[0]
        message._data_set_file, message._data_set_path = cast(Any, _File(file)), file.path
        command = message.command_set
        sop_class, sop_instance = command.get("AffectedSOPClassUID"), command.get("AffectedSOPInstanceUID")
        if sop_class and sop_instance:  # otherwise it will be refused
            file.write(_file_header(sop_class, sop_instance, syntax))


class _InvalidMessage(ValueError):  # noqa: N818 - it names what it is
    """A message that can't be served, in words that may be logged."""


class _File:
    """What pynetdicom takes for the temporary file that it receives a data set into."""

    def __init__(self, received: DataSetFile) -> None:
        self.received = received
        self.name = str(received.path)
        self.file = self

    def write(self, data: bytes) -> None:
        self.received.write(data)

    def flush(self) -> None:
        """Do nothing: the file is synced once it is whole."""

    def close(self) -> None:
        """Do nothing: who received the file closes it."""


def _has_data_set(message: DIMSEMessage) -> bool:
    return bool(message.command_set.get("CommandDataSetType") != _NO_DATA_SET)


def _file_header(sop_class: UID, sop_instance: UID, transfer_syntax: UID) -> bytes:
    """Return preamble and File Meta Information (PS3.10 7.1)."""
    encoded = DicomBytesIO()
    write_file_meta_info(
        encoded,
        create_file_meta(sop_class_uid=sop_class, sop_instance_uid=sop_instance, transfer_syntax=transfer_syntax),
    )
    return b"\0" * 128 + b"DICM" + encoded.getvalue()


def received_file(request: C_STORE) -> Any:
    """Return the file of a C-STORE request's data set, as `Service.receive` returned it; None if it has none."""
    file = request._dataset_file
    return None if file is None else _file_of(request)


def discard(message: Any) -> None:
    """Remove the file of a message or request, if it still has one."""
    if getattr(message, "_data_set_file", None) or getattr(message, "_dataset_file", None):
        _file_of(message).discard()


def _file_of(message: Any) -> DataSetFile:
    file = getattr(message, "_data_set_file", None) or message._dataset_file
    return cast(_File, file).received
