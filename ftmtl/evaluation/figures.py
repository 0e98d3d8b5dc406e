"""Figures computed from cases: AUC, sensitivity and Dice as functions of image numbers, and whole curves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftmtl.errors import EvaluationError
from ftmtl.evaluation.cases import FindingCase, ImageCase, LesionCase
from ftmtl.evaluation.hits import CENTRE_IN_CIRCLE, HIT_RULES, IOU_02, HitRule, assign
from ftmtl.evaluation.metrics import CountOn, Froc, Matches
from ftmtl.evaluation.statistics import Roc, Statistic, auc, roc

RATES = (0.25, 0.5, 1.0, 2.0)
"""Rates of false positives per image at which sensitivity is reported."""
TITLES = {
    "lesion_auc_true_boxes": "Lesion AUC on true boxes",
    "lesion_auc_end_to_end": "Lesion AUC end to end",
    "lesion_auc_found": "Lesion AUC end to end, found lesions only",
    "image_auc": "Image AUC",
    "breast_auc": "Breast AUC",
    "mean_sensitivity": "Mean sensitivity at 0.25 to 2 false positives per image (IoU 0.2)",
    "dice_detected": "Dice on detected lesions",
    "dice_with_misses": "Dice with misses as 0",
}
"""Titles of the main figures, by name."""
COUNTED: tuple[CountOn, ...] = ("all", "normal")
"""Choices of images on which false positives are counted."""
AUCS = ("lesion_auc_true_boxes", "lesion_auc_end_to_end", "lesion_auc_found", "image_auc", "breast_auc")
DICES = ("dice_detected", "dice_with_misses")


@dataclass(frozen=True)
class Curves:
    """Whole curves, without those that are not defined.

    Attributes
    ----------
    roc
        By name of the AUC.
    froc
        By name of the hit rule and by the images on which false positives are counted, ``all`` or ``normal``.
    """

    roc: dict[str, Roc]
    froc: dict[tuple[str, CountOn], Froc]


def curves(cases: Sequence[ImageCase]) -> Curves:
    """Compute all curves of an evaluation."""
    every = Curves({}, {})
    for name, (_, scores, labels) in _scored(cases).items():
        with suppress(EvaluationError):
            every.roc[name] = roc(scores, labels)
    for rule in HIT_RULES.values():
        found = matches(cases, rule)
        for counted in COUNTED:
            with suppress(EvaluationError):
                every.froc[rule.name, counted] = found.froc(count_on=counted)
    return every


def statistics(cases: Sequence[ImageCase]) -> dict[str, Statistic]:
    """Return the main figures (the keys of `TITLES`) as functions of image numbers, for resampling."""
    table: dict[str, Statistic] = {
        name: of_rows(image, len(cases), _auc(scores, labels))
        for name, (image, scores, labels) in _scored(cases).items()
    }
    table["mean_sensitivity"] = mean_sensitivity(matches(cases, IOU_02))
    image, values = _dice(cases)
    hit = ~np.isnan(values)
    table["dice_detected"] = of_rows(image[hit], len(cases), _mean_dice(values[hit]))
    table["dice_with_misses"] = of_rows(image, len(cases), _mean_dice(np.nan_to_num(values)))
    return table


def matches(
    cases: Sequence[ImageCase], rule: HitRule, wanted: Callable[[LesionCase], bool] = lambda lesion: True
) -> Matches:
    """Match findings, scored by lesion score, to the lesions that are wanted."""
    return Matches.of(
        [case.closeness(rule) for case in cases],
        [[finding.lesion_score for finding in case.findings] for case in cases],
        [[wanted(lesion) for lesion in case.lesions] for case in cases],
    )


def sensitivity(found: Matches, rate: float, counted: CountOn = "all") -> Statistic:
    """Return the sensitivity at a rate of false positives per image, as a function of image numbers."""
    return lambda chosen: found.froc(chosen, counted).at(rate)


def mean_sensitivity(found: Matches, counted: CountOn = "all") -> Statistic:
    """Return the mean of the sensitivities at `RATES`, as a function of image numbers."""

    def statistic(chosen: NDArray[np.intp]) -> float:
        curve = found.froc(chosen, counted)
        return float(np.mean([curve.at(rate) for rate in RATES]))

    return statistic


def hits(case: ImageCase, rule: HitRule = IOU_02) -> list[list[FindingCase]]:
    """Return the findings on each lesion of an image, in descending order of lesion score."""
    owners = assign(case.closeness(rule))
    found = [
        [f for f, owner in zip(case.findings, owners, strict=True) if owner == number]
        for number in range(len(case.lesions))
    ]
    return [sorted(on_it, key=lambda f: -f.lesion_score) for on_it in found]


def natural_rule(cases: Iterable[ImageCase]) -> HitRule:
    """Return IoU 0.2 if all lesions are outlined, otherwise centre in circle: circles only show where lesions are."""
    outlined = all(lesion.outlined for case in cases for lesion in case.lesions)
    return IOU_02 if outlined else CENTRE_IN_CIRCLE


def best_dice(case: ImageCase, number: int, found: Sequence[FindingCase]) -> float | None:
    """Return the Dice of the highest-scoring finding on a lesion; None without a finding or without an outline."""
    return found[0].closeness["dice"][number] if found and case.lesions[number].outlined else None


Rows = tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.bool_]]
"""Image number, score and label of each row, such as a lesion or a finding."""
Scored = dict[str, Rows]


def _scored(cases: Sequence[ImageCase]) -> Scored:
    """Return, by figure, image number, score and label of every lesion, image or breast whose label is known."""
    rows: dict[str, list[tuple[int, float, bool | None]]] = {name: [] for name in AUCS}
    breasts: dict[tuple[str, str], list[int]] = {}
    for number, case in enumerate(cases):
        rows["image_auc"].append((number, case.score, case.malignant))
        if case.breast is not None:
            breasts.setdefault(case.breast, []).append(number)
        for lesion, found in zip(case.lesions, hits(case), strict=True):
            score = max((f.cancer_score for f in found), default=0.0)
            rows["lesion_auc_true_boxes"].append((number, lesion.malignancy_score, lesion.malignant))
            rows["lesion_auc_end_to_end"].append((number, score, lesion.malignant))
            if found:
                rows["lesion_auc_found"].append((number, score, lesion.malignant))
    for views in breasts.values():
        label = _any_malignant(cases[i].malignant for i in views)
        rows["breast_auc"].append((views[0], max(cases[i].score for i in views), label))
    known = {name: [row for row in table if row[2] is not None] for name, table in rows.items()}
    return {
        name: (
            np.array([row[0] for row in table], dtype=np.intp),
            np.array([row[1] for row in table], dtype=np.float64),
            np.array([row[2] for row in table], dtype=bool),
        )
        for name, table in known.items()
    }


def _any_malignant(flags: Iterable[bool | None]) -> bool | None:
    """Return whether any flag is True; None if none is and one is unknown."""
    known = set(flags)
    return True if True in known else None if None in known else False


def _dice(cases: Sequence[ImageCase]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return image number and Dice of every lesion with an outline; NaN if the lesion was missed."""
    rows = [
        (number, np.nan if (value := best_dice(case, lesion, found)) is None else value)
        for number, case in enumerate(cases)
        for lesion, found in enumerate(hits(case))
        if case.lesions[lesion].outlined
    ]
    return np.array([image for image, _ in rows], dtype=np.intp), np.array([value for _, value in rows], dtype=float)


def of_rows(image: NDArray[np.intp], images: int, figure: Callable[[NDArray[np.intp]], float]) -> Statistic:
    """Turn a function of rows, such as lesions, into a function of images; a row appears as often as its image."""

    def statistic(chosen: NDArray[np.intp]) -> float:
        times = np.bincount(chosen, minlength=images)
        return figure(np.repeat(np.arange(len(image)), times[image]))

    return statistic


def _auc(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> Callable[[NDArray[np.intp]], float]:
    return lambda rows: auc(scores[rows], labels[rows])


def _mean_dice(values: NDArray[np.float64]) -> Callable[[NDArray[np.intp]], float]:
    def figure(rows: NDArray[np.intp]) -> float:
        if not len(rows):
            raise EvaluationError("Dice needs lesions with an outline (of those detected, if misses do not count).")
        return float(values[rows].mean())

    return figure
