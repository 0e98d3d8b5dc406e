"""Reliability: scores whose truth is known give known bins, intervals and calibration errors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ftmtl.errors import EvaluationError
from ftmtl.evaluation.cases import Evaluation, FindingCase, ImageCase, LesionCase
from ftmtl.evaluation.measure import Figures
from ftmtl.evaluation.reliability import bins, calibration_error, measure_reliability, scored_findings, wilson
from ftmtl.evaluation.report import Report, summary
from ftmtl.evaluation.statistics import Resampling
from ftmtl.findings import FindingType, ModelIdentity

BOX = (0.0, 0.0, 10.0, 10.0)
RESAMPLING = Resampling(samples=60)


def case(number: int, malignant: list[bool | None], *findings: tuple[float, float, int | None]) -> ImageCase:
    """An image with findings: lesion score, malignancy score, and the number of the lesion that is hit."""
    lesions = tuple(LesionCase(BOX, FindingType.MASS, truth, True, 0.5) for truth in malignant)
    found = []
    for lesion, malignancy, on in findings:
        overlaps = tuple(0.9 if n == on else 0.0 for n in range(len(lesions)))
        closeness = dict.fromkeys(("iou", "dice", "centre", "circle"), overlaps)
        found.append(FindingCase(BOX, lesion, malignancy, FindingType.MASS, closeness))
    return ImageCase(f"i{number}", f"p{number}", "L", "CC", None, lesions, tuple(found))


CASES = [
    case(0, [True], (0.95, 1.0, 0)),
    case(1, [False], (0.95, 0.1, 0)),
    case(2, [None], (0.65, 0.9, 0)),
    case(3, [], (0.65, 0.2, None), (0.1, 0.9, None)),
]


def test_each_score_is_right_about_something_else() -> None:
    """A finding on a benign lesion is a lesion but no cancer; of unknown pathology, it says nothing about cancer."""
    table = scored_findings(CASES)
    assert table["lesion_score"][2].tolist() == [True, True, True, False, False]
    image, scores, truth = table["cancer_score"]
    assert image.tolist() == [0, 1, 3, 3]
    assert scores == pytest.approx([0.95, 0.095, 0.13, 0.09])
    assert truth.tolist() == [True, False, False, False]


def test_reliability_of_what_is_reported() -> None:
    found = measure_reliability(CASES, 0.5, Figures([c.patient for c in CASES], RESAMPLING))
    lesion = found["lesion_score"]
    assert (lesion["findings"], lesion["score"], lesion["share"]) == (4, pytest.approx(0.8), 0.75)
    rows = [(row["start"], row["stop"], row["findings"], row["share"]) for row in lesion["bins"]]
    assert rows == [(0.6, 0.7, 2, 0.5), (0.9, 1.0, 2, 1.0)]
    assert lesion["error"]["value"] == pytest.approx((2 * 0.15 + 2 * 0.05) / 4)
    assert lesion["error"]["low"] <= lesion["error"]["value"] <= lesion["error"]["high"]
    assert found["cancer_score"]["error"]["value"] == pytest.approx((0.05 + 0.095 + 0.13) / 3)


def test_bins_are_closed_below() -> None:
    scores = np.array([0.0, 0.1, 0.3, 0.6, 0.7, 0.7999999, 1.0])
    assert [(row.start, row.findings) for row in bins(scores, np.ones(7, dtype=bool))] == [
        (0.0, 1),
        (0.1, 1),
        (0.3, 1),
        (0.6, 1),
        (0.7, 2),
        (0.9, 1),
    ]


def test_calibrated_scores_and_others() -> None:
    """Scores s that are right in s of the cases, and ones that are right in s² of them: off by 1/6 on average."""
    rng = np.random.default_rng(5)
    scores = rng.random(20_000)
    right = rng.random(20_000) < scores
    assert calibration_error(scores, right) < 0.02
    assert all(row.low - 0.02 < row.score < row.high + 0.02 for row in bins(scores, right))
    squared = rng.random(20_000) < scores**2
    assert calibration_error(scores, squared) == pytest.approx(1 / 6, abs=0.01)
    assert all(row.high < row.score for row in bins(scores, squared)[1:-1])


def test_wilson_intervals() -> None:
    """Of 8 in 10 and 0 in 10, as tables give them."""
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10)[1] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="at least one case"):
        wilson(0, 0)


def test_without_findings_nothing_is_said() -> None:
    with pytest.raises(EvaluationError, match="needs findings"):
        calibration_error(np.array([]), np.array([], dtype=bool))
    figures = Figures(["p0", "p1"], RESAMPLING)
    found = measure_reliability(CASES[:2], 0.99, figures)
    assert found["lesion_score"] == {"findings": 0, "score": None, "share": None, "error": None, "bins": []}
    assert "Expected calibration error of the lesion score, reported findings: A calibration" in figures.notes[0]


def test_the_report_shows_the_reliability(tmp_path: Path) -> None:
    evaluation = Evaluation(ModelIdentity("Drawn", "1", "ab" * 32), 0.5, tuple(CASES))
    metrics = Report(evaluation, resampling=RESAMPLING).write(tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text())["reliability"] == metrics["reliability"]
    page = (tmp_path / "index.html").read_text()
    assert '<th scope="row">Lesion score</th><td>4</td><td>0.800</td><td>0.750</td><td>0.100 (' in page
    assert "Expected calibration error of the lesion score, reported findings: 0.100 (" in summary(metrics)
    plain = (tmp_path / "reliability.png").read_bytes()
    assert plain != (tmp_path / "reliability-dark.png").read_bytes()
    other = replace(evaluation, cases=tuple(CASES[:2]))
    Report(other, resampling=RESAMPLING).write(tmp_path)
    assert plain != (tmp_path / "reliability.png").read_bytes()
