"""The grey scale that a header describes: modality LUT, VOI LUT or window, polarity (PS3.3 C.11, PS3.4 N.2).

The worker makes the network's input with it, and presentation states repeat it, so both see the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from ftmtl.decoding.files import ODD_VALUE
from ftmtl.header.elements import items, text

Doubles = NDArray[np.float64]

_DESCRIPTOR, _DATA = Tag("LUTDescriptor"), Tag("LUTData")


@dataclass(frozen=True, eq=False)
class Lut:
    """A look-up table (PS3.3 C.11.1.1, C.11.2.1.1).

    Attributes
    ----------
    first
        The input value of the first entry; smaller inputs get the first entry, larger ones the last.
    bits
        Bits per entry, as the descriptor says.
    entries
        uint16, shape (entries,).
    """

    first: int
    bits: int
    entries: NDArray[np.uint16]

    @property
    def largest(self) -> int:
        """Largest value of the range that the entries use: a descriptor may claim more bits than there are."""
        bits = int(self.entries.max()).bit_length()
        return max(1, (1 << bits) - 1)

    def apply(self, values: Doubles) -> Doubles:
        """Return the entry of each value."""
        place = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1)
        found: Doubles = self.entries[place.astype(np.int64)].astype(np.float64)
        return found

    def stretched(self) -> Lut:
        """Return a table of 16 bits that uses its whole range; what is shown with it is the same."""
        wide = np.rint(self.entries * (65535 / self.largest)).astype(np.uint16)
        return Lut(self.first, 16, wide)

    def item(self) -> Dataset:
        """Return an item of a LUT sequence: one little-endian word per entry."""
        count = len(self.entries)
        item = Dataset()
        low = self.first < 0
        item.add_new(_DESCRIPTOR, "SS" if low else "US", [_in_16_bits(count, signed=low), self.first, self.bits])
        item.add_new(_DATA, "OW", self.entries.astype("<u2").tobytes())
        return item


class Window(NamedTuple):
    """A window, in units of the modality LUT's output, and its function (PS3.3 C.11.2.1.2)."""

    center: float
    width: float
    function: str = "LINEAR"

    def apply(self, values: Doubles) -> Doubles:
        """Return display values from 0 to 1."""
        center, width = self.center, self.width
        if self.function == "SIGMOID":
            return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
        if self.function == "LINEAR":
            center, width = center - 0.5, width - 1
        if width == 0:
            return (values > center).astype(np.float64)
        return np.clip((values - center) / width + 0.5, 0, 1)


def luts(ds: Dataset, keyword: str) -> list[Lut | None]:
    """Return the tables of a LUT sequence; None for one whose descriptor and data do not match.

    Tables may be US, SS, OW or, in Implicit VR, undeclared; entries of 8 bits may be packed in words, two by two, or
    have a word each.
    """
    return [_lut(ds, item) for item in items(ds, keyword)]


def windows(ds: Dataset) -> list[Window | None]:
    """Return the windows; None for one that is unusable."""
    function = text(ds, "VOILUTFunction").upper() or "LINEAR"
    pairs = zip(_numbers(ds, "WindowCenter"), _numbers(ds, "WindowWidth"), strict=False)
    return [Window(center, width, function) if _is_usable(width, function) else None for center, width in pairs]


def is_inverse(ds: Dataset) -> bool:
    """Return whether an image is inverted, by MONOCHROME1 or by the shape INVERSE.

    The two mean the same, and together they invert once; a presentation state has only the shape (PS3.3 C.11.6,
    PS3.4 N.2.1.4).
    """
    return (
        text(ds, "PhotometricInterpretation").upper() == "MONOCHROME1"
        or text(ds, "PresentationLUTShape").upper() == "INVERSE"
    )


def _lut(ds: Dataset, item: Dataset) -> Lut | None:
    descriptor, data = _words(item, _DESCRIPTOR), _words(item, _DATA)
    if len(descriptor) != 3:
        return None
    count, first, bits = (int(word) for word in descriptor)
    count = count or 65536
    if not 8 <= bits <= 16:
        return None
    if len(data) == -(-count // 2) and bits == 8 and count > 1:
        data = data.astype("<u2").view(np.uint8)[:count].astype(np.uint16)
    if len(data) != count:
        return None
    if first > 32767 and _is_signed(ds, item):
        first -= 65536
    return Lut(first, bits, data)


def _words(item: Dataset, tag: BaseTag) -> NDArray[np.uint16]:
    """Return an element's 16-bit words; an empty array if it is absent or has another form."""
    try:
        element = item.get_item(tag)
        value: Any = element.value if element is not None else None
        if isinstance(value, bytes):
            little = not isinstance(element, RawDataElement) or element.is_little_endian
            return np.frombuffer(value[: len(value) // 2 * 2], dtype="<u2" if little else ">u2").astype(np.uint16)
        return (np.atleast_1d(np.asarray(value, dtype=np.int64)) & 0xFFFF).astype(np.uint16)
    except ODD_VALUE:
        return np.zeros(0, dtype=np.uint16)


def _is_signed(ds: Dataset, item: Dataset) -> bool:
    """Return whether the second value of a LUT Descriptor is signed: by its VR, else like the pixels."""
    declared = getattr(item.get_item(_DESCRIPTOR), "VR", None)
    return declared == "SS" or (declared != "US" and text(ds, "PixelRepresentation") == "1")


def _in_16_bits(count: int, *, signed: bool) -> int:
    """Return a number of entries as a descriptor has it: 0 for 65,536, and in the sign of its VR."""
    count %= 65536
    return count - 65536 if signed and count > 32767 else count


def _is_usable(width: float, function: str) -> bool:
    return function in ("LINEAR", "LINEAR_EXACT", "SIGMOID") and width > 0 and (function != "LINEAR" or width >= 1)


def _numbers(ds: Dataset, keyword: str) -> list[float]:
    """Return the numbers of an element; none if any of them is not a number."""
    try:
        value = ds.get(keyword)
        values = value if isinstance(value, (MultiValue, list, tuple)) else [] if value in (None, "") else [value]
        numbers = [float(one) for one in values]
    except ODD_VALUE:
        return []
    return numbers if all(np.isfinite(numbers)) else []
