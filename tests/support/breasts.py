"""Synthetic images that show which way round they are, and what an outline on one encloses."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ftmtl.findings import LesionMask
from support.reader import L_SHAPE


def enclosed(points: NDArray[np.float64], rows: int, columns: int, mask: LesionMask | None = None) -> NDArray[np.bool_]:
    """Return which pixels' centres a closed line encloses; its coordinates as PS3.3 C.10.5 defines them."""
    y, x = np.mgrid[:rows, :columns] + 0.5
    if mask is not None:
        y, x = y + mask.row, x + mask.column
    inside = np.zeros((rows, columns), dtype=bool)
    for (x0, y0), (x1, y1) in pairwise(points):
        if y0 != y1:
            crossing = x0 + (y - y0) / (y1 - y0) * (x1 - x0)
            inside ^= ((y > min(y0, y1)) & (y < max(y0, y1))) & (x > crossing)
    return inside


Pixels = NDArray[np.uint16]


ROWS, COLUMNS, MAXIMUM = 160, 120, 4095


def breast() -> Pixels:
    """Draw a breast as it hangs: chest wall at the left, the lateral side or the head at the top; it ends before them.

    It ends nearer to the top than to the bottom, so that no crop is the whole, and no flip leaves it in its place.
    """
    y, x = np.mgrid[:ROWS, :COLUMNS]
    pixels = np.where((x / 75) ** 2 + ((y - 70) / 50) ** 2 < 1, 1200 + 3 * x + 2 * y, 0).astype(np.uint16)
    pixels[54:78, 22:40][L_SHAPE] = 3900
    return pixels


def source_of(seg: Dataset) -> str:
    """Return the image that a segmentation's series refers to."""
    return str(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID)
