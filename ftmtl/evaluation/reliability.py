"""Reliability of scores: how often findings of a score are what the score is about, and how far that is from the score.

The lesion score is about hitting a lesion, the cancer score about hitting a malignant one. A calibrated score of 0.7
would be right in 70 of 100 findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftmtl.errors import EvaluationError
from ftmtl.evaluation.cases import ImageCase
from ftmtl.evaluation.figures import Rows, natural_rule, of_rows
from ftmtl.evaluation.hits import assign
from ftmtl.evaluation.measure import Figures
from ftmtl.evaluation.operating import reported

SCORES = {"lesion_score": "lesion score", "cancer_score": "cancer score"}
"""The scores, by name; what is printed of them."""
BINS = 10
_NORMAL_95 = 1.959964


@dataclass(frozen=True)
class Bin:
    """The findings whose score lies in one interval.

    Attributes
    ----------
    start, stop
        The interval, half-open; the last one is closed.
    findings
        How many there are.
    score
        Their mean score.
    share
        Share of them that are what the score is about, 0 to 1.
    low, high
        Ends of the 95% Wilson interval of the share, which takes findings as independent.
    """

    start: float
    stop: float
    findings: int
    score: float
    share: float
    low: float
    high: float


def scored_findings(cases: Sequence[ImageCase]) -> dict[str, Rows]:
    """Return, by name of the score, image number, score and truth of every finding, by the natural hit rule.

    Findings on lesions of unknown pathology have no truth for the cancer score and are left out there.
    """
    rule = natural_rule(cases)
    rows: dict[str, list[tuple[int, float, bool]]] = {name: [] for name in SCORES}
    for number, case in enumerate(cases):
        for finding, owner in zip(case.findings, assign(case.closeness(rule)).tolist(), strict=True):
            malignant = owner >= 0 and case.lesions[owner].malignant
            rows["lesion_score"].append((number, finding.lesion_score, owner >= 0))
            if malignant is not None:
                rows["cancer_score"].append((number, finding.cancer_score, malignant))
    return {
        name: (
            np.array([row[0] for row in table], dtype=np.intp),
            np.array([row[1] for row in table], dtype=np.float64),
            np.array([row[2] for row in table], dtype=bool),
        )
        for name, table in rows.items()
    }


def bins(scores: NDArray[np.float64], truth: NDArray[np.bool_], count: int = BINS) -> list[Bin]:
    """Sort findings into intervals of equal width between 0 and 1; empty ones are left out.

    Parameters
    ----------
    scores
        One per finding, 0 to 1.
    truth
        Whether each finding is what the score is about.
    """
    place = _places(scores, count)
    found = []
    for number in np.unique(place).tolist():
        here = place == number
        low, high = wilson(int(truth[here].sum()), int(here.sum()))
        found.append(
            Bin(
                start=number / count,
                stop=(number + 1) / count,
                findings=int(here.sum()),
                score=float(scores[here].mean()),
                share=float(truth[here].mean()),
                low=low,
                high=high,
            )
        )
    return found


def calibration_error(scores: NDArray[np.float64], truth: NDArray[np.bool_], count: int = BINS) -> float:
    """Return the expected calibration error: the mean distance of score and share over bins, weighted by findings.

    Raises
    ------
    EvaluationError
        If there are no findings.
    """
    if not len(scores):
        raise EvaluationError("A calibration error needs findings, and there are none.")
    gap = np.bincount(_places(scores, count), scores - truth, minlength=count)
    return float(np.abs(gap).sum() / len(scores))


def wilson(right: int, of: int) -> tuple[float, float]:
    """Return the 95% Wilson score interval of a share.

    Raises
    ------
    ValueError
        If it is a share of nothing.
    """
    if of < 1:
        raise ValueError("a share needs at least one case")
    square = _NORMAL_95**2
    centre = (right + square / 2) / (of + square)
    half = _NORMAL_95 / (of + square) * float(np.sqrt(right * (of - right) / of + square / 4))
    return max(0.0, centre - half), min(1.0, centre + half)


def measure_reliability(cases: Sequence[ImageCase], threshold: float, figures: Figures) -> dict[str, Any]:
    """Compute the reliability of the scores of reported findings.

    Parameters
    ----------
    threshold
        Lesion score from which findings are reported.

    Returns
    -------
    dict
        ``threshold``, and for each of `SCORES` a dict of ``findings``, mean ``score``, ``share``, ``error`` (the
        expected calibration error, a figure as in `ftmtl.evaluation.measure.measure`) and ``bins``. Without findings,
        score, share and error are None.
    """
    table: dict[str, Any] = {"threshold": threshold}
    for name, (image, scores, truth) in scored_findings(reported(cases, threshold)).items():

        def error(
            rows: NDArray[np.intp], scores: NDArray[np.float64] = scores, truth: NDArray[np.bool_] = truth
        ) -> float:
            return calibration_error(scores[rows], truth[rows])

        table[name] = {
            "findings": len(scores),
            "score": float(scores.mean()) if len(scores) else None,
            "share": float(truth.mean()) if len(scores) else None,
            "error": figures.figure(title(name), of_rows(image, len(cases), error)),
            "bins": [asdict(each) for each in bins(scores, truth)],
        }
    return table


def title(name: str) -> str:
    """Return the title of the calibration error of one of `SCORES`."""
    return f"Expected calibration error of the {SCORES[name]}, reported findings"


def _places(scores: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return the number of the bin of each score."""
    edges = np.arange(count + 1) / count
    return np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, count - 1)
