"""The decoders of imagecodecs as a plugin of pydicom, made strict: a codestream that is cut short is refused.

CharLS and OpenJPEG refuse one by themselves, and so does imagecodecs' RLE decoder. libjpeg goes on with zeros when the
data end, and tells nobody. So JPEG is decoded twice, with different bits where the data end: pixels that differ were
never in the data. Both together take about as long as others take for one (``benchmarks/decoders.py``).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from hashlib import shake_128
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.decoders import rle
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

from ftmtl.decoding.codestream import Family, start_of_scan

PLUGIN = "imagecodecs"
_SYNTAXES = [syntax for family in Family for syntax in family.syntaxes]
DECODER_DEPENDENCIES = dict.fromkeys(_SYNTAXES, ("imagecodecs>=2024.6",))
"""Read by pydicom, as is `is_available`."""

_END = b"\xff\xd9"
"""EOI of JPEG and JPEG-LS, EOC of JPEG 2000."""

_SCAN_PART_ENDS = re.compile(rb"(?=\xff[\xd0-\xd7\xd9])")
_OTHER_BITS = b"\xaa" + shake_128(b"").digest(256).replace(b"\xff", b"")
"""Libjpeg reads zeros where the data are missing; these begin with a one, and go on without any order."""


class IncompleteCodestream(BaseException):
    """The data end before the image does. Not an `Exception`, of which pydicom keeps only that there was one."""


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

    scan = start_of_scan(src)
    if _END not in src[scan:]:  # some leave it out
        src = next(_closed(src))
    values: NDArray[np.generic] = jpeg8_decode(src)
    head, scans = src[:scan], src[scan:]
    if not np.array_equal(values, jpeg8_decode(head + _SCAN_PART_ENDS.sub(_OTHER_BITS, scans))):
        raise IncompleteCodestream
    return values


def _jpeg_ls(src: bytes) -> NDArray[np.generic]:
    from imagecodecs import jpegls_decode

    return _strictly(jpegls_decode, src)


def _jpeg_2000(src: bytes) -> NDArray[np.generic]:
    from imagecodecs import jpeg2k_decode

    return _strictly(partial(jpeg2k_decode, numthreads=1), src)


def _strictly(decode: Callable[[bytes], NDArray[np.generic]], src: bytes) -> NDArray[np.generic]:
    """Decode with a decoder that refuses both too little and too much."""
    *others, last = _readings(src)
    for candidate in others:
        try:
            return decode(candidate)
        except RuntimeError:
            continue
    return decode(last)


def _readings(src: bytes) -> Iterator[bytes]:
    """Yield what a codestream may be without its padding: up to its end marker, or up to where one is missing."""
    end = src.rfind(_END)
    if end >= 0:
        yield src[: end + len(_END)]
    yield from _closed(src)


def _closed(src: bytes) -> Iterator[bytes]:
    """Yield a codestream with the end marker that it lacks; zeros before it are padding, or may be data."""
    stripped = src.rstrip(b"\0")
    for zeros in range(1 if stripped.endswith(b"\xff") else 0, min(2, len(src) - len(stripped)) + 1):
        yield stripped + b"\0" * zeros + _END


def _rle(src: bytes, runner: DecodeRunner) -> bytearray:
    from imagecodecs import DicomrleError, dicomrle_decode

    if _has_good_offsets(src, runner.bits_allocated // 8):
        with suppress(DicomrleError):
            decoded = dicomrle_decode(src, np.dtype(f"<u{runner.bits_allocated // 8}"))
            if len(decoded) == runner.frame_length(unit="bytes"):
                return bytearray(decoded)
    return rle._decode_frame(src, runner)  # slow and in Python, but it knows padding from damage


def _has_good_offsets(src: bytes, segments: int) -> bool:
    """Return whether the header (PS3.5 G.5) leads to segments that follow each other; imagecodecs relies on it."""
    if len(src) < 64:
        return False
    count, *offsets = struct.unpack_from("<16L", src)
    starts = [64, *offsets[1:segments]]
    return count == segments and offsets[0] == 64 and starts == sorted(starts) and starts[-1] < len(src)
