"""Data sets, senders and receivers for tests over real associations."""

from __future__ import annotations

import socket
import socketserver
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_file_meta_info
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE

from support.records import MG, STUDY

PATIENT_NAME, PATIENT_ID = "Hopper^Grace", "PID-4711"


def data_set(number: int = 1, **values: Any) -> Dataset:
    """A small mammogram."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = MG, f"{STUDY}.2.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, f"{STUDY}.2"
    ds.PatientName, ds.PatientID = PATIENT_NAME, PATIENT_ID
    ds.Modality, ds.ImageLaterality, ds.ViewPosition = "MG", "L", "CC"
    ds.Rows = ds.Columns = 8
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def encode(ds: Dataset, transfer_syntax: str = ExplicitVRLittleEndian, pixels: bytes = bytes(range(128))) -> bytes:
    """A data set as it travels: with native or (dummy) encapsulated pixel data, deflated where that is asked for."""
    syntax = UID(transfer_syntax)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    write_dataset(buffer, ds)
    if syntax.is_encapsulated:
        item = b"\xfe\xff\x00\xe0"
        buffer.write(b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff" + item + b"\x00\x00\x00\x00")
        buffer.write(item + len(pixels).to_bytes(4, "little") + pixels + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00")
    else:
        tail = Dataset()
        tail.add_new("PixelData", "OW", pixels)
        write_dataset(buffer, tail)
    encoded: bytes = buffer.getvalue()
    if syntax == DeflatedExplicitVRLittleEndian:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        encoded = deflater.compress(encoded) + deflater.flush()
        encoded += b"\x00" * (len(encoded) % 2)
    return encoded


def split(path: Path) -> tuple[FileMetaDataset, bytes]:
    """A file's meta information and the bytes behind it."""
    meta = read_file_meta_info(path)
    return meta, path.read_bytes()[144 + meta.FileMetaInformationGroupLength :]


class Sender:
    """An association that sends bytes as they are, whatever they are."""

    def __init__(
        self,
        port: int,
        transfer_syntaxes: Sequence[str] = (ExplicitVRLittleEndian,),
        *,
        calling: str = "MODALITY",
        classes: Sequence[str] = (MG,),
    ) -> None:
        ae = AE(calling)
        ae.dimse_timeout = ae.acse_timeout = 20
        for sop_class in classes:
            ae.add_requested_context(sop_class, list(transfer_syntaxes))
        self.assoc = ae.associate("127.0.0.1", port, ae_title="FTMTL")

    def __enter__(self) -> Sender:
        assert self.assoc.is_established
        return self

    def __exit__(self, *_: object) -> None:
        if self.assoc.is_established:
            self.assoc.release()

    @property
    def transfer_syntax(self) -> str:
        """What the listener chose."""
        return str(self.assoc.accepted_contexts[0].transfer_syntax[0])

    def store(self, encoded: bytes, uid: str = f"{STUDY}.2.1", sop_class: str = MG) -> Dataset:
        """C-STORE; returns the status data set."""
        self.assoc._reactor_checkpoint.clear()
        try:
            self.post(encoded, uid, sop_class)
            _, response = self.assoc.dimse.get_msg(block=True)
        finally:
            self.assoc._reactor_checkpoint.set()
        status = Dataset()
        if response is not None:
            status.Status = response.Status
            status.ErrorComment = response.ErrorComment or ""
        return status

    def post(self, encoded: bytes, uid: str = f"{STUDY}.2.1", sop_class: str = MG) -> None:
        """C-STORE without waiting for the answer."""
        request = C_STORE()
        request.MessageID, request.Priority = 1, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = sop_class, uid
        request.DataSet = BytesIO(encoded)
        self.assoc.dimse.send_msg(request, self.assoc.accepted_contexts[0].context_id)

    def hang_up(self) -> None:
        """Cut the connection, without a word."""
        self.assoc.dul.socket.socket.shutdown(socket.SHUT_RDWR)


@contextmanager
def receiver(
    handlers: list[Any], classes: Sequence[str], *, ae_title: str = "PACS", syntax: str = ExplicitVRLittleEndian
) -> Iterator[int]:
    """A storage SCP on a free loopback port."""
    ae = AE(ae_title)
    for sop_class in classes:
        ae.add_supported_context(sop_class, syntax)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


def poll_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers notice soon that they are shut down; by default they look twice a second."""
    serve = socketserver.BaseServer.serve_forever
    monkeypatch.setattr(socketserver.BaseServer, "serve_forever", lambda self: serve(self, 0.01))


def write_file(path: Path, encoded: bytes, sop_class: str = MG, uid: str = f"{STUDY}.2.1") -> Path:
    """A DICOM file around an encoded data set, Explicit VR Little Endian; returns its path."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with path.open("wb") as file:
        file.write(b"\x00" * 128 + b"DICM")
        write_file_meta_info(file, meta, enforce_standard=True)
        file.write(encoded)
    return path
