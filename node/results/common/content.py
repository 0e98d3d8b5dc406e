"""Content items of a structured report (PS3.3 C.17.3), written and read without highdicom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from node.domain import Predecessor
from node.results.common.codes import Code

CONTAINS = "CONTAINS"
HAS_PROPERTIES = "HAS PROPERTIES"
HAS_ACQ_CONTEXT = "HAS ACQ CONTEXT"
HAS_OBS_CONTEXT = "HAS OBS CONTEXT"
HAS_CONCEPT_MOD = "HAS CONCEPT MOD"
INFERRED_FROM = "INFERRED FROM"
SELECTED_FROM = "SELECTED FROM"


TOLERANCE = 1e-3
"""How far a coordinate may be off because Graphic Data are 32-bit floats, in pixels."""

ROUNDING = 0.0051
"""How far a measurement may be off because it is rounded to two decimals."""


class Item(NamedTuple):
    """A content item that was read: the code of its concept name, its value type, and the item itself."""

    name: str
    type: str
    ds: Dataset


def container(relationship: str, name: Code, content: Iterable[Dataset]) -> Dataset:
    """Return a CONTAINER of separate items (C.18.8); the root has no relationship."""
    item = _item(relationship, "CONTAINER", name, content)
    item.ContinuityOfContent = "SEPARATE"
    return item


def coded(relationship: str, name: Code, value: Code, content: Iterable[Dataset] = ()) -> Dataset:
    """Return a CODE (C.17.3.2.4)."""
    item = _item(relationship, "CODE", name, content)
    item.ConceptCodeSequence = code_items(value)
    return item


def text(relationship: str, name: Code, value: str, content: Iterable[Dataset] = ()) -> Dataset:
    """Return a TEXT."""
    item = _item(relationship, "TEXT", name, content)
    item.TextValue = value
    return item


def date(relationship: str, name: Code, value: str) -> Dataset:
    """Return a DATE from a DA value."""
    item = _item(relationship, "DATE", name)
    item.Date = value
    return item


def time(relationship: str, name: Code, value: str) -> Dataset:
    """Return a TIME from a TM value."""
    item = _item(relationship, "TIME", name)
    item.Time = value
    return item


def uid_reference(relationship: str, name: Code, value: str) -> Dataset:
    """Return a UIDREF."""
    item = _item(relationship, "UIDREF", name)
    item.UID = value
    return item


def number(relationship: str, name: Code, value: float, unit: Code, content: Iterable[Dataset] = ()) -> Dataset:
    """Return a NUM (C.18.1), rounded to two decimals, or to six below one."""
    item = _item(relationship, "NUM", name, content)
    measured = Dataset()
    measured.NumericValue = f"{value:.{2 if value >= 1 else 6}f}".rstrip("0").rstrip(".")
    measured.MeasurementUnitsCodeSequence = code_items(unit)
    item.MeasuredValueSequence = Items([measured])
    return item


def image_item(
    relationship: str, source: Dataset, content: Iterable[Dataset] = (), name: Code | None = None
) -> Dataset:
    """Return an IMAGE that refers to the whole of ``source`` (C.18.4)."""
    item = _item(relationship, "IMAGE", name, content)
    item.ReferencedSOPSequence = Items([reference(source)])
    return item


def region(relationship: str, name: Code, graphic_type: str, points: Iterable[Sequence[float]], of: Dataset) -> Dataset:
    """Return an SCOORD of points (column, row), selected from the image that ``of`` refers to (C.18.6)."""
    item = _item(relationship, "SCOORD", name, [of])
    item.GraphicType = graphic_type
    item.GraphicData = [float(coordinate) for point in points for coordinate in point]
    return item


def by_reference(relationship: str, position: Sequence[int]) -> Dataset:
    """Return a reference to another item of the tree, at ``position``, counted from 1 on each level (C.17.3.2.5)."""
    item = Dataset()
    item.RelationshipType = relationship
    item.ReferencedContentItemIdentifier = list(position)
    return item


def reference(source: Dataset) -> Dataset:
    """Return a reference to an instance (PS3.3 10.8)."""
    item = Dataset()
    item.ReferencedSOPClassUID = source.SOPClassUID
    item.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return item


def evidence(instances: Iterable[Dataset]) -> Dataset:
    """Return references to instances of one study, grouped by series (PS3.3 C.17.2, Table C.17-3)."""
    series: dict[str, list[Dataset]] = {}
    study_uid = ""
    for instance in instances:
        study_uid = instance.StudyInstanceUID
        series.setdefault(instance.SeriesInstanceUID, []).append(reference(instance))
    return study_references(study_uid, series)


def study_references(study_uid: str, series: Mapping[str, Sequence[Dataset]]) -> Dataset:
    """Return references to instances of a study, given by Series Instance UID (PS3.3 Table C.17-3)."""
    study = Dataset()
    study.StudyInstanceUID = study_uid
    study.ReferencedSeriesSequence = Items()
    for uid, references in series.items():
        item = Dataset()
        item.SeriesInstanceUID, item.ReferencedSOPSequence = uid, Items(references)
        study.ReferencedSeriesSequence.append(item)
    return study


def replaced(predecessor: Predecessor) -> Dataset:
    """Return the reference to a report that a new one replaces (PS3.3 C.17.2)."""
    instance = Dataset()
    instance.ReferencedSOPClassUID = predecessor.sop_class_uid
    instance.ReferencedSOPInstanceUID = predecessor.sop_instance_uid
    return study_references(predecessor.study_uid, {predecessor.series_uid: [instance]})


def _item(relationship: str, value_type: str, name: Code | None, content: Iterable[Dataset] = ()) -> Dataset:
    item = Dataset()
    if relationship:
        item.RelationshipType = relationship
    item.ValueType = value_type
    if name is not None:
        item.ConceptNameCodeSequence = code_items(name)
    children = list(content)
    if children:
        item.ContentSequence = Items(children)
    return item


def code_items(code: Code) -> Items:
    """Return a sequence of one code (PS3.3 Table 8.8-1)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return Items([item])


def walk(parent: Dataset) -> Iterator[Item]:
    """Yield all items below ``parent``, each before its own children."""
    for child in children(parent):
        yield child
        yield from walk(child.ds)


def children(parent: Dataset) -> list[Item]:
    """Return the items directly below ``parent``."""
    return [
        Item(name_of(child), str(child.get("ValueType", "")), child) for child in parent.get("ContentSequence") or ()
    ]


def name_of(item: Dataset) -> str:
    """Return the code value of an item's concept name, or an empty string."""
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].get("CodeValue", "")) if names else ""


def value_of(item: Dataset) -> Any:
    """Return the value of a CODE (its code value), NUM (float), TEXT or UIDREF."""
    if item.ValueType == "CODE":
        return str(item.ConceptCodeSequence[0].CodeValue)
    if item.ValueType == "NUM":
        return float(item.MeasuredValueSequence[0].NumericValue)
    return str(item.TextValue if item.ValueType == "TEXT" else item.UID)


def points_of(item: Dataset) -> NDArray[np.float64]:
    """Return the points of an SCOORD, float, shape (points, 2) = column, row."""
    return np.asarray(item.GraphicData, dtype=float).reshape(-1, 2)


def item_at(root: Dataset, position: Sequence[int]) -> Dataset | None:
    """Return the item at a Referenced Content Item Identifier, or None if there is none."""
    item = root
    for number_of_child in position[1:]:
        siblings = item.get("ContentSequence") or ()
        if not 1 <= number_of_child <= len(siblings):
            return None
        item = siblings[number_of_child - 1]
    return item
