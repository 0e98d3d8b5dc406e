"""A structured report in words: one line per content item, indented as in its tree."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby

from pydicom.dataset import Dataset

from node.results.common import codes
from node.results.common.content import Item, children, item_at, points_of, walk

_ALGORITHM_FAMILY = "111000"

SAID_ONCE = {_ALGORITHM_FAMILY} | {
    code.value
    for code in (
        codes.ALGORITHM_NAME,
        codes.ALGORITHM_VERSION,
        codes.ALGORITHM_MANUFACTURER,
        codes.ALGORITHM_PARAMETERS,
        codes.DERIVATION,
        codes.CALCULATION_DESCRIPTION,
        codes.OPERATING_POINT_TABLE,
        codes.MAXIMUM_OPERATING_POINT,
        codes.RECOMMENDED_OPERATING_POINT,
        codes.GEOMETRIC_PURPOSE,
    )
}
"""Concepts that are repeated word for word at every lesion; only their first place is printed."""

_CHECKSUM = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{24,}\b")
_LIBRARY = codes.IMAGE_LIBRARY.value


class Tree:
    """The lines of a report.

    Parameters
    ----------
    report
        The object, as read from its file.
    names
        What each image is called, by SOP Instance UID.
    trackings
        What each tracking UID stands for, by UID.
    """

    def __init__(self, report: Dataset, names: Mapping[str, str], trackings: Mapping[str, str]) -> None:
        self._report, self._names, self._trackings = report, names, trackings
        self._said: set[tuple[str, ...]] = set()

    def markdown(self) -> str:
        """Return the report as nested lists; its image library can be opened."""
        parts: list[str] = []
        for is_library, items in groupby(children(self._report), key=lambda item: item.name == _LIBRARY):
            lines = [line for sub in _alike(list(items)) for line in self._lines(sub, 0)]
            if is_library:
                images = sum(item.type == "IMAGE" for item in walk(self._report) if _is_entry(item))
                counted = "1 image" if images == 1 else f"{images} images"
                head = f"<details><summary>{codes.IMAGE_LIBRARY.meaning}: {counted}</summary>"
                parts += [head, "\n".join(lines[1:]).replace("\n  ", "\n").removeprefix("  "), "</details>"]
            else:
                parts.append("\n".join(lines))
        return "\n\n".join(parts)

    def _lines(self, items: Sequence[Item], depth: int) -> list[str]:
        """Return the lines of items that are told of in one line, and of what is below them; none for mere UIDs."""
        item = items[0]
        if item.type == "UIDREF" and str(item.ds.UID) not in self._trackings:
            return []
        value = ", ".join(filter(None, map(self._value, items)))
        name = meaning(item.ds, "ConceptNameCodeSequence") or "Image"
        name = escape(name, quote=False)
        head = f"{'  ' * depth}- " + (f"{name}: {value}" if value else f"**{name}**")
        below = [] if item.type in ("SCOORD", "") else _alike(children(item.ds))
        lines = [head, *(line for sub in below for line in self._lines(sub, depth + 1))]
        if item.name in SAID_ONCE:
            key = tuple(line.strip() for line in lines)
            if key in self._said:
                return []
            self._said.add(key)
        return lines

    def _value(self, item: Item) -> str:
        ds = item.ds
        if not item.type:
            target = item_at(self._report, ds.ReferencedContentItemIdentifier)
            return "" if target is None else self._image(target)
        if item.type == "NUM":
            return _number(ds.MeasuredValueSequence[0])
        if item.type == "UIDREF":
            return self._trackings[str(ds.UID)]
        if item.type == "SCOORD":
            return f"{_shape(ds)} on {self._value(children(ds)[0])}"
        if item.type == "IMAGE":
            return self._image(ds)
        if item.type == "CODE":
            return escape(meaning(ds, "ConceptCodeSequence"), quote=False)
        text = str(ds.get({"TEXT": "TextValue", "DATE": "Date", "TIME": "Time"}.get(item.type, ""), ""))
        if item.name == codes.TRACKING_IDENTIFIER.value:
            text = f"**{text}**"
        return "<br>".join(escape(_CHECKSUM.sub(r"\1…", line), quote=False) for line in text.splitlines())

    def _image(self, ds: Dataset) -> str:
        return self._names[str(ds.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)]


def meaning(ds: Dataset, keyword: str) -> str:
    """Return what a code in an item means, or an empty text."""
    found = ds.get(keyword)
    return str(found[0].CodeMeaning) if found else ""


def _alike(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Yield neighbours that are told of in one line: references to images of the same concept, with nothing below."""

    def key(numbered: tuple[int, Item]) -> object:
        place, item = numbered
        plain = item.type in ("IMAGE", "") and not children(item.ds)
        return (item.name, item.type) if plain else place

    for _, group in groupby(enumerate(items), key=key):
        yield [item for _, item in group]


def _is_entry(item: Item) -> bool:
    """Tell whether an item is an image of the library: what is known of its acquisition stands below."""
    return any(child.ds.get("RelationshipType") == "HAS ACQ CONTEXT" for child in children(item.ds))


def _number(measured: Dataset) -> str:
    """Return a number and its unit; from 1 on in whole numbers, which is as far as a reader should read it."""
    value, unit = float(measured.NumericValue), measured.MeasurementUnitsCodeSequence[0]
    said = f"{value:.0f}" if value >= 1 else f"{value:g}"
    named = unit.CodeMeaning.replace("range: ", "").replace(":", " to ")
    return said if unit.CodeValue == codes.NO_UNITS.value else f"{said} ({named})"


def _shape(ds: Dataset) -> str:
    points = len(points_of(ds))
    return "point" if ds.GraphicType == "POINT" else f"outline of {points} points"
