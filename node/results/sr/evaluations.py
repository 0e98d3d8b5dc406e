"""How the analysis of a study ended, and that of each image, in codes and in words (PS3.16 TID 1500, rows 12 to 14)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from ftmtl.findings import ImageResult, StudyResult
from node.results.common import codes
from node.results.common.content import CONTAINS, HAS_PROPERTIES, INFERRED_FROM, coded, container, image_item, text
from node.results.common.outcome import (
    Known,
    image_status,
    left_aside_lines,
    outcome_code,
    reason_of,
    tried,
    where,
)
from node.results.common.stamp import RESEARCH_NOTICE


def evaluations(images: Sequence[Known], result: StudyResult) -> Dataset:
    """Return the outcome of the study as a code and in words, and that of each mammogram."""
    return container(
        CONTAINS,
        codes.QUALITATIVE_EVALUATIONS,
        [
            coded(CONTAINS, codes.CAD_SUMMARY, outcome_code(result)),
            text(CONTAINS, codes.IMPRESSION_DESCRIPTION, impression(result)),
            *_of_images({known.image.sop_instance_uid: known.header for known in images}, result),
        ],
    )


def impression(result: StudyResult) -> str:
    """Return the research notice, how many mammograms were analysed, with how many findings, and what was read.

    And of which images the outcome does not speak.
    """
    attempts = tried(result)
    read = [image for image in attempts if image.was_read]
    found = sum(len(image.findings) for image in read)
    count = f"{len(read)} of {len(attempts)} mammograms analysed; findings: {found}."
    return "\r\n".join(filter(None, (RESEARCH_NOTICE, count, result.coverage, *left_aside_lines(result))))


def _of_images(headers: dict[str, Dataset], result: StudyResult) -> Iterator[Dataset]:
    """Yield the outcome of each mammogram, and a comment if there is more to say.

    Both are inferred from the image, if it has a header. Whether there are findings is a property of the outcome, so
    that one such summary stands at the top of the container: that of the study.
    """
    for image in result.mammograms:
        header = headers.get(image.sop_instance_uid)
        of = [] if header is None else [image_item(INFERRED_FROM, header, name=codes.SOURCE)]
        summary = [coded(HAS_PROPERTIES, codes.CAD_SUMMARY, image_summary(image))] if image.was_read else []
        yield coded(CONTAINS, codes.SUMMARY_OF_DETECTIONS, image_status(image), [*of, *summary])
        words = comment(image)
        if words:
            yield text(CONTAINS, codes.COMMENT, words, of)


def image_summary(image: ImageResult) -> codes.Code:
    """Return whether there are findings on an image that was read (CID 6047)."""
    return codes.ALL_SUCCEEDED_WITH_FINDINGS if image.findings else codes.ALL_SUCCEEDED_WITHOUT_FINDINGS


def comment(image: ImageResult) -> str:
    """Return why an image was not read, such as ``L CC failed: ...``, and its notes; empty if there is nothing."""
    notes = " ".join(image.notes)
    if image.was_read:
        return f"{where(image)}: {notes}" if notes else ""
    ended = "failed" if image_status(image) == codes.FAILED else "not attempted"
    said = f"{where(image)} {ended}: {reason_of(image)}"
    return f"{said}{'' if said.endswith('.') else '.'} {notes}" if notes else said
