"""Scaling a breast of any size to the network's input size, and standardising its grey values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

INPUT_SIZE = (512, 416)
"""Height and width of the network's input in pixels."""
BACKGROUND = 0.02
"""Pixels with values up to this are air, not breast."""
AIR = 1e-3
"""Standardised pixels that are at most this much brighter than the darkest of the image are air."""

Floats = NDArray[np.float32]


def fit(pixels: Floats, size: tuple[int, int] = INPUT_SIZE) -> tuple[Floats, float]:
    """Scale an image to fit into ``size``, padded with background at the right and at the bottom.

    Parameters
    ----------
    pixels
        float32, shape (height, width), 0..1.
    size
        Height and width of the result.

    Returns
    -------
    fitted
        float32 of shape ``size``.
    scale
        Network pixels per image pixel, the same for columns and rows.
    """
    height, width = pixels.shape
    scale = min(size[0] / height, size[1] / width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32))
    fitted = np.zeros(size, dtype=np.float32)
    fitted[:rows, :columns] = np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR, reducing_gap=2.0))
    return fitted, scale


def standardise(pixels: Floats) -> Floats:
    """Standardise to mean 0 and deviation 1 over the breast, clipped to ±4: vendors' grey scales differ."""
    breast = pixels[pixels > BACKGROUND]
    if breast.size < 16:
        return np.zeros_like(pixels)
    mean, deviation = float(breast.mean()), float(breast.std())
    standard: Floats = np.clip((pixels - mean) / (deviation + 1e-3), -4, 4).astype(np.float32)
    return standard
