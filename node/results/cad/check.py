"""Compares a CAD report that was read back with what was found: the part of the checks that knows TID 4000."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from pydicom.dataset import Dataset

from ftmtl.findings import Finding, ImageResult
from node.results.cad.build import rendering_intent
from node.results.common import codes
from node.results.common.checks import CONTENT_TIME, absent_faults, document_faults
from node.results.common.content import ROUNDING, TOLERANCE, children, item_at, name_of, points_of, value_of, walk
from node.results.common.naming import tracking_uid
from node.results.common.outline import outline
from node.results.common.stamp import RESEARCH_NOTICE
from node.results.study import Expected


def faults(ds: Dataset, expected: Expected) -> Iterator[str]:
    """Yield the differences between a CAD report and the result, one sentence per fault.

    Parameters
    ----------
    ds
        A Mammography CAD SR (PS3.16 TID 4000).
    expected
        What was found, on which images, and which images were not analysed.
    """
    result, sources, missing = expected.result, expected.sources, expected.missing
    yield from absent_faults(ds, CONTENT_TIME)
    yield from document_faults(ds, {**sources, **missing})
    template = ds.get("ContentTemplateSequence")
    if name_of(ds) != codes.CAD_REPORT.value or not template or template[0].get("TemplateIdentifier") != "4000":
        yield "is not a Mammography CAD Report (TID 4000)"
        return
    yield from _library_faults(ds, {**sources, **missing})
    yield from _region_faults(ds, {**sources, **missing})
    analysed = [image for image in result.images if image.sop_instance_uid in sources]
    yield from _summary_faults(ds, analysed, len(result.images))
    for name, images in ((codes.SUCCESSFUL_DETECTIONS, sources), (codes.FAILED_DETECTIONS, missing)):
        if _detected_on(ds, name) != images.keys():
            yield f"{name.meaning} do not refer to the images that they were made on"
    groups = _findings(ds)
    due = {
        tracking_uid(image.sop_instance_uid, result.model, n): (image, n, finding)
        for image in analysed
        for n, finding in enumerate(image.findings, start=1)
    }
    if sorted(uid for uid, _ in groups) != sorted(due):
        yield "tracking UIDs are not those of the findings"
    for uid, group in groups:
        if uid in due:
            image, n, finding = due[uid]
            for fault in _finding_faults(ds, group, image, finding):
                yield f"finding {n} of {image.sop_instance_uid}: {fault}"


def _library(ds: Dataset) -> list[Dataset]:
    """Return the images of the Image Library."""
    libraries = [item.ds for item in children(ds) if item.name == codes.IMAGE_LIBRARY.value]
    return [item.ds for library in libraries for item in children(library)]


def _library_faults(ds: Dataset, known: Mapping[str, Dataset]) -> Iterator[str]:
    """Compare the Image Library with the study, and find references to images that are not in it."""
    library = _library(ds)
    told = [(i.ReferencedSOPSequence[0].ReferencedSOPClassUID, _image_uid(i)) for i in library]
    if sorted(told) != sorted((header.SOPClassUID, uid) for uid, header in known.items()):
        yield "the Image Library does not list the study's images"
    for item in walk(ds):
        position = item.ds.get("ReferencedContentItemIdentifier")
        if position is not None and not any(item_at(ds, position) is image for image in library):
            yield f"reference to item {'.'.join(map(str, position))}, which is not an image in the library"


def _image_uid(image: Dataset) -> str:
    return str(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


def _referenced(ds: Dataset, parent: Dataset) -> list[str]:
    """Return the images that the by-reference items below an item refer to."""
    positions = [child.ds.get("ReferencedContentItemIdentifier") for child in children(parent)]
    images = [item_at(ds, position) for position in positions if position is not None]
    return [_image_uid(image) for image in images if image is not None]


def _region_faults(ds: Dataset, known: Mapping[str, Dataset]) -> Iterator[str]:
    """Find coordinates outside their image (PS3.3 C.18.6)."""
    for item in walk(ds):
        if item.type != "SCOORD":
            continue
        images = _referenced(ds, item.ds)
        header = known.get(images[0]) if len(images) == 1 else None
        if header is None:
            yield "region without a source image"
            continue
        points = points_of(item.ds)
        if points.min() < 0 or (points > (header.Columns + TOLERANCE, header.Rows + TOLERANCE)).any():
            yield f"region outside the {header.Columns}x{header.Rows} image"


def _summary_faults(ds: Dataset, analysed: list[ImageResult], images: int) -> Iterator[str]:
    """Check the reported outcome, and that the research notice is present."""
    found = any(image.findings for image in analysed)
    due = {
        (True, True): codes.ALL_SUCCEEDED_WITH_FINDINGS,
        (True, False): codes.ALL_SUCCEEDED_WITHOUT_FINDINGS,
        (False, True): codes.NOT_ALL_SUCCEEDED_WITH_FINDINGS,
        (False, False): codes.NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS if analysed else codes.NONE_SUCCEEDED,
    }[len(analysed) == images, found]
    told = _values(ds, codes.CAD_SUMMARY)
    if told != [due.value]:
        yield f"{codes.CAD_SUMMARY.meaning} is {told}, not {due.value}"
    summaries = [item.ds for item in children(ds) if item.name == codes.CAD_SUMMARY.value]
    words = [text for summary in summaries for text in _values(summary, codes.IMPRESSION_DESCRIPTION)]
    if not any(RESEARCH_NOTICE in str(text) for text in words):
        yield "does not say that it is for research only"


def _values(parent: Dataset, name: codes.Code) -> list[str | float]:
    """Return the values of the items with this name directly below ``parent``."""
    return [value_of(item.ds) for item in children(parent) if item.name == name.value]


def _detected_on(ds: Dataset, name: codes.Code) -> set[str]:
    """Return the images on which the detections in a container were performed."""
    containers = [item.ds for item in walk(ds) if item.name == name.value]
    return {uid for c in containers for detection in children(c) for uid in _referenced(ds, detection.ds)}


def _findings(ds: Dataset) -> list[tuple[str, Dataset]]:
    """Return every Single Image Finding with its tracking UID."""
    groups = [item.ds for item in walk(ds) if item.name == codes.SINGLE_IMAGE_FINDING.value]
    return [(str(next(iter(_values(group, codes.TRACKING_UID)), "")), group) for group in groups]


def _finding_faults(ds: Dataset, group: Dataset, image: ImageResult, finding: Finding) -> Iterator[str]:
    """Compare kind, numbers and place of one finding."""
    if value_of(group) != codes.CAD_FINDING_TYPES[finding.type].value:
        yield f"kind is {value_of(group)}, not that of a {finding.type}"
    if _values(group, codes.RENDERING_INTENT) != [rendering_intent(finding.lesion_score).value]:
        yield f"{codes.RENDERING_INTENT.meaning} does not match its probability"
    for name, value in (
        (codes.CERTAINTY_OF_FINDING, 100 * finding.lesion_score),
        (codes.PROBABILITY_OF_CANCER, 100 * finding.cancer_score),
    ):
        told = _values(group, name)
        if len(told) != 1 or abs(float(told[0]) - value) > ROUNDING:
            yield f"{name.meaning} is {told}, not {value}"
    points, centre = outline(finding.mask)
    for name, place in ((codes.CENTER, np.array([centre])), (codes.OUTLINE, np.vstack([points, points[:1]]))):
        regions = [item.ds for item in children(group) if item.name == name.value]
        if len(regions) != 1 or _referenced(ds, regions[0]) != [image.sop_instance_uid]:
            yield f"{name.meaning} is not on its image"
        elif not _same(points_of(regions[0]), place):
            yield f"{name.meaning} is not that of its mask"


def _same(told: np.ndarray, due: np.ndarray) -> bool:
    return told.shape == due.shape and bool(np.allclose(told, due, rtol=0, atol=TOLERANCE))
