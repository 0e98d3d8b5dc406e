"""Whether two files of one SOP instance say the same, however each is encoded.

It is asked only when an instance arrives again with other bytes, as from a PACS that has compressed it or changed its
transfer syntax. This is the one place where a received data set is read whole. Compressed pixels are decoded in a child
process, so that none of them ends the listener.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag

from ftmtl.decoding.files import ODD_VALUE, read
from ftmtl.decoding.pixels import same_pixels
from node.errors import SpoolError

_PIXELS = Tag("PixelData")
_OF_THE_ENCODING = frozenset(
    Tag(keyword)
    for keyword in (
        "SpecificCharacterSet", "PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
        "DataSetTrailingPadding",
    )
)  # fmt: skip
_READ = (*ODD_VALUE, EOFError, InvalidDicomError, MemoryError)
"""What pydicom raises for a file that is damaged."""


class Comparison(Enum):
    """How a newly arrived version compares with the known one."""

    SAME = "same values"
    OTHER = "other values"
    FIRST_UNREADABLE = "the first version is unreadable"


def compare(known: Path, arrived: Path) -> Comparison:
    """Compare two versions of an instance, attribute by attribute, and their pixels.

    Compressed pixels are decoded. Where they can't be, the versions count as different, which costs an analysis and
    nothing else.
    """
    try:
        first = _read(known)
    except _READ:
        return Comparison.FIRST_UNREADABLE
    try:
        second = _read(arrived)
    except _READ as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the sender's
            raise SpoolError(f"{error.strerror}") from error
        return Comparison.OTHER
    if _is_cut_short(first) and not _is_cut_short(second):
        return Comparison.FIRST_UNREADABLE
    same = _attributes(first) == _attributes(second) and _same_pixels(first, second)
    return Comparison.SAME if same else Comparison.OTHER


def _read(path: Path) -> FileDataset:
    ds = read(path)
    ds.decode()
    return ds


def _attributes(ds: FileDataset) -> dict[int, tuple[str, str]]:
    """Return the standard attributes but the pixels, as text: how a value is encoded doesn't matter."""
    kept = (e for e in ds if e.tag not in _OF_THE_ENCODING and not e.tag.is_private and e.tag.element != 0)
    return {int(e.tag): (e.keyword, str(e.value)) for e in kept}


def _is_cut_short(ds: FileDataset) -> bool:
    """Return whether uncompressed pixels are fewer than the header says."""
    if _PIXELS not in ds or ds.file_meta.TransferSyntaxUID.is_compressed:
        return False
    try:
        wanted = int(ds.Rows) * int(ds.Columns) * int(ds.get("SamplesPerPixel", 1)) * (int(ds.BitsAllocated) // 8)
        return len(ds.PixelData) < wanted * int(ds.get("NumberOfFrames") or 1)
    except (AttributeError, TypeError, ValueError):
        return False


def _same_pixels(first: FileDataset, second: FileDataset) -> bool:
    if (_PIXELS in first) != (_PIXELS in second):
        return False
    if _PIXELS not in first:
        return True
    return bool(first.PixelData == second.PixelData) or same_pixels(first, second)
