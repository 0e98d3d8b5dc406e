"""Reading elements that may violate the standard: whatever is absent, empty or damaged counts as absent."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from ftmtl.decoding.files import ODD_VALUE


def texts(ds: Dataset | None, keyword: str) -> tuple[str, ...]:
    """Return an element's values as stripped text, including empty ones; an unreadable element has no values."""
    if ds is None:
        return ()
    try:
        value = ds.get(keyword)
        if value is None or isinstance(value, (Sequence, Dataset, bytes)):
            return ()
        values = value if isinstance(value, (MultiValue, list, tuple)) else [value]
        return tuple(str(item).replace("\0", "").strip() for item in values)
    except ODD_VALUE:
        return ()


def text(ds: Dataset | None, keyword: str) -> str:
    """Return the value of an element that has exactly one, otherwise an empty string."""
    values = texts(ds, keyword)
    return values[0] if len(values) == 1 else ""


def number(ds: Dataset, keyword: str) -> float | None:
    """Return the value of an element that is a single number, otherwise None."""
    try:
        value = float(text(ds, keyword))
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def items(ds: Dataset | None, keyword: str) -> Iterator[Dataset]:
    """Yield the items of a sequence; none if it is no sequence."""
    if ds is None:
        return
    try:
        value = ds.get(keyword)
        found = list(value) if isinstance(value, (Sequence, list)) else []
    except ODD_VALUE:
        return
    yield from (item for item in found if isinstance(item, Dataset))
