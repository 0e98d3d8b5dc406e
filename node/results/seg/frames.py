"""Pixel Data of segmentations: bits, probabilities or labels over the whole source matrix (PS3.3 C.8.20.2).

Only the pixels that a mask touches are computed; everything else stays zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ftmtl.findings import Finding, LesionMask

MAX_FRACTION = 255
"""Maximum Fractional Value (0062,000E): how a probability of 1 is written."""

MAX_LABELS = 255
"""Number of segments that an 8-bit label can distinguish; 0 is the background."""


def packed_size(frames: int, rows: int, columns: int) -> int:
    """Return how many bytes frames with one bit per pixel take, before padding to even length."""
    return (frames * rows * columns + 7) // 8


def pack_frames(masks: Sequence[LesionMask], rows: int, columns: int) -> bytes:
    """Return one frame per mask as 1-bit Pixel Data, lowest bit first, padded to even length (PS3.5 8.1.1).

    Frames follow each other without padding; only the bytes that a mask touches are computed.

    Raises
    ------
    ValueError
        If a mask extends beyond the image.
    """
    size = packed_size(len(masks), rows, columns)
    packed = np.zeros(size + size % 2, dtype=np.uint8)
    for frame, m in enumerate(masks):
        _window(m, rows, columns)
        height, width = m.pixels.shape
        first = (frame * rows + m.row) * columns
        start, end = first // 8, -(-(first + height * columns) // 8)
        bits = np.zeros((end - start) * 8, dtype=np.uint8)
        offset = first - start * 8
        band = bits[offset : offset + height * columns].reshape(height, columns)
        band[:, m.column : m.column + width] = m.pixels
        packed[start:end] |= np.packbits(bits, bitorder="little")
    return packed.tobytes()


def fraction_frames(findings: Sequence[Finding], rows: int, columns: int) -> bytes:
    """Return one frame per finding as 8-bit Pixel Data, 0 to 255 for a probability of 0 to 1, padded to even length.

    A finding without probabilities counts as certain: 255 on its mask.

    Raises
    ------
    ValueError
        If a mask extends beyond the image.
    """
    size = len(findings) * rows * columns
    data = np.zeros(size + size % 2, dtype=np.uint8)
    for frame, finding in zip(data[:size].reshape(-1, rows, columns), findings, strict=True):
        frame[_window(finding.mask, rows, columns)] = fractions(finding)
    return data.tobytes()


def fractions(finding: Finding) -> NDArray[np.uint8]:
    """Return the probability of each pixel of a finding's rectangle, 0 to 255; if it is unknown, 255 on the mask."""
    if finding.probability is None:
        return finding.mask.pixels.astype(np.uint8) * np.uint8(MAX_FRACTION)
    return finding.probability


def label_frame(findings: Sequence[Finding], rows: int, columns: int) -> NDArray[np.uint8]:
    """Return one label per pixel, the number of its finding from 1, or 0; uint8, shape (rows, columns).

    A pixel of several findings gets the number of the most probable lesion; of equally probable ones, the first.

    Raises
    ------
    ValueError
        If a mask extends beyond the image, or there are more findings than labels.
    """
    if len(findings) > MAX_LABELS:
        raise ValueError(f"{len(findings)} findings for {MAX_LABELS} labels")
    labels = np.zeros((rows, columns), dtype=np.uint8)
    numbered = sorted(enumerate(findings, start=1), key=lambda pair: (pair[1].lesion_score, -pair[0]))
    for n, finding in numbered:
        labels[_window(finding.mask, rows, columns)][finding.mask.pixels] = n
    return labels


def padded(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels as bytes, padded to even length (PS3.5 8.1.1)."""
    return pixels.tobytes() + bytes(pixels.size % 2)


def _window(m: LesionMask, rows: int, columns: int) -> tuple[slice, slice]:
    """Return the rows and columns of the image that a mask's rectangle lies on."""
    height, width = m.pixels.shape
    if m.column < 0 or m.row < 0 or m.column + width > columns or m.row + height > rows:
        raise ValueError(f"mask at column {m.column}, row {m.row} extends beyond the {columns}x{rows} image")
    return slice(m.row, m.row + height), slice(m.column, m.column + width)
