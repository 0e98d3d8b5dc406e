"""Which bits of a decoded pixel are its value (PS3.5 8.1.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ftmtl.header.elements import number

MORE_BITS = "The pixels use more bits than the header says; all of them were read."
SWAPPED = "The bytes of the pixels are in the wrong order; they were swapped."
HIGH_BIT = "The pixels do not end at the lowest bit (High Bit); they were shifted."


def stored_values(ds: Dataset, decoded: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return the values of an image's pixels without the bits that do not belong to them, and notes.

    Bits above Bits Stored once held overlays, and a decoder leaves them where they are. High Bit may say that the value
    does not begin at the lowest bit, as older editions of the standard allowed. Values that fit only with their bytes
    exchanged have been written in another byte order. A header that simply says too few bits
    is told by the picture: without the upper bits, its grey values would break off.

    Parameters
    ----------
    ds
        The image's header.
    decoded
        Integers, shape (rows, columns), with all allocated bits.
    """
    allocated = 8 * decoded.dtype.itemsize
    stored = int(number(ds, "BitsStored") or allocated)
    high_bit = int(number(ds, "HighBit") or stored - 1)
    if decoded.dtype.kind not in "iu" or not 0 < stored < allocated or _fits(decoded, stored):
        return decoded, ()
    swapped = decoded.byteswap()
    if _fits(swapped, stored):
        return swapped, (SWAPPED,)
    shift = high_bit - (stored - 1)
    if 0 < shift <= allocated - stored:
        return _field(decoded, stored, shift), (HIGH_BIT,)
    masked = _field(decoded, stored, 0)
    if _breaks(decoded, stored) < _breaks(masked, stored):
        return decoded, (MORE_BITS,)
    return masked, ()


def _fits(decoded: NDArray[Any], stored: int) -> bool:
    """Return whether no value needs more than the stored bits."""
    low, high = int(decoded.min()), int(decoded.max())
    least, most = (0, 2**stored) if decoded.dtype.kind == "u" else (-(2 ** (stored - 1)), 2 ** (stored - 1))
    return bool(least <= low and high < most)


def _field(decoded: NDArray[Any], bits: int, shift: int) -> NDArray[Any]:
    """Return some bits of each value, above a number of others, with the sign of signed pixels extended."""
    above = 8 * decoded.dtype.itemsize - bits - shift
    field: NDArray[Any] = np.right_shift(np.left_shift(decoded, above), above + shift)
    return field


def _breaks(values: NDArray[Any], stored: int) -> int:
    """Return how many neighbours, in every fourth row, differ by more than half the range of the stored bits."""
    differences = np.abs(np.diff(values[::4].astype(np.int32), axis=1))
    return int((differences > 2 ** (stored - 1)).sum())
