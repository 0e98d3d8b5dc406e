"""Basics for drawing phantoms: random fields in millimetres, resampling, bounding boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft

FIELD_MM = (240.0, 180.0)
"""Height and width of the image receptor."""
COARSE_MM = 0.4
"""Pixel spacing of the grid on which the anatomy is drawn."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class PowerLaw:
    """Gaussian noise with the power spectrum 1 / f**beta above a cut-off frequency.

    Attributes
    ----------
    beta
        Exponent of the spectrum; the larger, the smoother the noise.
    cutoff_per_mm
        Spatial frequency in cycles/mm below which the spectrum is flat.
    stretch
        How many times longer structures are along the rows than across them.
    """

    beta: float
    cutoff_per_mm: float = 0.01
    stretch: float = 1.0

    def draw(self, rng: np.random.Generator, shape: tuple[int, int], spacing_mm: float) -> Floats:
        """Draw a field of shape (rows, columns), with mean 0 and standard deviation 1."""
        spectrum = fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
        fy = fft.fftfreq(shape[0], spacing_mm).astype(np.float32)[:, None]
        fx = fft.rfftfreq(shape[1], spacing_mm).astype(np.float32)[None, :] * np.float32(self.stretch)
        spectrum *= (fy**2 + fx**2 + np.float32(self.cutoff_per_mm**2)) ** np.float32(-self.beta / 4)
        spectrum[0, 0] = 0
        field: Floats = fft.irfft2(spectrum, s=shape).astype(np.float32)
        unit: Floats = field / (field.std() + 1e-12)
        return unit


def ridges(carrier: Floats, spacing_mm: float, width_mm: float) -> Floats:
    """Return strands of a given width along the zero crossings of a field; 1 at the centre of a strand."""
    gy, gx = np.gradient(carrier, spacing_mm)
    distance_mm = np.abs(carrier) / (np.hypot(gx, gy) + 0.05)
    strands: Floats = np.exp(-((distance_mm / width_mm) ** 2)).astype(np.float32)
    return strands


def resize(field: Floats, shape: tuple[int, int]) -> Floats:
    """Resample a field to (rows, columns)."""
    image = Image.fromarray(field).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.array(image, dtype=np.float32)


def bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return the tight bounding box (x0, y0, x1, y1), half-open, of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def offsets(shape: Sequence[int], centre: tuple[float, float]) -> tuple[Floats, Floats]:
    """Return the vertical and horizontal offsets in mm of each point of the coarse grid from a point (x, y) in mm."""
    y = (np.arange(shape[0], dtype=np.float32)[:, None] + 0.5) * COARSE_MM - centre[1]
    x = (np.arange(shape[1], dtype=np.float32)[None, :] + 0.5) * COARSE_MM - centre[0]
    return np.broadcast_to(y, tuple(shape)), np.broadcast_to(x, tuple(shape))
