"""Compares a measurement report that was read back with what happened: the part of the checks that knows TID 1500."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from pydicom.dataset import Dataset

from ftmtl.findings import ImageResult, ModelIdentity, StudyResult
from node.results.common import codes
from node.results.common.checks import CONTENT_TIME, absent_faults, document_faults, leaves, predecessor_faults
from node.results.common.content import ROUNDING, TOLERANCE, Item, children, name_of, points_of, walk
from node.results.common.lesions import Lesion, lesions_of
from node.results.common.naming import device_uid, tracking_uid
from node.results.common.outcome import image_status, referable
from node.results.common.outline import line
from node.results.common.stamp import algorithm_parameters
from node.results.sr.check_study import evaluation_faults, library_faults, score_faults
from node.results.sr.evaluations import comment, image_summary
from node.results.sr.measurement_report import about, procedure, spacing_note
from node.results.sr.reading import by_tracking_uid, referenced, values
from node.results.study import Expected


def faults(ds: Dataset, expected: Expected) -> Iterator[str]:
    """Yield the differences between a report and the result, one sentence per fault.

    Parameters
    ----------
    ds
        A Comprehensive 3D SR or Comprehensive SR (PS3.16 TID 1500).
    expected
        What was found, and on which images; why others were not analysed; the segmentations that the report refers
        to, the report that it replaces, and whether it is about one image only.
    """
    result = about(expected.result, expected.only)
    headers = referable(result, {**expected.sources, **expected.missing})
    known = headers | {seg.SOPInstanceUID: seg for seg in expected.segmentations.values()}
    yield from absent_faults(ds, CONTENT_TIME)
    yield from document_faults(ds, known)
    template = ds.get("ContentTemplateSequence")
    if name_of(ds) != codes.REPORT.value or not template or template[0].get("TemplateIdentifier") != "1500":
        yield "is not an Imaging Measurement Report (TID 1500)"
        return
    yield from _document_faults(ds, result, headers, bool(expected.sources))
    yield from predecessor_faults(ds, expected.predecessor)
    yield from library_faults(ds, result, headers)
    yield from evaluation_faults(ds, result, headers)
    yield from score_faults(ds, result, whole=not expected.only)
    for item in walk(ds):
        if item.type == "IMAGE":
            yield from _reference_faults(item.ds.ReferencedSOPSequence[0], headers)
        elif item.type == "SCOORD":
            yield from _region_faults(item.ds, expected.sources)
    yield from _measurement_faults(ds, expected, result, headers)


def _document_faults(ds: Dataset, result: StudyResult, headers: Mapping[str, Dataset], analysed: bool) -> Iterator[str]:
    """Check the observer and the procedure (TID 1004, TID 1500, PS3.3 C.17.2)."""
    model = result.model
    named = [image.sop_instance_uid for image in result.hung if image.sop_instance_uid in headers]
    for name, due in (
        (codes.DEVICE_OBSERVER_UID, device_uid(model)),
        (codes.DEVICE_OBSERVER_NAME, f"{model.name} {model.version}"),
        (codes.PROCEDURE_REPORTED, procedure([headers[uid] for uid in named]).value),
    ):
        told = values(children(ds), name)
        if told != [due]:
            yield f"{name.meaning} is {told}, not {due}"
    performed = [item.CodeValue for item in ds.get("PerformedProcedureCodeSequence") or ()]
    if performed != [codes.MAMMOGRAPHY.value] * analysed:
        yield f"performed procedure is {performed}"


def _reference_faults(reference: Dataset, known: Mapping[str, Dataset]) -> Iterator[str]:
    target = known.get(reference.ReferencedSOPInstanceUID)
    if target is None:
        yield f"reference to {reference.ReferencedSOPInstanceUID}, which is no image of the report"
    elif reference.ReferencedSOPClassUID != target.SOPClassUID:
        yield f"reference to {reference.ReferencedSOPInstanceUID} under another SOP Class"


def _region_faults(region: Dataset, sources: Mapping[str, Dataset]) -> Iterator[str]:
    """Find coordinates outside their image (PS3.3 C.18.6)."""
    source = sources.get(next(iter(referenced(region)), ""))
    if source is None:
        yield "region without a source image"
        return
    if leaves(points_of(region), source):
        yield f"region outside the {source.Columns}x{source.Rows} image"


def _measurement_faults(
    ds: Dataset, expected: Expected, result: StudyResult, headers: Mapping[str, Dataset]
) -> Iterator[str]:
    """Compare the groups with the findings: one per lesion, or one per image if there are no lesions."""
    groups = by_tracking_uid(ds, codes.IMAGING_MEASUREMENTS)
    for _, group in groups:
        yield from _algorithm_faults(group, result.model)
    all_lesions = lesions_of(expected.result)
    told = [image for image in result.images if image.sop_instance_uid in headers]
    lesions = {lesion.tracking_uid: lesion for image in told for lesion in all_lesions[image.sop_instance_uid]}
    images = {tracking_uid(image.sop_instance_uid, result.model, 0): image for image in told if not lesions}
    if sorted(uid for uid, _ in groups) != sorted([*lesions, *images]):
        yield "tracking UIDs of the groups are not those of the findings"
    for uid, group in groups:
        if uid in lesions:
            lesion = lesions[uid]
            for fault in _lesion_faults(children(group), lesion):
                yield f"finding {lesion.rank} of {lesion.image.sop_instance_uid}: {fault}"
        elif uid in images:
            for fault in _image_faults(group, images[uid]):
                yield f"group of {images[uid].sop_instance_uid}: {fault}"


def _algorithm_faults(group: Dataset, model: ModelIdentity) -> Iterator[str]:
    """Compare the algorithm that a group names (TID 4019) with the model."""
    items = children(group)
    for name, due in (
        (codes.ALGORITHM_NAME, [model.name]),
        (codes.ALGORITHM_VERSION, [model.version]),
        (codes.ALGORITHM_MANUFACTURER, [model.manufacturer] if model.manufacturer else []),
    ):
        if values(items, name) != due:
            yield f"{name.meaning} of a group is not {' '.join(due) or 'absent'}"
    if algorithm_parameters(model) not in values(items, codes.ALGORITHM_PARAMETERS):
        yield f"{codes.ALGORITHM_PARAMETERS.meaning} of a group are not the model's"


def _lesion_faults(items: list[Item], lesion: Lesion) -> Iterator[str]:
    """Compare name, kind, outline and numbers of a lesion with its group."""
    finding, image = lesion.finding, lesion.image
    for name, told_as in (
        (codes.TRACKING_IDENTIFIER, lesion.tracking_id),
        (codes.FINDING, codes.FINDING_TYPES[finding.type].value),
        (codes.FINDING_SITE, codes.breast(image.laterality).value),
        (codes.GEOMETRIC_PURPOSE, codes.OUTLINE.value),
    ):
        told = values(items, name)
        if told != [told_as]:
            yield f"{name.meaning} is {told}, not {told_as}"
    regions = [item.ds for item in items if item.type == "SCOORD"]
    if len(regions) != 1 or not _is_outline(regions[0], lesion):
        yield "the region is not its outline"
    if [uid for region in regions for uid in referenced(region)] != [image.sop_instance_uid]:
        yield "the region is not on its image"
    if spacing_note(image) not in values(items, codes.ALGORITHM_PARAMETERS):
        yield "does not say which pixel spacing its sizes are based on"
    due = {
        codes.CANCER_SCORE: 100 * finding.cancer_score,
        codes.LESION_SCORE: 100 * finding.lesion_score,
        codes.MALIGNANCY_SCORE: 100 * finding.malignancy_score,
        codes.AREA: finding.area_mm2,
        codes.LONG_AXIS: finding.long_axis_mm,
    }
    for name, value in due.items():
        numbers = [float(number) for number in values(items, name)]
        if len(numbers) != (value is not None) or (value is not None and abs(numbers[0] - value) > ROUNDING):
            yield f"{name.meaning} is {numbers}, not {value}"
    if {item.name for item in items if item.type == "NUM"} - {name.value for name in due}:
        yield "has other numbers"


def _is_outline(region: Dataset, lesion: Lesion) -> bool:
    told, due = points_of(region), line(lesion.finding.mask)
    return (
        region.GraphicType == "POLYLINE"
        and told.shape == due.shape
        and bool(np.allclose(told, due, rtol=0, atol=TOLERANCE))
    )


def _image_faults(group: Dataset, image: ImageResult) -> Iterator[str]:
    """Compare the group of an image on which nothing was found, or that was not read."""
    items = children(group)
    due: tuple[tuple[codes.Code, list[str]], ...] = (
        (codes.SUMMARY_OF_DETECTIONS, [image_status(image).value]),
        (codes.CAD_SUMMARY, [image_summary(image).value] if image.was_read else []),
        (codes.COMMENT, [] if image.was_read else [comment(image)]),
    )
    for name, told_as in due:
        told = values(items, name)
        if told != told_as:
            yield f"{name.meaning} is {told}, not {told_as}"
    if any(item.type == "NUM" for item in items):
        yield "has a number"
    if referenced(group) != [image.sop_instance_uid]:
        yield "does not refer to its image"
