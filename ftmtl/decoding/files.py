"""Reads DICOM files that may be damaged or hostile."""

from __future__ import annotations

import stat
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset, read_preamble
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

ODD_VALUE = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""Exceptions that pydicom and its decoders raise for elements that violate the standard."""

_HEADER_BYTES = 16 * 2**20
_DATA_SET_BYTES = 256 * 2**20
"""How far a deflated data set is inflated: for its header, and as a whole. The largest films take 130 MB."""

_PIECE_BYTES = 2**20


class DamagedFile(ValueError):  # noqa: N818 - it names the file's state, as NotAnalysable does
    """A file that can't be read and never will be; the message is a sentence without any of its values."""


def read(path: Path, **options: Any) -> FileDataset:
    """Read a DICOM file, whatever it contains.

    Parameters
    ----------
    path
        The file; links are followed.
    options
        As for :func:`pydicom.dcmread`. With ``stop_before_pixels`` only the beginning of a
        deflated data set is inflated.

    Raises
    ------
    pydicom.errors.InvalidDicomError
        If the file is not DICOM.
    DamagedFile
        If it is a folder, a pipe or a device, if it can't be parsed, or if it inflates to more than 256 MiB.
    OSError
        If the file can't be read; trying again may help.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise DamagedFile("This is not a regular file.")
    try:
        return _read(path, options)
    except (InvalidDicomError, DamagedFile):
        raise
    except Exception as error:  # the boundary: pydicom raises whatever the bytes provoke
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DamagedFile("This DICOM file is damaged.") from error


def _read(path: Path, options: dict[str, Any]) -> FileDataset:
    with path.open("rb") as file:
        read_preamble(file, force=False)
        meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return dcmread(path, **options)
        inflated = _inflate(file, header_only=bool(options.get("stop_before_pixels")))
    ds = dcmread(_as_file(meta, inflated), **options)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return ds


def _inflate(file: BinaryIO, *, header_only: bool) -> bytearray:
    """Inflate the rest of a file (PS3.5 A.5), which may be a few kilobytes that inflate to many gigabytes."""
    inflater, inflated = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    limit = _HEADER_BYTES if header_only else _DATA_SET_BYTES
    while not inflater.eof and len(inflated) <= limit:
        deflated = inflater.unconsumed_tail or file.read(_PIECE_BYTES)
        if not deflated:
            break
        inflated += inflater.decompress(deflated, _PIECE_BYTES)
    if not inflater.unconsumed_tail:
        inflated += inflater.flush()
    if not header_only and len(inflated) > limit:
        raise DamagedFile(f"This DICOM file inflates to more than {limit >> 20} MiB.")
    if not header_only and not inflater.eof:
        raise DamagedFile("This DICOM file is damaged.")
    return inflated


def _as_file(meta: Dataset, data_set: bytearray) -> DicomBytesIO:
    """Return an inflated data set as a file in Explicit VR Little Endian."""
    plain = FileMetaDataset(meta)
    plain.TransferSyntaxUID = ExplicitVRLittleEndian
    file = DicomBytesIO()
    file.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(file, plain, enforce_standard=False)
    file.write(data_set)
    file.seek(0)
    return file
