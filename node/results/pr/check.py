"""Compares a presentation state that was read back with what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydicom.dataset import Dataset

from ftmtl.findings import ImageResult, StudyResult
from node.results.common import display
from node.results.common.checks import absent_faults, leaves
from node.results.common.content import TOLERANCE
from node.results.common.lesions import Lesion, lesions_of
from node.results.common.outline import line
from node.results.common.stamp import NOTICE
from node.results.study import Expected

PRESENTATION_TIME = ("PresentationCreationDate", "PresentationCreationTime")
"""When a presentation state was created (PS3.3 C.11.10)."""


def faults(ds: Dataset, expected: Expected) -> Iterator[str]:
    """Find the image of a presentation state, and yield the differences from its findings, one sentence per fault."""
    result, sources = expected.result, expected.sources
    yield from absent_faults(ds, PRESENTATION_TIME)
    uids = [str(item.ReferencedSOPInstanceUID) for item in referenced_images(ds)]
    image = next((i for i in result.images if [i.sop_instance_uid] == uids), None)
    if image is None or image.sop_instance_uid not in sources:
        yield f"references {', '.join(uids) or 'no image'}, not one analysed source"
        return
    yield from presentation_faults(ds, image, sources[image.sop_instance_uid], result)


def presentation_faults(ds: Dataset, image: ImageResult, source: Dataset, result: StudyResult) -> Iterator[str]:
    """Yield the differences between a presentation state and the findings and source, one sentence per fault.

    Parameters
    ----------
    ds
        A presentation state as it was read from its file.
    image
        What was found on its image.
    source
        Normalised header of that image.
    result
        What was found on all images, by which model.
    """
    yield from _source_faults(ds, source)
    yield from _display_faults(ds, source, image.window)
    annotations = list(ds.get("GraphicAnnotationSequence") or ())
    layers = {layer.GraphicLayer for layer in ds.get("GraphicLayerSequence") or ()}
    for annotation in annotations:
        if annotation.GraphicLayer not in layers:
            yield f"graphic layer {annotation.GraphicLayer} does not exist"
    lines = [item for a in annotations for item in a.get("GraphicObjectSequence") or ()]
    texts = [item for a in annotations for item in a.get("TextObjectSequence") or ()]
    lesions = lesions_of(result)[image.sop_instance_uid]
    yield from _outline_faults(lines, lesions, source)
    yield from _label_faults(texts, lesions, source)
    corner = [text for text in texts if text.get("BoundingBoxAnnotationUnits") == "DISPLAY"]
    if not any(NOTICE in text.UnformattedTextValue for text in corner):
        yield "the research notice is missing"


def referenced_images(ds: Dataset) -> Iterator[Dataset]:
    """Yield the references of the Presentation State Relationship Module (PS3.3 C.11.11)."""
    for series in ds.get("ReferencedSeriesSequence") or ():
        yield from series.get("ReferencedImageSequence") or ()


def _source_faults(ds: Dataset, source: Dataset) -> Iterator[str]:
    due = [(source.SOPClassUID, source.SOPInstanceUID)]
    series = [item.SeriesInstanceUID for item in ds.get("ReferencedSeriesSequence") or ()]
    references = [list(referenced_images(ds))]
    references += [a.get("ReferencedImageSequence") or [] for a in ds.get("GraphicAnnotationSequence") or ()]
    for items in references:
        if [(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in items] != due:
            yield f"does not reference only {source.SOPInstanceUID}"
    if series != [source.SeriesInstanceUID]:
        yield "does not reference the source's series"


def _display_faults(ds: Dataset, source: Dataset, window: tuple[float, float] | None) -> Iterator[str]:
    """Compare every transformation with what the model saw; an absent one means identity (PS3.4 N.2)."""
    due = display.transformations(source, window)
    told = (
        "ModalityLUTSequence",
        "SoftcopyVOILUTSequence",
        "PresentationLUTSequence",
        "ImageRotation",
        *display.SHUTTER,
    )
    for keyword in sorted({*told, *(element.keyword for element in due)}):
        if ds.get(keyword) != due.get(keyword):
            yield f"{keyword} would change how the image looks"


def _outline_faults(lines: Sequence[Dataset], lesions: Sequence[Lesion], source: Dataset) -> Iterator[str]:
    if len(lines) != len(lesions):
        yield f"{len(lines)} outlines for {len(lesions)} findings"
        return
    for n, (item, lesion) in enumerate(zip(lines, lesions, strict=True), start=1):
        points = np.asarray(item.GraphicData, dtype=float).reshape(-1, 2)
        if (item.GraphicType, item.GraphicAnnotationUnits) != ("POLYLINE", "PIXEL"):
            yield f"outline {n} is not a POLYLINE in units of PIXEL"
        if item.NumberOfGraphicPoints != len(points):
            yield f"outline {n} has {len(points)} points, not {item.NumberOfGraphicPoints}"
        if leaves(points, source):
            yield f"outline {n} extends beyond the {source.Columns}x{source.Rows} image"
        due = line(lesion.finding.mask)
        if points.shape != due.shape or not np.allclose(points, due, rtol=0, atol=TOLERANCE):
            yield f"outline {n} is not that of the mask of finding {n}"
        if item.get("TrackingUID") != lesion.tracking_uid:
            yield f"outline {n} has another finding's tracking UID"


def _label_faults(texts: Sequence[Dataset], lesions: Sequence[Lesion], source: Dataset) -> Iterator[str]:
    by_uid: dict[str, list[Dataset]] = {}
    for text in texts:
        if text.get("TrackingUID"):
            by_uid.setdefault(text.TrackingUID, []).append(text)
        if text.get("BoundingBoxAnnotationUnits") == "PIXEL":
            corners = [text.BoundingBoxTopLeftHandCorner, text.BoundingBoxBottomRightHandCorner]
            if leaves(np.asarray(corners, dtype=float), source):
                yield f"label {text.UnformattedTextValue!r} extends beyond the image"
    for lesion in lesions:
        said = [text.UnformattedTextValue for text in by_uid.get(lesion.tracking_uid, [])]
        scores = (100 * lesion.finding.lesion_score, 100 * lesion.finding.cancer_score)
        due = "{}: lesion {:.0f}, cancer {:.0f}".format(lesion.number, *scores)
        if said != [due]:
            yield f"label of finding {lesion.rank} is {said}, not {due!r}"
