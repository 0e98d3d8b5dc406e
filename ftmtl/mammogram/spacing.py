"""The pixel spacing of a mammogram, and what it refers to (PS3.3 10.7)."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from ftmtl.acquisition import ODD_VALUE

_SPACING_MM = (0.005, 5.0)


def read_spacing(ds: Dataset) -> tuple[tuple[float, float] | None, str]:
    """Return the (row, column) spacing in mm, and what it refers to (PS3.3 10.7).

    If Pixel Spacing differs from Imager Pixel Spacing, it has already been calibrated or corrected; if
    they are equal, it has not. So the magnification is never corrected twice.

    Returns
    -------
    tuple
        The spacing or None, and ``calibrated``, ``corrected``, ``detector plane`` or an empty string.
    """
    pixel, imager = _pair(ds, "PixelSpacing"), _pair(ds, "ImagerPixelSpacing")
    kind = _calibration(ds)
    if pixel and (kind or imager) and not (imager and np.allclose(pixel, imager, rtol=1e-3)):
        return pixel, "corrected" if kind == "GEOMETRY" else "calibrated"
    plane = imager or pixel or _pair(ds, "NominalScannedPixelSpacing")
    if plane is None:
        return None, ""
    try:
        factor = float(ds.get("EstimatedRadiographicMagnificationFactor") or 0)
    except ODD_VALUE:
        factor = 0.0
    if imager and 1 <= factor <= 2.5:
        return (plane[0] / factor, plane[1] / factor), "corrected"
    return plane, "detector plane"


def _calibration(ds: Dataset) -> str:
    try:
        return str(ds.get("PixelSpacingCalibrationType") or "").strip().upper()
    except ODD_VALUE:
        return ""


def _pair(ds: Dataset, keyword: str) -> tuple[float, float] | None:
    try:
        row, column = (float(value) for value in ds.get(keyword) or ())
    except ODD_VALUE:
        return None
    low, high = _SPACING_MM
    return (row, column) if low <= row <= high and low <= column <= high else None
