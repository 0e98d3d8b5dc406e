"""What a compressed image says of itself before it is decoded: the frame header of JPEG, JPEG-LS and JPEG 2000."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes, RLELossless

_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_RESTARTS = range(0xD0, 0xD8)
_NO_FRAME_HEADERS = (0xC4, 0xC8, 0xCC)  # DHT, JPG, DAC
_SOF55 = 0xF7  # JPEG-LS
_SIZ = b"\xff\x4f\xff\x51"
_JP2 = b"\0\0\0\x0cjP  "
MAGIC = (b"\xff\xd8", _SIZ, _JP2)
"""How the codestreams begin that have a frame header."""


class Family(Enum):
    """A way to compress an image, and the transfer syntaxes that name it (PS3.5 A.4)."""

    JPEG = "JPEG"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    RLE = "RLE"

    @classmethod
    def of(cls, syntax: UID) -> Family | None:
        """Return the family of a transfer syntax, or None if there is none."""
        return next((family for family in cls if syntax in family.syntaxes), None)

    @property
    def syntaxes(self) -> list[UID]:
        """Its transfer syntaxes."""
        return _SYNTAXES[self]

    def syntax(self, declared: UID) -> UID:
        """Return the transfer syntax to decode by: the declared one, or, if it is of another family, one of this."""
        return declared if declared in self.syntaxes else self.syntaxes[0]


_SYNTAXES = {
    Family.JPEG: JPEGTransferSyntaxes,
    Family.JPEG_LS: JPEGLSTransferSyntaxes,
    Family.JPEG_2000: JPEG2000TransferSyntaxes,
    Family.RLE: [RLELossless],
}


class FrameHeader(NamedTuple):
    """The size of a compressed image as its decoder will see it, and its bits per sample."""

    family: Family
    rows: int
    columns: int
    components: int
    precision: int


def read_frame_header(codestream: bytes) -> FrameHeader:
    """Read SOF (ISO/IEC 10918-1 B.2.2, 14495-1 C.2.2) or SIZ (15444-1 A.5.1).

    Raises
    ------
    ValueError
        If there is none.
    """
    try:
        if codestream.startswith(b"\xff\xd8"):
            return _start_of_frame(codestream)
        if codestream.startswith((_SIZ, _JP2)):
            return _image_and_tile_size(codestream)
    except (struct.error, IndexError) as error:
        raise ValueError("the frame header is cut short") from error
    raise ValueError("there is no frame header")


def start_of_scan(codestream: bytes) -> int:
    """Return where the first scan of a JPEG codestream begins; thumbnails in its header have scans, too.

    Raises
    ------
    ValueError
        If there is none.
    """
    for marker, at in _segments(codestream):
        if marker == _SOS:
            return at
    raise ValueError("there is no scan")


def _start_of_frame(codestream: bytes) -> FrameHeader:
    for marker, at in _segments(codestream):
        if marker == _SOF55 or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADERS):
            precision, rows, columns, components = struct.unpack_from(">BHHB", codestream, at + 4)
            family = Family.JPEG_LS if marker == _SOF55 else Family.JPEG
            return FrameHeader(family, rows, columns, components, precision)
    raise ValueError("there is no frame header")


def _segments(codestream: bytes) -> Iterator[tuple[int, int]]:
    """Yield marker and place of each marker segment, up to the first scan (ISO/IEC 10918-1 B.1.1)."""
    at, marker = 2, _SOI
    while marker not in (_SOS, _EOI):
        if codestream[at] != 0xFF:
            raise ValueError("a marker is missing")
        marker = codestream[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in (_SOI, _EOI, _TEM, *_RESTARTS):
            at += 2
        else:
            yield marker, at
            (length,) = struct.unpack_from(">H", codestream, at + 2)
            at += 2 + length


def _image_and_tile_size(codestream: bytes) -> FrameHeader:
    at = codestream.find(_SIZ)
    if at < 0:
        raise ValueError("there is no frame header")
    right, bottom, left, top = struct.unpack_from(">4I", codestream, at + 8)
    (components,) = struct.unpack_from(">H", codestream, at + 40)
    depth, step_x, step_y = struct.unpack_from(">3B", codestream, at + 42)
    if not step_x or not step_y or left >= right or top >= bottom:
        raise ValueError("the frame header contradicts itself")
    columns = -(-right // step_x) - -(-left // step_x)
    rows = -(-bottom // step_y) - -(-top // step_y)
    return FrameHeader(Family.JPEG_2000, rows, columns, components, (depth & 0x7F) + 1)
