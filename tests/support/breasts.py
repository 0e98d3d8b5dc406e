"""A synthetic breast that shows which way round it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from support.reader import L_SHAPE

Pixels = NDArray[np.uint16]

ROWS, COLUMNS, MAXIMUM = 160, 120, 4095
"""Size of the image, and its largest value."""


def breast() -> Pixels:
    """Draw a breast as it hangs: chest wall on the left, the lateral side or the head at the top.

    It does not reach the edges, and is nearer to the top than to the bottom: no crop is the whole image, and no flip
    leaves the breast in its place.
    """
    y, x = np.mgrid[:ROWS, :COLUMNS]
    pixels = np.where((x / 75) ** 2 + ((y - 70) / 50) ** 2 < 1, 1200 + 3 * x + 2 * y, 0).astype(np.uint16)
    pixels[54:78, 22:40][L_SHAPE] = 3900
    return pixels
