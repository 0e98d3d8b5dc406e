"""What is looked up in the objects to be said in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pydicom.dataset import Dataset

from node.results.common import codes
from node.results.common.content import Item, children, value_of, walk
from reading.trees import meaning


class Marked(NamedTuple):
    """A finding of a CAD report: its tracking identifier, the intent, and from which operating point it is shown."""

    name: str
    intent: str
    point: int

    @property
    def number(self) -> str:
        """Its number in the study: the last word of its name."""
        return self.name.split()[-1]


class Point(NamedTuple):
    """An operating point as a CAD report describes it."""

    number: int
    description: str
    false_markers: float
    sensitivity: float


def items(ds: Dataset, concept: codes.Code) -> list[Item]:
    """Return all items of a report with a concept name, in the order of the file."""
    return [item for item in walk(ds) if item.name == concept.value]


def outcome(*reports: Dataset) -> str:
    """Return how the analysis ended, which all reports have to say alike.

    Raises
    ------
    ValueError
        If they don't.
    """
    said = {meaning(_evaluation(report), "ConceptCodeSequence") for report in reports}
    if len(said) != 1:
        raise ValueError(f"the reports differ: {sorted(said)}")
    return said.pop()


def words(report: Dataset) -> list[str]:
    """Return the lines of a report's impression."""
    return str(value_of(items(report, codes.IMPRESSION_DESCRIPTION)[0].ds)).splitlines()


def statuses(report: Dataset) -> list[str]:
    """Return what a measurement report says of the detections on each image (CID 6042)."""
    (evaluations,) = items(report, codes.QUALITATIVE_EVALUATIONS)
    return [meaning(item.ds, "ConceptCodeSequence") for item in items(evaluations.ds, codes.SUMMARY_OF_DETECTIONS)]


def marked(cad: Dataset) -> list[Marked]:
    """Return the findings of a CAD report."""
    return [_marked(item.ds) for item in items(cad, codes.SINGLE_IMAGE_FINDING)]


def operating_points(cad: Dataset) -> Iterator[Point]:
    """Yield the operating points of a CAD report's first detection."""
    table = items(cad, codes.OPERATING_POINT_TABLE)[0]
    for item in items(table.ds, codes.OPERATING_POINT):
        told = {child.name: value_of(child.ds) for child in children(item.ds)}
        yield Point(
            int(value_of(item.ds)),
            told[codes.OPERATING_POINT_DESCRIPTION.value],
            told[codes.FALSE_MARKERS.value],
            told[codes.LESION_SENSITIVITY.value],
        )


def qualification(results: Sequence[Dataset]) -> str:
    """Return the Content Qualification that all results have."""
    (said,) = {str(ds.ContentQualification) for ds in results}
    return said


def tracked(report: Dataset) -> dict[str, str]:
    """Return the tracking identifiers of a report, by tracking UID."""
    found = {}
    for item in walk(report):
        told = {child.name: child.ds for child in children(item.ds)}
        if codes.TRACKING_UID.value in told:
            found[str(told[codes.TRACKING_UID.value].UID)] = str(value_of(told[codes.TRACKING_IDENTIFIER.value]))
    return found


def tracking_uids(state: Dataset) -> list[str]:
    """Return the tracking UIDs of the lines of a presentation state."""
    return [str(line.TrackingUID) for a in state.GraphicAnnotationSequence for line in a.GraphicObjectSequence]


def labels(state: Dataset) -> list[str]:
    """Return the texts of a presentation state."""
    return [str(t.UnformattedTextValue) for a in state.GraphicAnnotationSequence for t in a.TextObjectSequence]


def shown_image(state: Dataset) -> str:
    """Return the SOP Instance UID of the image that a presentation state is for."""
    return str(state.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID)


def _evaluation(report: Dataset) -> Dataset:
    """Return the code that sums up a report: at the top of a CAD report, in the evaluations of the other one."""
    top = [item.ds for item in children(report) if item.name == codes.CAD_SUMMARY.value]
    if top:
        return top[0]
    (evaluations,) = items(report, codes.QUALITATIVE_EVALUATIONS)
    return next(item.ds for item in children(evaluations.ds) if item.name == codes.CAD_SUMMARY.value)


def _marked(finding: Dataset) -> Marked:
    told = {child.name: child.ds for child in children(finding)}
    intent = told[codes.RENDERING_INTENT.value]
    points = [int(value_of(item.ds)) for item in children(intent)]
    name = str(value_of(told[codes.TRACKING_IDENTIFIER.value]))
    return Marked(name, meaning(intent, "ConceptCodeSequence").split(":")[0], points[0] if points else 0)
