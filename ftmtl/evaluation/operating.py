"""Operating points: cuts of the cancer score of what is reported, chosen by false positives per image.

A finding is reported if its lesion score reaches the threshold of the weights. An operating point also asks for a
cancer score. There, sensitivity counts malignant lesions, and a false positive is a finding that hits no lesion at all:
findings on benign lesions are neither hits nor false positives.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftmtl.errors import EvaluationError
from ftmtl.evaluation.cases import ImageCase, read_report
from ftmtl.evaluation.figures import natural_rule
from ftmtl.evaluation.hits import HitRule
from ftmtl.evaluation.measure import Figures
from ftmtl.evaluation.metrics import Froc, Matches
from ftmtl.evaluation.statistics import Statistic
from ftmtl.findings import OperatingPoint
from ftmtl.weights import WeightsCard

DEFAULT_RATES = (0.03, 0.1)
"""False positives per image of all points but the last, which is everything that is reported."""
_DIGITS = 6


def reported(cases: Sequence[ImageCase], threshold: float) -> list[ImageCase]:
    """Return cases with those findings alone whose lesion score is at least the threshold."""
    return [
        replace(case, findings=tuple(found for found in case.findings if found.lesion_score >= threshold))
        for case in cases
    ]


def malignant_matches(cases: Sequence[ImageCase], rule: HitRule) -> Matches:
    """Match findings, scored by their cancer score, to malignant lesions."""
    return Matches.of(
        [case.closeness(rule) for case in cases],
        [[finding.cancer_score for finding in case.findings] for case in cases],
        [[lesion.malignant is True for lesion in case.lesions] for case in cases],
    )


def choose_points(cases: Sequence[ImageCase], threshold: float, rates: Sequence[float]) -> tuple[OperatingPoint, ...]:
    """Choose the lowest cut with at most each rate of false positives per image; last comes all that is reported.

    Parameters
    ----------
    threshold
        Lesion score from which findings are reported.
    rates
        False positives per image, over all images.

    Returns
    -------
    tuple
        The strictest point first. A cut lies halfway between the lowest score that counts and the next one, so that it
        does not depend on rounding.

    Raises
    ------
    EvaluationError
        If no lesion is malignant, no finding counts at a rate, or two points would be the same.
    """
    curve = malignant_matches(reported(cases, threshold), natural_rule(cases)).froc()
    cuts = [_cut_at(curve, rate) for rate in sorted(rates)]
    points = tuple(OperatingPoint(cut, *_figures_at(curve, cut)) for cut in (*cuts, 0.0))
    for stricter, looser in pairwise(points):
        if stricter.false_positives >= looser.false_positives:
            raise EvaluationError(
                f"two operating points have the same {looser.false_positives:.3f} false positives per image: "
                f"give other rates; all that is reported has {points[-1].false_positives:.3f}"
            )
    return points


def points_from_report(
    folder: Path, card: WeightsCard, rates: Sequence[float] = DEFAULT_RATES, images: str = "images"
) -> WeightsCard:
    """Return a card with operating points chosen by an evaluation of its weights.

    Parameters
    ----------
    folder
        Folder that ``ftmtl evaluate`` wrote.
    images
        What the images are, in words; the card says how many there were.

    Raises
    ------
    EvaluationError
        If the evaluation is of other weights, kept too few findings or cannot be read, or `choose_points` fails.
    """
    cases, metrics = read_report(folder), _read_metrics(folder)
    measured = metrics.get("model", {})
    for key, expected in (("name", card.name), ("version", card.version), ("tensors_sha256", card.checksum)):
        if measured.get(key) != expected:
            raise EvaluationError(f"{folder} is of other weights: its {key} is {measured.get(key)}, not {expected}")
    if metrics["threshold"] > card.threshold:
        raise EvaluationError(
            f"{folder} keeps findings from lesion score {metrics['threshold']:g}; the weights report them from "
            f"{card.threshold:g}"
        )
    points = choose_points(cases, card.threshold, rates)
    malignant = sum(lesion.malignant is True for case in cases for lesion in case.lesions)
    words = (
        f"{len(cases)} {images} ({metrics['data_set']}), {malignant} malignant lesions, "
        f"hit rule {natural_rule(cases).name}"
    )
    return replace(card, operating_points=points, measured_on=words)


def measure_points(
    cases: Sequence[ImageCase], threshold: float, points: Sequence[OperatingPoint], figures: Figures
) -> list[dict[str, Any]]:
    """Compute what given cuts give on these cases: sensitivity and false positives per image, with intervals.

    Returns
    -------
    list
        For each point a dict of ``threshold``, ``sensitivity`` and ``false_positives``; the latter two as in
        `ftmtl.evaluation.measure.measure`.
    """
    found = malignant_matches(reported(cases, threshold), natural_rule(cases))
    rows = []
    for number, point in enumerate(points, start=1):
        title = f"Operating point {number}"
        right, wrong = (_statistic(found, point.threshold, which) for which in (0, 1))
        rows.append(
            {
                "threshold": point.threshold,
                "sensitivity": figures.figure(title, right),
                "false_positives": figures.figure(title, wrong),
            }
        )
    return rows


def _cut_at(curve: Froc, rate: float) -> float:
    count = int((curve.false_positives <= rate).sum())
    if not count:
        raise EvaluationError(f"no finding counts at {rate:g} false positives per image: give a higher rate")
    scores = [*curve.thresholds.tolist(), 0.0]
    lowest, following = float(scores[count - 1]), float(scores[count])
    cut = round((lowest + following) / 2, _DIGITS)
    return cut if following < cut <= lowest else lowest


def _figures_at(curve: Froc, cut: float) -> tuple[float, float]:
    """Return sensitivity and false positives per image of all scores from a cut on."""
    count = int((curve.thresholds >= cut).sum())
    return (float(curve.sensitivity[count - 1]), float(curve.false_positives[count - 1])) if count else (0.0, 0.0)


def _statistic(found: Matches, cut: float, which: int) -> Statistic:
    def statistic(chosen: NDArray[np.intp]) -> float:
        return _figures_at(found.froc(chosen), cut)[which]

    return statistic


def _read_metrics(folder: Path) -> dict[str, Any]:
    path = folder / "metrics.json"
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path} cannot be read: {error}") from error
    if not isinstance(read, dict) or not {"model", "threshold", "data_set"} <= read.keys():
        raise EvaluationError(f"{path} is not of an evaluation")
    return read
