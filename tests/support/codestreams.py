"""Small mammograms in every transfer syntax, and their codestreams to damage."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    JPEG2000,
    UID,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from support.mammograms import changed, dataset, film

END = b"\xff\xd9"
"""EOI of JPEG and JPEG-LS, EOC of JPEG 2000."""


def picture() -> np.ndarray:
    """Draw a breast with some noise, so that every row has something to lose."""
    noise = np.random.default_rng(1).integers(0, 12, (300, 240)).astype("uint16")
    return film() + noise


def _jpeg_2000(pixels: np.ndarray, **options: object) -> bytes:
    return imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", **options)


_ENCODERS: dict[UID, Callable[[np.ndarray], bytes]] = {
    JPEGBaseline8Bit: lambda pixels: imagecodecs.jpeg8_encode((pixels >> 4).astype("uint8"), level=95),
    JPEGExtended12Bit: lambda pixels: imagecodecs.jpeg8_encode(pixels, level=95, bitspersample=12),
    JPEGLossless: lambda pixels: imagecodecs.jpeg8_encode(pixels, lossless=True, bitspersample=12, predictor=7),
    JPEGLosslessSV1: lambda pixels: imagecodecs.jpeg8_encode(pixels, lossless=True, bitspersample=12, predictor=1),
    JPEGLSLossless: imagecodecs.jpegls_encode,
    JPEGLSNearLossless: lambda pixels: imagecodecs.jpegls_encode(pixels, level=2),
    JPEG2000Lossless: lambda pixels: _jpeg_2000(pixels, reversible=True),
    JPEG2000: lambda pixels: _jpeg_2000(pixels, level=90),
    HTJ2KLossless: lambda pixels: imagecodecs.htj2k_encode(pixels, reversible=True),
}
SYNTAXES = (*_ENCODERS, RLELossless)
EXACT = {JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless, RLELossless}
"""Transfer syntaxes that keep every value."""


def compressed(syntax: UID, pixels: np.ndarray | None = None) -> Dataset:
    """Return a mammogram in a transfer syntax; in JPEG Baseline it has 8 bits."""
    pixels = picture() if pixels is None else pixels
    ds = dataset(pixels, WindowCenter=2048, WindowWidth=4096, SOPInstanceUID="2.25.1", StudyInstanceUID="2.25.2")
    if syntax == RLELossless:
        ds["PixelData"].VR = "OW"
        ds.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        return ds
    if syntax == JPEGBaseline8Bit:
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.WindowCenter, ds.WindowWidth = 128, 256
    ds.file_meta.TransferSyntaxUID = syntax
    return with_codestream(ds, _ENCODERS[syntax](pixels))


def codestream(ds: Dataset) -> bytes:
    """Return the only frame of an image."""
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    return frame


def with_codestream(ds: Dataset, data: bytes, fragments: int = 1, **values: object) -> Dataset:
    """Copy an image with another codestream and other attributes."""
    copy = changed(ds, **values)
    copy.PixelData = encapsulate([data], fragments_per_frame=fragments, has_bot=fragments == 1)
    copy["PixelData"].VR, copy["PixelData"].is_undefined_length = "OB", True
    return copy


def cut(data: bytes, part: float, ending: bytes = b"") -> bytes:
    """Return the beginning of a codestream, ended as asked."""
    return data[: int(part * len(data))] + ending


def mutants(data: bytes, count: int, seed: int = 1) -> Sequence[bytes]:
    """Return damaged copies: a byte changed in the header or anywhere, the end or a piece cut out."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        copy, place = bytearray(data), int(random.integers(2, len(data)))
        if number % 4 == 0:
            del copy[place:]
        elif number % 4 == 1:
            del copy[place : place + int(random.integers(1, 400))]
        else:
            copy[min(place, int(random.integers(2, 400))) if number % 4 == 2 else place] = random.integers(0, 256)
        found.append(bytes(copy))
    return found
