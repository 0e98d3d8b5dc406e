"""Compares a measurement report that was read back with what happened: the part of the checks that knows TID 1500."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ftmtl.findings import Finding, ImageResult, ModelIdentity, StudyResult
from node.domain import Predecessor
from node.results.common import codes
from node.results.common.checks import CONTENT_TIME, absent_faults, document_faults, predecessor_faults
from node.results.common.content import ROUNDING, TOLERANCE, Item, children, name_of, points_of, value_of, walk
from node.results.common.naming import device_uid, tracking_uid
from node.results.common.outcome import outcome_code
from node.results.common.stamp import algorithm_parameters
from node.results.sr.measurement_report import comment, impression, is_commented, spacing_note
from node.results.study import Expected

IMAGING_MEASUREMENTS, TRACKING_UID, FINDING = "126010", "112040", "121071"
SEGMENTATION_FRAME, SEGMENTED_IMAGE = "121214", "121233"
DEVICE_OBSERVER_UID, PROCEDURE_REPORTED = "121012", "121058"
"""Concept names (DCM): the container of the groups; a group's tracking UID and kind of lesion; its segment, and the
image that the segment was drawn on; the document's observer, and the procedure that it reports on."""


def faults(ds: Dataset, expected: Expected) -> Iterator[str]:
    """Yield the differences between a report and the result, one sentence per fault.

    Parameters
    ----------
    ds
        A Comprehensive 3D SR or Comprehensive SR (PS3.16 TID 1500).
    expected
        What was found, and on which images; why others were not analysed; the segmentations that the report refers
        to, and the report that it replaces.
    """
    result, sources, missing = expected.result, expected.sources, expected.missing
    segmentations, predecessor = expected.segmentations, expected.predecessor
    masks = {seg.SOPInstanceUID: seg for seg in segmentations.values()}
    yield from absent_faults(ds, CONTENT_TIME)
    yield from document_faults(ds, {**sources, **missing, **masks})
    template = ds.get("ContentTemplateSequence")
    if name_of(ds) != codes.REPORT.value or not template or template[0].get("TemplateIdentifier") != "1500":
        yield "is not an Imaging Measurement Report (TID 1500)"
        return
    yield from _document_faults(ds, result.model, bool(sources), predecessor)
    yield from _evaluation_faults(ds, result, sources, missing)
    known = {**sources, **missing, **{seg.SOPInstanceUID: seg for seg in segmentations.values()}}
    for item in walk(ds):
        if item.type == "IMAGE":
            yield from _reference_faults(item.ds.ReferencedSOPSequence[0], known)
        elif item.type == "SCOORD":
            yield from _region_faults(item.ds, sources)
    yield from _measurement_faults(ds, result, sources, segmentations, missing)


def _document_faults(
    ds: Dataset, model: ModelIdentity, analysed: bool, predecessor: Predecessor | None
) -> Iterator[str]:
    """Check the observer, the procedure and the predecessor (TID 1004, TID 1500, PS3.3 C.17.2)."""
    for name, due in ((DEVICE_OBSERVER_UID, device_uid(model)), (PROCEDURE_REPORTED, codes.PROCEDURE.value)):
        told = [value_of(item.ds) for item in children(ds) if item.name == name]
        if told != [due]:
            yield f"{'observer' if name == DEVICE_OBSERVER_UID else 'procedure'} is {told}, not {due}"
    performed = [item.CodeValue for item in ds.get("PerformedProcedureCodeSequence") or ()]
    if performed != [codes.MAMMOGRAPHY.value] * analysed:
        yield f"performed procedure is {performed}"
    yield from predecessor_faults(ds, predecessor)


