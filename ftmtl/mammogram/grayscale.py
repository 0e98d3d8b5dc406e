"""From stored values to display values: modality LUT, VOI LUT, inversion (PS3.3 C.11, PS3.4 N.2).

The display value of a pixel depends on its stored value alone. So the pipeline is applied once to a
table of every value that can be stored, at most 65,536, and the image is then looked up in the table.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ftmtl.decoding.files import ODD_VALUE
from ftmtl.errors import NotAnalysable
from ftmtl.header.elements import number, text
from ftmtl.header.grayscale import Doubles, Lut, Window, is_inverse, luts, windows

NO_VOI = "No VOI transform; the grey scale was stretched to the image's own range."


class GreyScale(NamedTuple):
    """How an image is shown.

    Attributes
    ----------
    shades
        float32, one display value per bit pattern (see `codes`), from 0 (black) to 1 (white).
    padding
        bool, the same shape: which patterns are padding.
    notes
        Sentences about what was unusual.
    window
        Center and width of the window that was used in place of the image's own, or None.
    """

    shades: NDArray[np.float32]
    padding: NDArray[np.bool_]
    notes: tuple[str, ...] = ()
    window: tuple[float, float] | None = None

    @property
    def table(self) -> NDArray[np.float32]:
        """The display values; padding is 0."""
        return np.where(self.padding, np.float32(0), self.shades)


def codes(stored: NDArray[Any]) -> NDArray[Any]:
    """Return the bit patterns of stored values, which are indices into a `GreyScale`'s table, as a view."""
    return stored.view(np.dtype(f"u{stored.dtype.itemsize}"))


def own_grey_scale(ds: Dataset, stored: NDArray[Any], voi_window: int = 0) -> GreyScale:
    """Return the grey scale that the header describes; if it has no VOI transform, the stretched one.

    Parameters
    ----------
    ds
        The image's data set.
    stored
        The image's pixels: int8, uint8, int16 or uint16. Their distribution matters only without a VOI transform.
    voi_window
        Index of the VOI LUT or window to use, where there are several.

    Raises
    ------
    NotAnalysable
        If the pixels need more than 16 bits or the modality LUT is damaged.
    """
    values = _values(stored)
    modality = _modality(ds, values)
    transform, notes = _voi(ds, voi_window)
    if transform is None:
        return stretched_grey_scale(ds, stored)._replace(notes=(*notes, NO_VOI))
    shown = transform.apply(modality) / (transform.largest if isinstance(transform, Lut) else 1)
    return _grey_scale(ds, values, shown, notes=notes)


def stretched_grey_scale(ds: Dataset, stored: NDArray[Any]) -> GreyScale:
    """Return the grey scale from the 0.1th to the 99.9th percentile of the image's own values, padding excluded.

    Raises
    ------
    NotAnalysable
        If the pixels need more than 16 bits or the modality LUT is damaged.
    """
    values = _values(stored)
    modality = _modality(ds, values)
    counts = np.bincount(codes(stored)[::3, ::3].ravel(), minlength=len(values))
    order = np.argsort(modality, kind="stable")
    total = np.cumsum(np.where(padding(ds, values), 0, counts)[order])
    if total[-1] == 0:
        return _grey_scale(ds, values, np.zeros(len(values)))
    low, high = (float(modality[order[np.searchsorted(total, part * total[-1])]]) for part in (0.001, 0.999))
    return windowed_grey_scale(ds, stored, ((low + high) / 2, max(high - low, 1e-9)))


def windowed_grey_scale(ds: Dataset, stored: NDArray[Any], window: tuple[float, float]) -> GreyScale:
    """Return the grey scale of a window, given as center and width, in place of the image's own VOI transform.

    Raises
    ------
    NotAnalysable
        If the pixels need more than 16 bits or the modality LUT is damaged.
    """
    values = _values(stored)
    shown = Window(*window, "LINEAR_EXACT").apply(_modality(ds, values))
    return _grey_scale(ds, values, shown, window=window)


def padding(ds: Dataset, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which stored values are padding (PS3.3 C.7.5.1.1.2)."""
    first, last = number(ds, "PixelPaddingValue"), number(ds, "PixelPaddingRangeLimit")
    if first is None:
        return np.zeros(values.shape, dtype=bool)
    first, last = (_signed(int(one), values.dtype) for one in (first, first if last is None else last))
    numbers = values.astype(np.int64)
    found: NDArray[np.bool_] = (numbers >= min(first, last)) & (numbers <= max(first, last))
    return found


def _values(stored: NDArray[Any]) -> NDArray[Any]:
    """Return every value that pixels of this type can have, in the order of their bit patterns."""
    if stored.dtype.kind not in "iu" or stored.dtype.itemsize > 2:
        raise NotAnalysable(f"The pixels are stored as {stored.dtype}; at most 16 bits of integers are read.")
    kind = np.dtype(f"u{stored.dtype.itemsize}")
    return np.arange(2 ** (8 * kind.itemsize), dtype=kind).view(stored.dtype)


def _modality(ds: Dataset, values: NDArray[Any]) -> Doubles:
    """Apply the modality LUT, or slope and intercept; one of them alone counts as neither (PS3.3 C.11.1)."""
    wide = values.astype(np.float64)
    try:
        if ds.get("ModalityLUTSequence"):
            (table, *_) = luts(ds, "ModalityLUTSequence")
            if table is None:
                raise ValueError("descriptor and data do not match")
            return table.apply(wide)
        slope, intercept = text(ds, "RescaleSlope"), text(ds, "RescaleIntercept")
        if slope and intercept:
            wide = wide * float(slope) + float(intercept)
    except ODD_VALUE as error:
        raise NotAnalysable("The modality LUT of this image is damaged.") from error
    return wide


def _voi(ds: Dataset, index: int) -> tuple[Lut | Window | None, tuple[str, ...]]:
    """Return the VOI LUT if there is one, otherwise the window, or None if there is neither; and notes."""
    notes: list[str] = []
    for found, name in ((luts(ds, "VOILUTSequence"), "VOI LUT Sequence"), (windows(ds), "VOI window")):
        if not found:
            continue
        if index and index >= len(found):
            notes.append(f"VOI window {index} is absent; window 0 was used.")
        transform = found[index if index < len(found) else 0]
        if transform is None:
            notes.append(f"The {name} is unusable.")
            continue
        if isinstance(transform, Lut) and transform.largest < 2**transform.bits - 1:
            notes.append("The VOI LUT uses fewer bits than it declares.")
        return transform, tuple(notes)
    return None, tuple(notes)


def _grey_scale(ds: Dataset, values: NDArray[Any], shown: Doubles, **more: Any) -> GreyScale:
    """Invert if the header says so."""
    grey = 1 - shown if is_inverse(ds) else shown
    return GreyScale(grey.astype(np.float32), padding(ds, values), **more)


def _signed(value: int, dtype: np.dtype[Any]) -> int:
    """Correct a padding value that was read with the wrong VR: as unsigned for signed pixels, or the reverse."""
    info = np.iinfo(dtype)
    span = 2**info.bits
    return value - span if value > info.max else value + span if value < info.min else value
