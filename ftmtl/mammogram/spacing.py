"""The pixel spacing of a mammogram, and what it refers to (PS3.3 10.7)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from ftmtl.header.elements import number, text
from ftmtl.header.sizes import implausible, plausible_spacing


class Spacing(NamedTuple):
    """A pixel spacing.

    Attributes
    ----------
    mm
        (row, column) in mm, or None.
    source
        What it refers to: ``calibrated``, ``corrected`` (for magnification), ``detector plane`` or empty.
    notes
        Sentences about what was unusual.
    """

    mm: tuple[float, float] | None
    source: str = ""
    notes: tuple[str, ...] = ()


def read_spacing(ds: Dataset) -> Spacing:
    """Return the pixel spacing (PS3.3 10.7).

    If Pixel Spacing differs from Imager Pixel Spacing, it has already been calibrated or corrected; if
    they are equal, it has not. So the magnification is never corrected twice. A spacing with which the image would be
    larger than a detector is none.
    """
    notes = implausible(ds)
    pixel, imager = plausible_spacing(ds, "PixelSpacing"), plausible_spacing(ds, "ImagerPixelSpacing")
    kind = text(ds, "PixelSpacingCalibrationType").upper()
    if pixel and (kind or imager) and not (imager and np.allclose(pixel, imager, rtol=1e-3)):
        return Spacing(pixel, "corrected" if kind == "GEOMETRY" else "calibrated", notes)
    plane = imager or pixel or plausible_spacing(ds, "NominalScannedPixelSpacing")
    if plane is None:
        return Spacing(None, "", notes)
    factor = number(ds, "EstimatedRadiographicMagnificationFactor") or 0.0
    if imager and 1 <= factor <= 2.5:
        return Spacing((plane[0] / factor, plane[1] / factor), "corrected", notes)
    return Spacing(plane, "detector plane", notes)
