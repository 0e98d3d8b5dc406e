"""Compares what a measurement report says of the study as a whole, and of its images, with what happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from pydicom.dataset import Dataset

from ftmtl.findings import ImageResult, StudyResult
from node.results.common import codes
from node.results.common.acquired import view_modifiers
from node.results.common.content import ROUNDING, Item, children, value_of
from node.results.common.outcome import image_status, outcome_code
from node.results.sr.evaluations import comment, image_summary, impression
from node.results.sr.reading import below, by_tracking_uid, referenced, values
from node.results.sr.scores import Scored, scored

_SPACING_TOLERANCE_MM = 1e-6


def evaluation_faults(ds: Dataset, result: StudyResult, headers: Mapping[str, Dataset]) -> Iterator[str]:
    """Check the reported outcome, of the study and of each image, and the comments."""
    items = below(ds, codes.QUALITATIVE_EVALUATIONS)
    for name, due in (
        (codes.CAD_SUMMARY, outcome_code(result).value),
        (codes.IMPRESSION_DESCRIPTION, impression(result)),
    ):
        told = values(items, name)
        if told != [due]:
            yield f"{name.meaning} is {told}, not {due!r}"
    outcomes = Counter(_outcome(item) for item in items if item.name == codes.SUMMARY_OF_DETECTIONS.value)
    if outcomes != Counter(_due_outcome(image, headers) for image in result.mammograms):
        yield f"outcomes of the images are {sorted(outcomes)}"
    comments = Counter((str(value_of(i.ds)), *referenced(i.ds)) for i in items if i.name == codes.COMMENT.value)
    commented = [image for image in result.mammograms if comment(image)]
    due_comments = Counter((comment(image), *_reference(image, headers)) for image in commented)
    for words, *_ in sorted((due_comments - comments).keys()):
        yield f"does not report about an image: {words}"
    for words, *_ in sorted((comments - due_comments).keys()):
        yield f"reports something about an image that did not happen: {words}"


def _outcome(item: Item) -> tuple[str, ...]:
    """Return the status of an image, whether it has findings, and the image."""
    return str(value_of(item.ds)), *map(str, values(children(item.ds), codes.CAD_SUMMARY)), *referenced(item.ds)


def _due_outcome(image: ImageResult, headers: Mapping[str, Dataset]) -> tuple[str, ...]:
    summary = [image_summary(image).value] if image.was_read else []
    return image_status(image).value, *summary, *_reference(image, headers)


def _reference(image: ImageResult, headers: Mapping[str, Dataset]) -> list[str]:
    return [image.sop_instance_uid] if image.sop_instance_uid in headers else []


def library_faults(ds: Dataset, result: StudyResult, headers: Mapping[str, Dataset]) -> Iterator[str]:
    """Compare the Image Library with the images."""
    entries = [entry for group in below(ds, codes.IMAGE_LIBRARY) for entry in children(group.ds)]
    uids = [str(entry.ds.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for entry in entries]
    if sorted(uids) != sorted(headers):
        yield "the Image Library does not list the images of the report"
        return
    images = {image.sop_instance_uid: image for image in result.images}
    for uid, entry in zip(uids, entries, strict=True):
        items = children(entry.ds)
        for name, due in _described(headers[uid], images[uid]).items():
            told = values(items, name)
            if told != due:
                yield f"{name.meaning} of {uid} is {told}, not {due}"
        modifiers = [code for item in items for code in values(children(item.ds), codes.IMAGE_VIEW_MODIFIER)]
        viewed = images[uid].view in codes.VIEWS
        if modifiers != [code.value for code in view_modifiers(headers[uid])] * viewed:
            yield f"{codes.IMAGE_VIEW_MODIFIER.meaning} of {uid} is {modifiers}"
        spacing = [float(mm) for name in _SPACING for mm in values(items, name)]
        due_spacing = [float(mm) for mm in headers[uid].get("ImagerPixelSpacing") or ()]
        pairs = zip(spacing, due_spacing, strict=False)
        if len(spacing) != len(due_spacing) or any(abs(a - b) > _SPACING_TOLERANCE_MM for a, b in pairs):
            yield f"pixel spacing of {uid} is {spacing}, not that of its detector, {due_spacing}"


_SPACING = (codes.VERTICAL_SPACING, codes.HORIZONTAL_SPACING)
"""In the order of Imager Pixel Spacing."""


def _described(header: Dataset, image: ImageResult) -> dict[codes.Code, list[str | float]]:
    """Return the values of the descriptors of an image (TID 1602, TID 1603)."""
    radiograph = header.get("Modality") == codes.MG.value
    row, column = header.PatientOrientation or ("", "")
    side, view = codes.SIDES.get(image.laterality or ""), codes.VIEWS.get(image.view or "")
    return {
        codes.MODALITY: [codes.MG.value] if radiograph else [],
        codes.TARGET_REGION: [codes.BREAST.value] if radiograph else [],
        codes.IMAGE_LATERALITY: [side.value] if side else [],
        codes.IMAGE_VIEW: [view.value] if view else [],
        codes.ORIENTATION_ROW: [row] if row else [],
        codes.ORIENTATION_COLUMN: [column] if column else [],
        codes.PIXEL_ROWS: [float(header.Rows)],
        codes.PIXEL_COLUMNS: [float(header.Columns)],
    }


def score_faults(ds: Dataset, result: StudyResult, *, whole: bool) -> Iterator[str]:
    """Compare the groups of the study and its breasts; a report about one image has none."""
    groups = by_tracking_uid(ds, codes.DERIVED_MEASUREMENTS)
    due = {part.tracking_uid: part for part in scored(result)} if whole else {}
    if sorted(uid for uid, _ in groups) != sorted(due):
        yield "the derived measurements are not those of the study and its breasts"
        return
    for uid, group in groups:
        for fault in _part_faults(group, due[uid]):
            yield f"{due[uid].name}: {fault}"


def _part_faults(group: Dataset, part: Scored) -> Iterator[str]:
    """Compare the group of the study or a breast."""
    items = children(group)
    for name, due in (
        (codes.TRACKING_IDENTIFIER, [part.name]),
        (codes.FINDING_SITE, [codes.BREASTS[part.side].value] if part.side else []),
        (codes.CAD_SUMMARY, [part.outcome.value]),
    ):
        told = values(items, name)
        if told != due:
            yield f"{name.meaning} is {told}, not {due}"
    numbers = [(item.name, float(value_of(item.ds))) for item in items if item.type == "NUM"]
    value = part.cancer_score
    if len(numbers) != (value is not None) or (
        value is not None and (numbers[0][0] != codes.CANCER_SCORE.value or abs(numbers[0][1] - 100 * value) > ROUNDING)
    ):
        yield f"scores are {numbers}, not {value}"
    if sorted(referenced(group)) != sorted(image.sop_instance_uid for image in part.images):
        yield "does not refer to the images that were read"
