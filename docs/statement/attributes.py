"""The attributes of a kind of object: which there are, and where their values come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydicom.datadict import dictionary_description, dictionary_has_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from node.kinds import ObjectKind
from statement.samples import Sample

BULK = ("PixelData",)
"""Attributes whose values are not looked at."""

TREE = "ContentSequence"
"""What is shown as a tree instead."""

Row = tuple[str, str, str, str]
"""Name, tag, VR and value."""


@dataclass
class Attribute:
    """An attribute of a kind of object, over all objects of that kind."""

    tag: BaseTag
    vr: str
    values: list[str] = field(default_factory=list)
    copied: bool = True
    present: int = 0
    below: dict[BaseTag, Attribute] = field(default_factory=dict)


def attribute_rows(kind: ObjectKind, samples: Sequence[Sample]) -> dict[tuple[BaseTag, ...], Row]:
    """Return name, tag, VR and value of every attribute of a kind, by the path of tags that leads to it."""
    collected: dict[BaseTag, Attribute] = {}
    objects = [(ds, sample.images) for sample in samples for ds in sample.objects[kind]]
    for ds, images in objects:
        _collect(ds, collected, images)
    return dict(_rows(collected, len(objects)))


def _collect(ds: Dataset, into: dict[BaseTag, Attribute], images: Sequence[Dataset]) -> None:
    for element in ds:
        attribute = into.setdefault(element.tag, Attribute(element.tag, element.VR))
        attribute.present += 1
        if element.VR == "SQ":
            if element.keyword != TREE:
                for item in element.value:
                    _collect(item, attribute.below, images)
            continue
        shown = "" if element.keyword in BULK else _shown(element)
        attribute.values.append(shown)
        own = {_shown(image[element.tag]) for image in images if element.tag in image}
        attribute.copied = attribute.copied and shown in own


def _shown(element: DataElement) -> str:
    if isinstance(element.value, bytes):
        return element.value.hex()
    if element.VM > 1:
        return "\\".join(str(value) for value in element.value)
    return "" if element.value is None else str(element.value)


def _rows(
    attributes: Mapping[BaseTag, Attribute], objects: int, above: tuple[BaseTag, ...] = ()
) -> Iterator[tuple[tuple[BaseTag, ...], Row]]:
    for tag in sorted(attributes):
        attribute, path = attributes[tag], (*above, tag)
        sometimes = " (c)" if not above and attribute.present < objects else ""
        name = dictionary_description(tag) if dictionary_has_tag(tag) else "?"
        number = f"({tag.group:04X},{tag.element:04X})"
        yield path, (f"{name}{sometimes}", number, attribute.vr, _value(attribute))
        yield from _rows(attribute.below, objects, path)


def _value(attribute: Attribute) -> str:
    """Say where a value comes from."""
    name = dictionary_description(attribute.tag)
    if attribute.vr == "SQ":
        return "" if attribute.below else ("empty" if name != "Content Sequence" else "the content tree, below")
    if name in ("Referenced SOP Class UID", "Referenced SOP Instance UID"):
        return "of what is referred to"
    distinct = set(attribute.values)
    if len(distinct) == 1:
        (value,) = distinct
        return f"fixed: `{_escaped(value)}`" if value else ("made" if name == "Pixel Data" else "empty")
    if attribute.copied:
        return "copied"
    if len(distinct) <= 3 and len(attribute.values) > 6 and all(re.fullmatch(r"[A-Z_ ]{2,16}", v) for v in distinct):
        return "one of: " + ", ".join(f"`{value}`" for value in sorted(distinct))
    return "made"


def _escaped(value: str) -> str:
    return " ".join(value.replace("|", "\\|").split())
