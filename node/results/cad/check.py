"""Compares a CAD report that was read back with what was found: the part of the checks that knows TID 4000."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ftmtl.findings import ImageResult, StudyResult
from node.kinds import ObjectKind
from node.results.cad.impression import in_words, scores_of
from node.results.cad.library import detection_status, listed, stated_spacing
from node.results.cad.rendering import Rendering, intent_of_all, points_of, rendering
from node.results.cad.terms import MAPPED, UNCALIBRATED, detected, finding_code, is_mapped
from node.results.common import codes
from node.results.common.checks import CONTENT_TIME, absent_faults, document_faults, leaves, predecessor_faults
from node.results.common.content import ROUNDING, TOLERANCE, children, item_at, name_of, value_of, walk
from node.results.common.content import points_of as points_in
from node.results.common.lesions import Lesion, lesions_of
from node.results.common.outcome import image_status, outcome_code
from node.results.common.outline import outline
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
    result, kind = expected.result, expected.kind
    headers = {**expected.sources, **expected.missing}
    images = listed(result, headers)
    known = {image.sop_instance_uid: headers[image.sop_instance_uid] for image in images}
    yield from absent_faults(ds, CONTENT_TIME)
    yield from document_faults(ds, known)
    yield from predecessor_faults(ds, expected.predecessor)
    template = ds.get("ContentTemplateSequence")
    if name_of(ds) != codes.CAD_REPORT.value or not template or template[0].get("TemplateIdentifier") != "4000":
        yield "is not a Mammography CAD Report (TID 4000)"
        return
    yield from _library_faults(ds, known)
    yield from _region_faults(ds, known)
    yield from _summary_faults(ds, result, kind)
    yield from _detection_faults(ds, images, result, kind)
    groups = _findings(ds)
    lesions = lesions_of(result)
    due = {lesion.tracking_uid: lesion for image in images for lesion in lesions[image.sop_instance_uid]}
    if sorted(uid for uid, _ in groups) != sorted(due):
        yield "tracking UIDs are not those of the findings"
    for uid, group in groups:
        if uid in due:
            for fault in _finding_faults(ds, group, due[uid], kind):
                yield f"finding {due[uid].rank} of {due[uid].image.sop_instance_uid}: {fault}"
    if due:
        yield from _intent_faults(ds, list(due.values()))


def _library(ds: Dataset) -> list[Dataset]:
    """Return the images of the Image Library."""
    libraries = [item.ds for item in children(ds) if item.name == codes.IMAGE_LIBRARY.value]
    return [item.ds for library in libraries for item in children(library)]


def _library_faults(ds: Dataset, known: Mapping[str, Dataset]) -> Iterator[str]:
    """Compare the Image Library with the study, and find references to images that are not in it."""
    library = _library(ds)
    told = [(i.ReferencedSOPSequence[0].ReferencedSOPClassUID, _image_uid(i)) for i in library]
    if sorted(told) != sorted((header.SOPClassUID, uid) for uid, header in known.items()):
        yield "the Image Library does not list the study's mammograms"
    for image in library:
        spacing = stated_spacing(known[_image_uid(image)]) if _image_uid(image) in known else None
        for name, value in zip((codes.VERTICAL_SPACING, codes.HORIZONTAL_SPACING), spacing or (), strict=False):
            yield from _number_faults(image, name, 1000 * value)
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
        if leaves(points_in(item.ds), header):
            yield f"region outside the {header.Columns}x{header.Rows} image"


def _summary_faults(ds: Dataset, result: StudyResult, kind: ObjectKind) -> Iterator[str]:
    """Check the reported outcome, as a code and in words, and the scores of study and breasts."""
    due = outcome_code(result)
    told = _values(ds, codes.CAD_SUMMARY)
    if told != [due.value]:
        yield f"{codes.CAD_SUMMARY.meaning} is {told}, not {due.value}"
    for summary in (item.ds for item in children(ds) if item.name == codes.CAD_SUMMARY.value):
        words = _values(summary, codes.IMPRESSION_DESCRIPTION)
        if words != [in_words(result, kind)]:
            yield f"{codes.IMPRESSION_DESCRIPTION.meaning} is {words}, not {in_words(result, kind)!r}"
        scores = [item.ds for item in children(summary) if item.name == codes.CANCER_SCORE.value]
        sides = [next(iter(_values(score, codes.LATERALITY)), None) for score in scores]
        wanted = {side and codes.BREASTS[side].value: score for side, score in scores_of(result).items()}
        if sides != [*wanted]:
            yield f"{codes.CANCER_SCORE.meaning} is that of {sides}, not of {[*wanted]}"
        elif any(abs(value_of(item) - 100 * due) > ROUNDING for item, due in zip(scores, wanted.values(), strict=True)):
            yield f"{codes.CANCER_SCORE.meaning} of study or breast is not the largest of the findings"


def _number_faults(parent: Dataset, name: codes.Code, value: float) -> Iterator[str]:
    """Compare the only number of a name directly below ``parent``."""
    told = _values(parent, name)
    if len(told) != 1 or abs(float(told[0]) - value) > ROUNDING:
        yield f"{name.meaning} is {told}, not {value}"


def _detection_faults(
    ds: Dataset, images: Sequence[ImageResult], result: StudyResult, kind: ObjectKind
) -> Iterator[str]:
    """Check which detections were performed on which images, and their operating points."""
    of = {
        status: {i.sop_instance_uid for i in images if image_status(i) is status}
        for status in (codes.SUCCEEDED, codes.FAILED)
    }
    status = detection_status(bool(of[codes.SUCCEEDED]), bool(of[codes.FAILED]))
    if _values(ds, codes.SUMMARY_OF_DETECTIONS) != [status.value]:
        yield f"{codes.SUMMARY_OF_DETECTIONS.meaning} is not {status.meaning}"
    due = {(code.value, uid) for code in detected(result, kind) for uid in of[codes.SUCCEEDED]}
    failed = {(code.value, uid) for code in detected(result, kind) for uid in of[codes.FAILED]}
    measured = np.array(
        [(n, p.false_positives, 100 * p.sensitivity) for n, p in enumerate(points_of(result.model))]
    ).reshape(-1, 3)
    for name, pairs in ((codes.SUCCESSFUL_DETECTIONS, due), (codes.FAILED_DETECTIONS, failed)):
        performed = [child.ds for item in walk(ds) if item.name == name.value for child in children(item.ds)]
        if {(value_of(detection), uid) for detection in performed for uid in _referenced(ds, detection)} != pairs:
            yield f"{name.meaning} are not what the model looks for, on the images that it looked at"
        for detection in performed:
            if not _same(_table(detection), measured, ROUNDING):
                yield f"operating points of {value_of(detection)} are not the model's"


def _table(detection: Dataset) -> NDArray[np.float64]:
    """Return the operating points of a detection: number, false markers per image, sensitivity in per cent."""
    tables = [item.ds for item in children(detection) if item.name == codes.OPERATING_POINT_TABLE.value]
    points = [item.ds for table in tables for item in children(table) if item.name == codes.OPERATING_POINT.value]
    numbers = (codes.FALSE_MARKERS, codes.LESION_SENSITIVITY)
    return np.array(
        [[value_of(point), *(v for name in numbers for v in _values(point, name))] for point in points], dtype=float
    ).reshape(-1, 3)


def _values(parent: Dataset, name: codes.Code) -> list[str | float]:
    """Return the values of the items with this name directly below ``parent``."""
    return [value_of(item.ds) for item in children(parent) if item.name == name.value]


def _findings(ds: Dataset) -> list[tuple[str, Dataset]]:
    """Return every Single Image Finding with its tracking UID."""
    groups = [item.ds for item in walk(ds) if item.name == codes.SINGLE_IMAGE_FINDING.value]
    return [(str(next(iter(_values(group, codes.TRACKING_UID)), "")), group) for group in groups]


def _finding_faults(ds: Dataset, group: Dataset, lesion: Lesion, kind: ObjectKind) -> Iterator[str]:
    """Compare kind, rendering, numbers and place of one finding."""
    finding, image = lesion.finding, lesion.image
    code = finding_code(finding.type, kind).value
    if value_of(group) != code:
        yield f"is coded as {value_of(group)}, not as {code}"
    parameters = _values(group, codes.ALGORITHM_PARAMETERS)
    if UNCALIBRATED not in parameters:
        yield "does not say that its scores are not calibrated"
    if (MAPPED in parameters) is not is_mapped(finding.type, kind):
        yield "does not say truly whether it is coded as another kind of finding"
    if _rendering_of(group) != rendering(finding.cancer_score, lesion.model):
        yield f"{codes.RENDERING_INTENT.meaning} does not match its score"
    yield from _number_faults(group, codes.CERTAINTY_OF_FINDING, 100 * finding.lesion_score)
    yield from _number_faults(group, codes.CANCER_SCORE, 100 * finding.cancer_score)
    points, centre = outline(finding.mask)
    for name, place in ((codes.CENTER, np.array([centre])), (codes.OUTLINE, np.vstack([points, points[:1]]))):
        regions = [item.ds for item in children(group) if item.name == name.value]
        if len(regions) != 1 or _referenced(ds, regions[0]) != [image.sop_instance_uid]:
            yield f"{name.meaning} is not on its image"
        elif not _same(points_in(regions[0]), place):
            yield f"{name.meaning} is not that of its mask"


def _rendering_of(group: Dataset) -> Rendering | None:
    """Return how a finding is to be shown."""
    intents = [item.ds for item in children(group) if item.name == codes.RENDERING_INTENT.value]
    points = [point for intent in intents for point in _values(intent, codes.OPERATING_POINT)]
    known = (codes.PRESENTATION_REQUIRED, codes.PRESENTATION_OPTIONAL, codes.NOT_FOR_PRESENTATION)
    intent = next((code for code in known if [code.value] == [value_of(item) for item in intents]), None)
    return Rendering(intent, int(points[0]) if points else None) if intent and len(points) < 2 else None


def _intent_faults(ds: Dataset, lesions: Sequence[Lesion]) -> Iterator[str]:
    """Check that the group of all findings is to be shown if one of them is (PS3.4 O.2.1.1)."""
    due = intent_of_all(rendering(lesion.finding.cancer_score, lesion.model) for lesion in lesions)
    told = [
        v
        for item in walk(ds)
        if item.name == codes.INDIVIDUAL_IMPRESSION.value
        for v in _values(item.ds, codes.RENDERING_INTENT)
    ]
    if told != [due.value]:
        yield f"{codes.RENDERING_INTENT.meaning} of the findings is {told}, not {due.value}"


def _same(told: NDArray[np.float64], due: NDArray[np.float64], tolerance: float = TOLERANCE) -> bool:
    return told.shape == due.shape and bool(np.allclose(told, due, rtol=0, atol=tolerance))