def _evaluation_faults(
    ds: Dataset, result: StudyResult, sources: Mapping[str, Dataset], missing: Mapping[str, Dataset]
) -> Iterator[str]:
    """Check the reported outcome, of the study and of each image without findings."""
    containers = [item.ds for item in children(ds) if item.name == codes.QUALITATIVE_EVALUATIONS.value]
    items = [item for container in containers for item in children(container)]
    analysed = [image for image in result.images if image.sop_instance_uid in sources]
    for name, value in (
        (codes.CAD_SUMMARY, outcome_code(result).value),
        (codes.IMPRESSION_DESCRIPTION, impression(analysed, result)),
    ):
        told = [value_of(item.ds) for item in items if item.name == name.value]
        if told != [value]:
            yield f"{name.meaning} is {told}, not {value!r}"
    comments = Counter((str(value_of(i.ds)), *_referenced(i.ds)) for i in items if i.name == codes.COMMENT.value)
    due = Counter(
        (comment(image, uid in sources), *([uid] if uid in sources or uid in missing else []))
        for image in result.images
        if is_commented(image, (uid := image.sop_instance_uid) in sources)
    )
    for words, *_ in sorted((due - comments).keys()):
        yield f"does not report about an image: {words}"
    for words, *_ in sorted((comments - due).keys()):
        yield f"reports something about an image that did not happen: {words}"


