"""How the analysis of a study ended, as reports need it: images to refer to, a code, and reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydicom.dataset import Dataset

from ftmtl.findings import Attempt, ImageResult, StudyResult
from node.results.common import codes
from node.results.common.naming import side_and_view


class Known(NamedTuple):
    """An image whose header could be read.

    Attributes
    ----------
    header
        Its normalised header.
    image
        What was found on it, or why it was not analysed.
    analysed
        Whether it was analysed.
    """

    header: Dataset
    image: ImageResult
    analysed: bool


def referable(result: StudyResult, headers: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Return the headers that a report refers to, by SOP Instance UID.

    They are those of the mammograms that the outcome is about; or all, if none of these has a header: a report needs
    one for its patient and study.
    """
    mammograms = {image.sop_instance_uid for image in result.mammograms}
    return {uid: header for uid, header in headers.items() if uid in mammograms} or dict(headers)


def known_images(sources: Sequence[Dataset], result: StudyResult, missing: Mapping[str, Dataset]) -> list[Known]:
    """Return the images that a report can refer to: those that were analysed, then the others by UID.

    Raises
    ------
    KeyError
        If an image is not in ``result``.
    ValueError
        If no image has a header, or one belongs to another study.
    """
    images = {image.sop_instance_uid: image for image in result.images}
    headers = [*((header, True) for header in sources), *((missing[uid], False) for uid in sorted(missing))]
    known = [Known(header, images[header.SOPInstanceUID], analysed) for header, analysed in headers]
    if not known:
        raise ValueError("a report needs the header of at least one image")
    strays = [image.sop_instance_uid for header, image, _ in known if header.StudyInstanceUID != result.study_uid]
    if strays:
        raise ValueError(f"not in study {result.study_uid}: {', '.join(strays)}")
    return known


def outcome_code(result: StudyResult) -> codes.Code:
    """Return how the analysis ended (CID 6047); only the mammograms count that the model was to read."""
    read = [image for image in result.mammograms if image.was_read]
    if not read:
        return codes.NONE_SUCCEEDED
    found = any(image.findings for image in read)
    if len(read) < len(tried(result)):
        return codes.NOT_ALL_SUCCEEDED_WITH_FINDINGS if found else codes.NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS
    return codes.ALL_SUCCEEDED_WITH_FINDINGS if found else codes.ALL_SUCCEEDED_WITHOUT_FINDINGS


def image_status(image: ImageResult) -> codes.Code:
    """Return whether the detections on a mammogram succeeded or failed, or were not attempted (CID 6042)."""
    if image.was_read:
        return codes.SUCCEEDED
    return codes.FAILED if image.attempt is Attempt.MADE else codes.NOT_ATTEMPTED


def tried(result: StudyResult) -> list[ImageResult]:
    """Return the mammograms that the model was to read, as they are hung, whether it could or not."""
    return [image for image in result.mammograms if image.was_read or image.attempt is Attempt.MADE]


def left_aside_lines(result: StudyResult) -> list[str]:
    """Return which images the outcome is not about, and why: one line for each reason."""
    counts = Counter(reason_of(image) for image in result.left_aside)
    return [
        f"Left aside, as the model does not read {'it: 1 image' if count == 1 else f'them: {count} images'}. {reason}"
        for reason, count in counts.items()
    ]


def remarks(result: StudyResult) -> list[tuple[ImageResult, str]]:
    """Return the images that a reader has to know something about, and what."""
    return [(image, " ".join(image.notes)) for image in result.hung if image.notes]


def remark_lines(result: StudyResult) -> list[str]:
    """Return what was read, and what a reader has to know of which images, one line each."""
    covered = [result.coverage] if result.coverage else []
    places: dict[str, list[str]] = {}
    for image, said in remarks(result):
        places.setdefault(said, []).append(where(image))
    return covered + [f"{', '.join(names)}: {said}" for said, names in places.items()]


def where(image: ImageResult) -> str:
    """Return side and view of an image for a sentence about it."""
    return side_and_view(image.laterality, image.view) or "One image"


def reason_of(image: ImageResult) -> str:
    """Return why an image was not analysed, in words."""
    return image.reason or image.outcome.replace("_", " ")
