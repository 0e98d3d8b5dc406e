"""The stored values of an image, whoever compressed it: checked before they are decoded, and decoded out of harm's way.

Uncompressed pixels are read in this process: their length is compared with what the header says, and nothing foreign
looks at them. Everything else goes to a child process (`ftmtl.decoding.process`), after the codestream's frame header
has been compared with Rows, Columns, Samples per Pixel and Bits Allocated. That costs 10 to 30 ms an image.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import as_pixel_options
from pydicom.uid import UID

from ftmtl.decoding.codecs import is_available
from ftmtl.decoding.codestream import MAGIC, Family, read_frame_header
from ftmtl.decoding.files import ODD_VALUE
from ftmtl.decoding.process import POOL, DecoderFault, Request
from ftmtl.errors import DecoderMissing, FtmtlError, NotAnalysable

_MOST_PIXELS = 100_000_000
"""Of one frame. A film of 30 x 40 cm at 43 µm has 65 million."""

_MEMORY_BYTES, _BYTES_PER_PIXEL = 256 * 2**20, 40
_SECONDS, _PIXELS_PER_SECOND = 30, 1_000_000
"""What a decoder may take: OpenJPEG, the greediest and slowest, takes 12 bytes and 30 ns for a pixel."""

_WORDS = {
    "incomplete": "the compressed image is cut short",
    "undecodable": "they can't be decoded",
    "memory": "decoding them takes more memory than an image of this size needs",
    "time": "decoding them takes longer than an image of this size needs",
    "crash": "the decoder fails on them",
}


class DamagedPixels(NotAnalysable):
    """The pixels can't be decoded, or would not be those of the image; the message is a sentence."""


def frames(ds: Dataset) -> Iterator[NDArray[Any]]:
    """Decode the frames of an image one by one.

    Yields
    ------
    ndarray
        Stored values, (rows, columns) or (rows, columns, samples), in the machine's byte order; colours as encoded.

    Raises
    ------
    DamagedPixels
        If a frame is damaged, cut short, of another size than the header says, or hostile.
    DecoderMissing
        If no decoder for the transfer syntax is installed.
    """
    with _explained(ds):
        syntax, options = UID(ds.file_meta.TransferSyntaxUID), as_pixel_options(ds)
        rows, columns = int(options["rows"]), int(options["columns"])
        if rows * columns > _MOST_PIXELS:
            raise DamagedPixels(f"The image is {columns} x {rows} pixels; that is more than any mammogram has.")
        decoder = get_decoder(syntax)
        if decoder.is_native:
            for values, _ in decoder.iter_array(ds, raw=True, correct_unused_bits=False):
                yield values.astype(values.dtype.newbyteorder("="), copy=False)
            return
        if not (decoder.is_available or is_available(syntax)):
            words = f"no decoder for {syntax.name} is installed; pip install 'ftmtl-node[worker]' brings one"
            raise DecoderMissing(words)
        offsets, count = options.pop("extended_offsets", None), options.pop("number_of_frames")
        for codestream in generate_frames(ds.PixelData, number_of_frames=count, extended_offsets=offsets):
            yield _decode(codestream, syntax, options)


def same_pixels(first: Dataset, second: Dataset) -> bool:
    """Return whether two images have the same stored values, however each is encoded.

    Where that can't be told, because one is damaged or has no decoder here, they count as different.
    """
    try:
        pairs = zip(frames(first), frames(second), strict=True)
        return all(np.array_equal(one, other) for one, other in pairs)
    except (FtmtlError, ValueError):  # ValueError: one has more frames
        return False


def _decode(codestream: bytes, syntax: UID, options: dict[str, Any]) -> NDArray[Any]:
    pixels = int(options["rows"]) * int(options["columns"])
    return POOL.decode(
        Request(
            syntax=_checked(codestream, syntax, options),
            options=options,
            codestream=codestream,
            memory_bytes=_MEMORY_BYTES + _BYTES_PER_PIXEL * pixels,
            seconds=_SECONDS + pixels // _PIXELS_PER_SECOND,
        )
    )


def _checked(codestream: bytes, syntax: UID, options: dict[str, Any]) -> UID:
    """Compare the frame header with the data set's; return the transfer syntax that the codestream is really of."""
    if Family.of(syntax) in (None, Family.RLE) and not codestream.startswith(MAGIC):
        return syntax  # RLE has no frame header
    try:
        frame = read_frame_header(codestream)
    except ValueError as error:
        raise DamagedPixels(f"The pixels are damaged: {error}.") from error
    said = options["columns"], options["rows"], options.get("samples_per_pixel", 1)
    found = frame.columns, frame.rows, frame.components
    if found != said:
        words = "the compressed image has {} x {} pixels of {} samples, the header says {} x {} of {}"
        raise DamagedPixels(f"The pixels are damaged: {words.format(*found, *said)}.")
    if frame.precision > options["bits_allocated"]:
        words = f"the compressed image has {frame.precision} bits, the header says {options['bits_allocated']}"
        raise DamagedPixels(f"The pixels are damaged: {words}.")
    return frame.family.syntax(syntax)


@contextmanager
def _explained(ds: Dataset) -> Iterator[None]:
    """Say of everything that pydicom and the decoders raise what it means for the image."""
    try:
        yield
    except DecoderFault as fault:
        raise DamagedPixels(f"The pixels are damaged: {_WORDS[str(fault)]}{_syntax(ds)}.") from fault
    except (*ODD_VALUE, EOFError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # this machine's fault, not the image's
        raise DamagedPixels(f"The pixels are damaged: they can't be decoded{_syntax(ds)}.") from error


def _syntax(ds: Dataset) -> str:
    uid = getattr(getattr(ds, "file_meta", None), "TransferSyntaxUID", None)
    return f" (transfer syntax {getattr(uid, 'name', 'unknown')})"