def _referenced(item: Dataset) -> list[str]:
    """Return the instances that the items below an item refer to."""
    images = [below.ds for below in walk(item) if below.type == "IMAGE"]
    return [str(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for image in images]


def _reference_faults(reference: Dataset, known: Mapping[str, Dataset]) -> Iterator[str]:
    target = known.get(reference.ReferencedSOPInstanceUID)
    if target is None:
        yield f"reference to {reference.ReferencedSOPInstanceUID}, which does not exist"
        return
    if reference.ReferencedSOPClassUID != target.SOPClassUID:
        yield f"reference to {reference.ReferencedSOPInstanceUID} under another SOP Class"
    segment = reference.get("ReferencedSegmentNumber")
    if segment is not None and segment not in [item.SegmentNumber for item in target.get("SegmentSequence") or ()]:
        yield f"reference to segment {segment} of {reference.ReferencedSOPInstanceUID}, which has no such segment"


def _region_faults(region: Dataset, sources: Mapping[str, Dataset]) -> Iterator[str]:
    """Find coordinates outside their image (PS3.3 C.18.6)."""
    source = sources.get(next(iter(_referenced(region)), ""))
    if source is None:
        yield "region without a source image"
        return
    points = points_of(region)
    if points.min() < 0 or (points > (source.Columns + TOLERANCE, source.Rows + TOLERANCE)).any():
        yield f"region outside the {source.Columns}x{source.Rows} image"


def _measurement_faults(
    ds: Dataset,
    result: StudyResult,
    sources: Mapping[str, Dataset],
    segmentations: Mapping[str, Dataset],
    missing: Mapping[str, Dataset],
) -> Iterator[str]:
    """Compare the groups with the findings: two per lesion, or one per image if there are no lesions."""
    by_uid: dict[str, list[Dataset]] = {}
    for group in _measurement_groups(ds):
        uids = [str(item.ds.UID) for item in children(group) if item.name == TRACKING_UID]
        by_uid.setdefault(uids[0] if uids else "", []).append(group)
        yield from _algorithm_faults(group, result.model)
    lesions = [
        (image, n, finding)
        for image in result.images
        if image.sop_instance_uid in sources
        for n, finding in enumerate(image.findings, start=1)
    ]
    known = sources.keys() | missing.keys()
    images = [image for image in result.images if not lesions and image.sop_instance_uid in known]
    due = {tracking_uid(image.sop_instance_uid, result.model, n): 2 for image, n, _ in lesions}
    due |= {tracking_uid(image.sop_instance_uid, result.model, 0): 1 for image in images}
    if {uid: len(groups) for uid, groups in by_uid.items()} != due:
        yield "tracking UIDs of the groups are not those of the findings"
    for image, n, finding in lesions:
        groups = by_uid.get(tracking_uid(image.sop_instance_uid, result.model, n), [])
        seg = segmentations.get(image.sop_instance_uid)
        for fault in _lesion_faults([item for group in groups for item in children(group)], image, finding, seg, n):
            yield f"finding {n} of {image.sop_instance_uid}: {fault}"
    for image in images:
        groups = by_uid.get(tracking_uid(image.sop_instance_uid, result.model, 0), [])
        for fault in _image_faults(groups, image, image.sop_instance_uid in sources):
            yield f"group of {image.sop_instance_uid}: {fault}"


def _measurement_groups(ds: Dataset) -> Iterator[Dataset]:
    for item in children(ds):
        if item.type == "CONTAINER" and item.name == IMAGING_MEASUREMENTS:
            yield from item.ds.get("ContentSequence") or ()


def _values(items: list[Item], name: str) -> list[str | float]:
    """Return the values of the items with this name."""
    return [value_of(item.ds) for item in items if item.name == name]


def _algorithm_faults(group: Dataset, model: ModelIdentity) -> Iterator[str]:
    """Compare the algorithm that a group names (TID 4019) with the model."""
    items = children(group)
    for name, value in ((codes.ALGORITHM_NAME, model.name), (codes.ALGORITHM_VERSION, model.version)):
        if _values(items, name.value) != [value]:
            yield f"{name.meaning} of a group is not {value}"
    if algorithm_parameters(model) not in _values(items, codes.ALGORITHM_PARAMETERS.value):
        yield f"{codes.ALGORITHM_PARAMETERS.meaning} of a group are not the model's"


def _lesion_faults(
    items: list[Item], image: ImageResult, finding: Finding, seg: Dataset | None, n: int
) -> Iterator[str]:
    """Compare kind, box, segment and numbers of a lesion with the groups of its tracking UID."""
    kinds = _values(items, FINDING)
    if kinds != [codes.FINDING_TYPES[finding.type].value] * 2:
        yield f"kind is {kinds}, not that of a {finding.type}"
    regions = [item.ds for item in items if item.type == "SCOORD"]
    if len(regions) != 1 or not _is_box(points_of(regions[0]), finding):
        yield "the region is not its box"
    if [uid for region in regions for uid in _referenced(region)] != [image.sop_instance_uid]:
        yield "the region is not on its image"
    frames = [item.ds.ReferencedSOPSequence[0] for item in items if item.name == SEGMENTATION_FRAME]
    told = [(item.ReferencedSOPInstanceUID, item.get("ReferencedSegmentNumber")) for item in frames]
    if seg is None or told != [(seg.SOPInstanceUID, n)]:
        yield "the referenced segment is not its mask"
    origins = [item.ds.ReferencedSOPSequence[0] for item in items if item.name == SEGMENTED_IMAGE]
    if [item.ReferencedSOPInstanceUID for item in origins] != [image.sop_instance_uid]:
        yield "the segment's source image is not its image"
    if spacing_note(image) not in _values(items, codes.ALGORITHM_PARAMETERS.value):
        yield "does not say which pixel spacing its sizes are based on"
    side = codes.MALIGNANT if finding.malignancy_score >= 0.5 else codes.BENIGN
    if _values(items, codes.MALIGNANCY_CLASS.value) != [side.value]:
        yield f"{codes.MALIGNANCY_CLASS.meaning} is not {side.meaning}"
    due = {
        codes.PROBABILITY_OF_CANCER: 100 * finding.cancer_score,
        codes.CERTAINTY_OF_FINDING: 100 * finding.lesion_score,
        codes.AREA: finding.area_mm2,
        codes.LONG_AXIS: finding.long_axis_mm,
    }
    for name, value in due.items():
        values = [float(number) for number in _values(items, name.value)]
        if len(values) != (value is not None) or (value is not None and abs(values[0] - value) > ROUNDING):
            yield f"{name.meaning} is {values}, not {value}"


def _is_box(points: NDArray[np.float64], finding: Finding) -> bool:
    x0, y0, x1, y1 = finding.box
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    return points.shape == (5, 2) and bool(np.allclose(points, corners, rtol=0, atol=TOLERANCE))


def _image_faults(groups: list[Dataset], image: ImageResult, analysed: bool) -> Iterator[str]:
    """Compare the group of an image on which nothing was found, or that was not analysed."""
    items = [item for group in groups for item in children(group)]
    summary = codes.ALL_SUCCEEDED_WITHOUT_FINDINGS if analysed else codes.NONE_SUCCEEDED
    due: tuple[tuple[codes.Code, list[str | float]], ...] = (
        (codes.CAD_SUMMARY, [summary.value]),
        (codes.PROBABILITY_OF_CANCER, [0.0] if analysed else []),
        (codes.COMMENT, [] if analysed else [comment(image, analysed)]),
    )
    for name, values in due:
        told = _values(items, name.value)
        if told != values:
            yield f"{name.meaning} is {told}, not {values}"
    if [uid for group in groups for uid in _referenced(group)] != [image.sop_instance_uid]:
        yield "does not refer to its image"
