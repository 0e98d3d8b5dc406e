"""Scores of images, breasts and studies."""

from __future__ import annotations

import numpy as np

from ftmtl.findings import Finding, ImageResult, LesionMask, ModelIdentity, Outcome, StudyResult

MODEL = ModelIdentity("FT-MTL-Net", "1", "ab" * 32)


def image(side: str | None, *probabilities: tuple[float, float], outcome: Outcome = Outcome.FINDINGS) -> ImageResult:
    mask = LesionMask(np.ones((2, 2), dtype=bool), 0, 0)
    findings = tuple(Finding((0, 0, 2, 2), mask, lesion, malignant) for lesion, malignant in probabilities)
    return ImageResult("1.2", side, "CC", outcome, findings=findings)


def study(*images: ImageResult) -> StudyResult:
    return StudyResult("1.2.3", MODEL, images)


def test_an_image_scores_its_most_probable_cancer() -> None:
    assert image("L", (0.9, 0.1), (0.5, 0.8)).score == 0.4
    assert image("L", outcome=Outcome.NO_FINDINGS).score == 0.0
    assert image("L", outcome=Outcome.FAILED).score is None


def test_breasts_and_studies_score_the_largest_of_their_images() -> None:
    result = study(
        image("L", (0.5, 0.8)),
        image("L", (0.9, 0.9)),
        image("R", outcome=Outcome.NO_FINDINGS),
        image(None, (1.0, 0.95)),
        image("R", outcome=Outcome.NOT_PROCESSED),
    )
    assert result.breast_scores == {"L": 0.81, "R": 0.0}
    assert result.score == 0.95


def test_nothing_analysed_is_no_score() -> None:
    result = study(image("L", outcome=Outcome.FAILED))
    assert result.score is None
    assert result.breast_scores == {}
    assert study().score is None
