"""The findings of a CAD report, and what it says of the study as a whole (TID 4001 to 4006)."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from ftmtl.findings import ImageResult, ModelIdentity, StudyResult
from node.kinds import ObjectKind
from node.results.cad.library import Entry
from node.results.cad.rendering import intent_item, intent_of_all, rendering
from node.results.cad.terms import ALL_MAPPED, MAPPED, UNCALIBRATED, algorithm, finding_code, is_mapped
from node.results.common import codes
from node.results.common.content import (
    CONTAINS,
    HAS_CONCEPT_MOD,
    HAS_OBS_CONTEXT,
    HAS_PROPERTIES,
    INFERRED_FROM,
    SELECTED_FROM,
    by_reference,
    coded,
    container,
    number,
    region,
    text,
    uid_reference,
)
from node.results.common.lesions import Lesion, lesions_of
from node.results.common.outcome import left_aside_lines, outcome_code, reason_of, remark_lines, tried, where
from node.results.common.outline import outline
from node.results.common.stamp import RESEARCH_NOTICE

LARGEST_IN_STUDY = "Largest cancer score of the findings in the study; uncalibrated."
LARGEST_IN_BREAST = "Largest cancer score of the findings in this breast; uncalibrated."
OF_A_FINDING = "Lesion score times the score of malignancy given a lesion; uncalibrated, not a probability."
"""How scores are computed (Calculation Description)."""


def overall_impression(library: list[Entry], result: StudyResult, kind: ObjectKind) -> Dataset:
    """Return how the analysis ended, as a code and in words, scores, and the findings (TID 4001, 4002)."""
    content = [
        text(HAS_PROPERTIES, codes.IMPRESSION_DESCRIPTION, in_words(result, kind)),
        *algorithm(result.model, UNCALIBRATED),
        *_scores(result),
    ]
    lesions = lesions_of(result)
    found = [(lesion, entry.position) for entry in library for lesion in lesions[entry.image.sop_instance_uid]]
    if found:
        content.append(_individual_impression(found, result.model, kind))
    return coded(CONTAINS, codes.CAD_SUMMARY, outcome_code(result), content)


def in_words(result: StudyResult, kind: ObjectKind) -> str:
    """Return the research notice, what was analysed and why the rest was not, and what else a reader has to know."""
    attempted = tried(result)
    read = [image for image in attempted if image.was_read]
    count = f"{len(read)} of {len(attempted)} mammograms analysed." if attempted else "There was nothing to analyse."
    lines = [RESEARCH_NOTICE, count]
    lines += [_not_read(image, image in attempted) for image in result.mammograms if not image.was_read]
    lines += left_aside_lines(result)
    if kind is ObjectKind.CAD_DENSITY:
        lines.append(ALL_MAPPED)
    return "\r\n".join([*lines, *remark_lines(result)])


def _not_read(image: ImageResult, attempted: bool) -> str:
    return f"{where(image)} {'failed' if attempted else 'not attempted'}: {reason_of(image)}"


def scores_of(result: StudyResult) -> dict[str | None, float]:
    """Return the largest cancer score of the findings, 0 to 1: of the study (by None), and of each breast that has any.

    A breast without findings has no score: nothing above a threshold is not 0.
    """
    found = [(image.laterality, finding.cancer_score) for image in result.hung for finding in image.findings]
    scores: dict[str | None, float] = {None: max(score for _, score in found)} if found else {}
    for side in codes.BREASTS:
        if own := [score for laterality, score in found if laterality == side]:
            scores[side] = max(own)
    return scores


def _scores(result: StudyResult) -> Iterator[Dataset]:
    """Yield the score of the study and of each breast (TID 4002, rows 12 to 15)."""
    for side, score in scores_of(result).items():
        of = [] if side is None else [coded(HAS_CONCEPT_MOD, codes.LATERALITY, codes.BREASTS[side])]
        yield _cancer_score(score, LARGEST_IN_STUDY if side is None else LARGEST_IN_BREAST, of)


def _cancer_score(score: float, calculation: str, of: list[Dataset]) -> Dataset:
    """Return a cancer score, which is given from 0 to 1, and how it was calculated."""
    return number(
        HAS_PROPERTIES,
        codes.CANCER_SCORE,
        100 * score,
        codes.RANGE_TO_100,
        [
            *of,
            coded(HAS_CONCEPT_MOD, codes.DERIVATION, codes.UNSPECIFIED_METHOD),
            text(INFERRED_FROM, codes.CALCULATION_DESCRIPTION, calculation),
        ],
    )


def _individual_impression(
    found: list[tuple[Lesion, tuple[int, int, int]]], model: ModelIdentity, kind: ObjectKind
) -> Dataset:
    """Return all findings (TID 4003), each with the position of its image in the tree."""
    intent = intent_of_all(rendering(lesion.finding.cancer_score, model) for lesion, _ in found)
    return container(
        INFERRED_FROM,
        codes.INDIVIDUAL_IMPRESSION,
        [
            coded(HAS_CONCEPT_MOD, codes.RENDERING_INTENT, intent),
            *(_single_image_finding(lesion, position, kind) for lesion, position in found),
        ],
    )


def _single_image_finding(lesion: Lesion, position: tuple[int, int, int], kind: ObjectKind) -> Dataset:
    """Return a finding (TID 4006), with its tracking (TID 4108) and place (TID 4021)."""
    finding, model = lesion.finding, lesion.model
    on_image = by_reference(SELECTED_FROM, position)
    points, centre = outline(finding.mask)
    mapped = (MAPPED,) if is_mapped(finding.type, kind) else ()
    return coded(
        CONTAINS,
        codes.SINGLE_IMAGE_FINDING,
        finding_code(finding.type, kind),
        [
            intent_item(rendering(finding.cancer_score, model), model),
            text(HAS_OBS_CONTEXT, codes.TRACKING_IDENTIFIER, lesion.tracking_id),
            uid_reference(HAS_OBS_CONTEXT, codes.TRACKING_UID, lesion.tracking_uid),
            *algorithm(model, UNCALIBRATED, *mapped),
            number(HAS_PROPERTIES, codes.CERTAINTY_OF_FINDING, 100 * finding.lesion_score, codes.PERCENT),
            region(HAS_PROPERTIES, codes.CENTER, "POINT", [centre], on_image),
            region(HAS_PROPERTIES, codes.OUTLINE, "POLYLINE", [*points, points[0]], on_image),
            _cancer_score(finding.cancer_score, OF_A_FINDING, []),
        ],
    )
