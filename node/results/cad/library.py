"""The images of a CAD report: its Image Library (TID 4020), and which detections were performed on them (TID 4015)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from pydicom.dataset import Dataset

from ftmtl.findings import ImageResult, StudyResult
from node.kinds import ObjectKind
from node.results.cad.rendering import operating_points
from node.results.cad.terms import algorithm, detected
from node.results.common import codes
from node.results.common.acquired import view_and_orientation
from node.results.common.content import (
    CONTAINS,
    HAS_ACQ_CONTEXT,
    HAS_PROPERTIES,
    INFERRED_FROM,
    by_reference,
    coded,
    container,
    date,
    image_item,
    number,
    time,
)
from node.results.common.outcome import image_status, known_images, reason_of, tried


class Entry(NamedTuple):
    """An image of the Image Library.

    Attributes
    ----------
    header
        Its normalised header.
    image
        What was found on it, or why it was not analysed.
    position
        Its position in the content tree (Referenced Content Item Identifier).
    """

    header: Dataset
    image: ImageResult
    position: tuple[int, int, int]


def library_of(sources: Sequence[Dataset], result: StudyResult, missing: Mapping[str, Dataset]) -> list[Entry]:
    """Return the images that a report refers to, as they are hung.

    Raises
    ------
    KeyError
        If an image is not in ``result``.
    ValueError
        If no image has a header, or one belongs to another study.
    """
    headers = {known.image.sop_instance_uid: known.header for known in known_images(sources, result, missing)}
    return [
        Entry(headers[image.sop_instance_uid], image, (1, 2, place))
        for place, image in enumerate(listed(result, headers), start=1)
    ]


def listed(result: StudyResult, known: Collection[str]) -> list[ImageResult]:
    """Return which of the images with a header a report refers to, as they are hung.

    Those that the model was to read. A report without any would not be legal: if there is none, the study's other
    mammograms, else whatever there is.
    """
    for images in (tried(result), result.mammograms):
        if found := [image for image in images if image.sop_instance_uid in known]:
            return found
    return [image for image in result.hung if image.sop_instance_uid in known]


def library_entry(entry: Entry) -> Dataset:
    """Return an image of the library, with what is known about how it was acquired and is oriented (TID 4020)."""
    return image_item(CONTAINS, entry.header, _acquisition(entry.header, entry.image))


def _acquisition(header: Dataset, image: ImageResult) -> Iterator[Dataset]:
    if image.laterality in codes.BREASTS:
        yield coded(HAS_ACQ_CONTEXT, codes.IMAGE_LATERALITY, codes.BREASTS[image.laterality])
    yield from view_and_orientation(header, image.view)
    for write, name, keyword in (
        (date, codes.STUDY_DATE, "StudyDate"),
        (time, codes.STUDY_TIME, "StudyTime"),
        (date, codes.CONTENT_DATE, "ContentDate"),
        (time, codes.CONTENT_TIME, "ContentTime"),
    ):
        if header.get(keyword):
            yield write(HAS_ACQ_CONTEXT, name, header[keyword].value)
    if spacing := stated_spacing(header):
        vertical, horizontal = spacing
        yield number(HAS_ACQ_CONTEXT, codes.HORIZONTAL_SPACING, 1000 * horizontal, codes.UM)
        yield number(HAS_ACQ_CONTEXT, codes.VERTICAL_SPACING, 1000 * vertical, codes.UM)


def stated_spacing(header: Dataset) -> tuple[float, float] | None:
    """Return the (row, column) spacing in mm as the header has it, or None.

    That of the detector plane, if it is there: by it a workstation may tell whether two images are the same
    (PS3.17 E.5). Measurements rest on another one.
    """
    spacing = header.get("ImagerPixelSpacing") or header.get("PixelSpacing")
    return (float(spacing[0]), float(spacing[1])) if spacing else None


def detections(library: Sequence[Entry], result: StudyResult, kind: ObjectKind) -> Dataset:
    """Return which detections were performed on which images, and on which they failed (TID 4015)."""
    read = [entry for entry in library if image_status(entry.image) is codes.SUCCEEDED]
    failed = [entry for entry in library if image_status(entry.image) is codes.FAILED]
    sought = detected(result, kind)
    content = []
    if read:
        performed = [_detection(code, read, result) for code in sought]
        content.append(container(INFERRED_FROM, codes.SUCCESSFUL_DETECTIONS, performed))
    if failed:
        reasons = dict.fromkeys(reason_of(entry.image) for entry in failed)
        attempted = [
            _detection(code, [e for e in failed if reason_of(e.image) == reason], result, f"Failed: {reason}")
            for code in sought
            for reason in reasons
        ]
        content.append(container(INFERRED_FROM, codes.FAILED_DETECTIONS, attempted))
    return coded(CONTAINS, codes.SUMMARY_OF_DETECTIONS, detection_status(bool(read), bool(failed)), content)


def detection_status(read: bool, failed: bool) -> codes.Code:
    """Return how the detections ended (CID 6042): whether some images were read, and whether some failed."""
    if not failed:
        return codes.SUCCEEDED if read else codes.NOT_ATTEMPTED
    return codes.PARTIALLY_SUCCEEDED if read else codes.FAILED


def _detection(code: codes.Code, entries: Sequence[Entry], result: StudyResult, *more: str) -> Dataset:
    """Return one detection, the images that it was performed on, and its operating points (TID 4017)."""
    images = [by_reference(HAS_PROPERTIES, entry.position) for entry in entries]
    content = [*algorithm(result.model, *more), *images, *operating_points(result.model)]
    return coded(CONTAINS, codes.DETECTION_PERFORMED, code, content)
