"""From stored values to display values: modality LUT, VOI LUT, inversion (PS3.3 C.11, PS3.4 N.2).

The display value of a pixel depends on its stored value alone. So the pipeline is applied once to a
table of every value that can be stored, at most 65,536, and the image is then looked up in the table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi

from ftmtl.acquisition import ODD_VALUE
from ftmtl.errors import NotAnalysable

Doubles = NDArray[np.float64]


def codes(stored: NDArray[Any]) -> NDArray[Any]:
    """Return the bit patterns of stored values, which are indices into `display_table`, as a view."""
    return stored.view(np.dtype(f"u{stored.dtype.itemsize}"))


def display_table(
    ds: Dataset, stored: NDArray[Any], voi_window: int = 0
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Build the table from stored values to display values.

    Parameters
    ----------
    ds
        The image's data set.
    stored
        The image's pixels: int8, uint8, int16 or uint16. Their distribution matters only without a VOI transform.
    voi_window
        Index of the VOI LUT or window to use, where there are several.

    Returns
    -------
    table
        float32, one entry per bit pattern (see `codes`), from 0 (black) to 1 (white); padding is 0.
    notes
        Sentences about what was unusual.

    Raises
    ------
    NotAnalysable
        If the pixels need more than 16 bits or the modality LUT is damaged.
    """
    if stored.dtype.kind not in "iu" or stored.dtype.itemsize > 2:
        raise NotAnalysable(f"The pixels are stored as {stored.dtype}; at most 16 bits of integers are read.")
    kind = np.dtype(f"u{stored.dtype.itemsize}")
    values = np.arange(2 ** (8 * kind.itemsize), dtype=kind).view(stored.dtype)
    padding = _padding(ds, values)
    try:
        modality = np.asarray(apply_modality_lut(values, ds), dtype=np.float64)
    except ODD_VALUE as error:
        raise NotAnalysable("The modality LUT of this image is damaged.") from error
    display, notes = _voi(ds, modality, voi_window)
    if display is None:
        sample = np.bincount(codes(stored)[::3, ::3].ravel(), minlength=len(values))
        display = _stretch(modality, np.where(padding, 0, sample))
    if _is_inverse(ds):
        display = 1 - display
    display[padding] = 0
    return display.astype(np.float32), notes


def window(values: Doubles, center: float, width: float, function: str = "LINEAR") -> Doubles:
    """Apply a window, with results from 0 to 1 (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    Raises
    ------
    ValueError
        If the width is too small for the function, or the function is unknown.
    """
    if width <= 0 or (function == "LINEAR" and width < 1):
        raise ValueError(f"window width {width} is too small for {function}")
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function not in ("LINEAR", "LINEAR_EXACT"):
        raise ValueError(f"unknown VOI LUT function {function}")
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0, 1)


def _voi(ds: Dataset, modality: Doubles, index: int) -> tuple[Doubles | None, tuple[str, ...]]:
    """Apply the VOI LUT if there is one, otherwise the window; return None if there is neither. Notes follow."""
    notes: list[str] = []
    try:
        if ds.get("VOILUTSequence"):
            return _voi_lut(ds, modality, index, notes), tuple(notes)
    except ODD_VALUE:
        notes.append("The VOI LUT Sequence is unusable.")
    try:
        pairs = list(zip(_numbers(ds, "WindowCenter"), _numbers(ds, "WindowWidth"), strict=False))
        if pairs:
            function = str(ds.get("VOILUTFunction") or "LINEAR").strip().upper()
            center, width = pairs[_existing(index, len(pairs), notes)]
            return window(modality, center, width, function), tuple(notes)
    except ODD_VALUE:
        notes.append("The VOI window is unusable.")
    return None, (*notes, "No VOI transform; the grey scale was stretched to the image's own range.")


def _voi_lut(ds: Dataset, modality: Doubles, index: int, notes: list[str]) -> Doubles:
    """Look values up in the VOI LUT and divide by the range that it uses (PS3.3 C.11.2.1.1)."""
    index = _existing(index, len(ds.VOILUTSequence), notes)
    whole = np.clip(np.rint(modality), -(2**31), 2**31 - 1).astype(np.int64)
    entries, first, bits = (int(number) for number in ds.VOILUTSequence[index].LUTDescriptor)
    # pydicom keeps the offset in 16 bits, so values outside the table are clipped to its range first.
    whole = np.clip(whole, first, first + (entries or 2**16) - 1)
    shown = np.asarray(apply_voi(whole, ds, index), dtype=np.float64)
    used = 2 ** int(shown.max()).bit_length() - 1
    if used < 2**bits - 1:
        notes.append("The VOI LUT uses fewer bits than it declares.")
    grey: NDArray[np.float64] = shown / max(1, used)
    return grey


def _existing(index: int, count: int, notes: list[str]) -> int:
    if 0 <= index < count:
        return index
    notes.append(f"VOI window {index} is absent; window 0 was used.")
    return 0


def _numbers(ds: Dataset, keyword: str) -> list[float]:
    value = ds.get(keyword)
    if value is None or value == "":
        return []
    numbers = [
        float(item) for item in (value if hasattr(value, "__iter__") and not isinstance(value, str) else [value])
    ]
    if not all(np.isfinite(numbers)):
        raise ValueError(f"{keyword} is not a number")
    return numbers


def _stretch(modality: Doubles, counts: NDArray[np.int64]) -> Doubles:
    """Map the 0.1th to the 99.9th percentile of the image's values to 0 to 1."""
    order = np.argsort(modality, kind="stable")
    total = np.cumsum(counts[order])
    if total[-1] == 0:
        return np.zeros_like(modality)
    low, high = (modality[order[np.searchsorted(total, part * total[-1])]] for part in (0.001, 0.999))
    grey: NDArray[np.float64] = np.clip((modality - low) / max(high - low, 1e-9), 0, 1)
    return grey


def _is_inverse(ds: Dataset) -> bool:
    """Return whether to invert; MONOCHROME1 and Presentation LUT Shape INVERSE together invert once (PS3.3 C.11.6)."""
    interpretation = str(ds.get("PhotometricInterpretation", "")).strip().upper()
    return interpretation == "MONOCHROME1" or str(ds.get("PresentationLUTShape", "")).strip().upper() == "INVERSE"


def _padding(ds: Dataset, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which of the stored values are padding (PS3.3 C.7.5.1.1.2)."""
    try:
        first = _signed(int(ds.PixelPaddingValue), values.dtype)
        last = ds.get("PixelPaddingRangeLimit")
        last = first if last is None else _signed(int(last), values.dtype)
    except ODD_VALUE:
        return np.zeros(values.shape, dtype=bool)
    numbers = values.astype(np.int64)
    padding: NDArray[np.bool_] = (numbers >= min(first, last)) & (numbers <= max(first, last))
    return padding


def _signed(value: int, dtype: np.dtype[Any]) -> int:
    """Correct a padding value that was read with the wrong VR: as unsigned for signed pixels, or the reverse."""
    info = np.iinfo(dtype)
    span = 2**info.bits
    return value - span if value > info.max else value + span if value < info.min else value
