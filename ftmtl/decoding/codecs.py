"""The decoders of imagecodecs as a plugin of pydicom, made strict: a codestream that is cut short is refused.

CharLS and OpenJPEG refuse one by themselves, and so does imagecodecs' RLE decoder. libjpeg goes on with zeros when the
data end, and tells nobody. So JPEG is decoded twice, with different bits where the data end: pixels that differ were
never in the data. Both together take half the time of other decoders (``benchmarks/decoders.py``).
"""

from __future__ import annotations

import re
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

from ftmtl.decoding.codestream import Family

PLUGIN = "imagecodecs"
_SYNTAXES = [syntax for family in Family for syntax in family.syntaxes]
DECODER_DEPENDENCIES = dict.fromkeys(_SYNTAXES, ("imagecodecs>=2024.6",))
"""Read by pydicom, as is `is_available`."""

_END = b"\xff\xd9"
"""EOI of JPEG and JPEG-LS, EOC of JPEG 2000."""

_START_OF_SCAN = b"\xff\xda"
_SCAN_PART_ENDS = re.compile(rb"(?=\xff[\xd0-\xd7\xd9])")
_OTHER_BITS = b"\xaa" * 32
"""Libjpeg reads zeros where the data are missing; these begin with a one."""


class IncompleteCodestream(ValueError):  # noqa: N818 - it names the codestream's state
    """The data end before the image does."""


def is_available(uid: str) -> bool:
    """Return whether this plugin can decode a transfer syntax here."""
    return uid in DECODER_DEPENDENCIES and find_spec("imagecodecs") is not None


def register() -> None:
    """Add the plugin to pydicom's decoders."""
    for syntax in _SYNTAXES:
        try:
            get_decoder(syntax).add_plugin(PLUGIN, (__name__, "decode_frame"))
        except NotImplementedError:
            continue  # pydicom has no decoder for it


def decode_frame(src: bytes, runner: DecodeRunner) -> bytearray:
    """Decode one frame of grey pixels, as pydicom asks its plugins to.

    Raises
    ------
    IncompleteCodestream
        If the data end before the image does.
    """
    family = Family.of(runner.transfer_syntax)
    if family is None or family is Family.RLE:
        return _rle(src, runner)
    values = {Family.JPEG: _jpeg, Family.JPEG_LS: _jpeg_ls, Family.JPEG_2000: _jpeg_2000}[family](src)
    runner.set_option("bits_allocated", 8 * values.dtype.itemsize)
    return bytearray(values.tobytes())


def _jpeg(src: bytes) -> NDArray[np.generic]:
    from imagecodecs import jpeg8_decode

    scan = src.find(_START_OF_SCAN)
    end = src.find(_END, scan)
    if end < 0:  # some leave it out
        src = src.rstrip(b"\0") + _END
    values: NDArray[np.generic] = jpeg8_decode(src)
    head, scans = src[:scan], src[scan:]
    if not np.array_equal(values, jpeg8_decode(head + _SCAN_PART_ENDS.sub(_OTHER_BITS, scans))):
        raise IncompleteCodestream
    return values


def _jpeg_ls(src: bytes) -> NDArray[np.generic]:
    from imagecodecs import jpegls_decode

    values: NDArray[np.generic] = jpegls_decode(_ended(src))
    return values


def _jpeg_2000(src: bytes) -> NDArray[np.generic]:
    from imagecodecs import jpeg2k_decode

    values: NDArray[np.generic] = jpeg2k_decode(_ended(src), numthreads=1)
    return values


def _ended(src: bytes) -> bytes:
    """Return a codestream with its end marker, which some leave out; padding after it goes."""
    stripped = src.rstrip(b"\0")
    return stripped if stripped.endswith(_END) else src + _END


def _rle(src: bytes, runner: DecodeRunner) -> bytearray:
    from imagecodecs import dicomrle_decode

    wanted = int(runner.frame_length(unit="bytes"))
    decoded: bytes = dicomrle_decode(src, np.dtype(f"<u{runner.bits_allocated // 8}"))
    if len(decoded) < wanted:
        raise IncompleteCodestream
    runner.set_option("planar_configuration", 1)
    return bytearray(decoded[:wanted])
