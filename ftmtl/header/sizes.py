"""How large a pixel is, as far as a header can be believed (PS3.3 10.7)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from ftmtl.decoding.files import ODD_VALUE
from ftmtl.header.elements import number, texts

LARGEST_MM = 400.0
"""No detector or film for mammography is longer than this."""
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")

_SPACING_MM = (0.005, 5.0)


def plausible_spacing(ds: Dataset, keyword: str) -> tuple[float, float] | None:
    """Return a (row, column) spacing in mm, or None if it is absent, damaged, or would make the image too large."""
    spacing = _spacing(ds, keyword)
    return None if spacing is None or _extent_mm(ds, spacing) > LARGEST_MM else spacing


def implausible(ds: Dataset) -> tuple[str, ...]:
    """Return a sentence about each spacing that would make the image larger than a detector."""
    found = [(keyword, spacing) for keyword in SPACINGS if (spacing := _spacing(ds, keyword))]
    return tuple(
        f"With a pixel spacing of {spacing[0]:g} x {spacing[1]:g} mm the image would be {extent:.0f} mm long; "
        "that spacing was not used."
        for _, spacing in found
        if (extent := _extent_mm(ds, spacing)) > LARGEST_MM
    )


def _spacing(ds: Dataset, keyword: str) -> tuple[float, float] | None:
    try:
        row, column = (float(value) for value in texts(ds, keyword))
    except ODD_VALUE:
        return None
    low, high = _SPACING_MM
    return (row, column) if low <= row <= high and low <= column <= high else None


def _extent_mm(ds: Dataset, spacing: tuple[float, float]) -> float:
    rows, columns = number(ds, "Rows") or 0.0, number(ds, "Columns") or 0.0
    return max(rows * spacing[0], columns * spacing[1])
