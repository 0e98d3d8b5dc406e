"""The figures of an evaluation with their intervals over patients, and the differences between two models.

All figures are computed from cases, so they can be computed again without the images or the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ftmtl.errors import EvaluationError
from ftmtl.evaluation.cases import Evaluation, ImageCase, LesionCase, aligned
from ftmtl.evaluation.figures import (
    AUCS,
    COUNTED,
    DICES,
    RATES,
    TITLES,
    matches,
    mean_sensitivity,
    natural_rule,
    sensitivity,
    statistics,
)
from ftmtl.evaluation.hits import HIT_RULES, IOU_02
from ftmtl.evaluation.metrics import CountOn, Matches
from ftmtl.evaluation.statistics import DEFAULT_RESAMPLING, Resampling, Statistic, bootstrap, paired_bootstrap
from ftmtl.findings import FindingType


def measure(
    evaluation: Evaluation | Sequence[ImageCase], *, resampling: Resampling = DEFAULT_RESAMPLING
) -> dict[str, Any]:
    """Compute all figures of an evaluation.

    Parameters
    ----------
    evaluation
        An evaluation, or its cases.
    resampling
        Resampling of the bootstrap over patients; with 0 samples, there are no intervals.

    Returns
    -------
    dict
        ``counts``; ``hit_rule`` (the one that suits the truth, outlines or circles); ``classification`` (AUC);
        ``detection`` (sensitivity by hit rule, by the images on which false positives are counted, and by their rate);
        ``detection_by_kind`` (for each kind, the number of lesions, and their sensitivity by hit rule, with false
        positives on all images); ``segmentation`` (Dice); ``notes``. A figure is a dict of value, low, high (None if
        no interval is computed), level, samples and skipped. Where a figure is not defined, it is None and there is a
        note.
    """
    cases = evaluation.cases if isinstance(evaluation, Evaluation) else evaluation
    skipped = evaluation.skipped if isinstance(evaluation, Evaluation) else ()
    figures = Figures([case.patient for case in cases], resampling)
    main = statistics(cases)
    natural = natural_rule(cases)
    detection = {}
    for rule in HIT_RULES.values():
        found = matches(cases, rule)
        interval = rule in (IOU_02, natural)
        detection[rule.name] = {
            counted: figures.sensitivities(found, counted, interval=interval) for counted in COUNTED
        }
    metrics = {
        "counts": {**_counts(cases), "skipped_images": len(skipped)},
        "hit_rule": natural.name,
        "classification": {name: figures.figure(TITLES[name], main[name]) for name in AUCS},
        "detection": detection,
        "detection_by_kind": _by_kind(cases, figures),
        "segmentation": {name: figures.figure(TITLES[name], main[name]) for name in DICES},
    }
    notes = figures.notes + [f"Image {image_id} was skipped: {reason}" for image_id, reason in skipped]
    without_side = sum(case.breast is None for case in cases)
    if without_side:
        notes.append(f"Images of unknown laterality, which are left out of the breast figures: {without_side}.")
    return {**metrics, "notes": list(dict.fromkeys(notes))}


def compare(
    first: Sequence[ImageCase], second: Sequence[ImageCase], *, resampling: Resampling = DEFAULT_RESAMPLING
) -> dict[str, Any]:
    """Compute the differences ``first - second`` of two models' main figures on the same images; see `compare_runs`."""
    return compare_runs([first], [second], resampling=resampling)


def compare_runs(
    first: Sequence[Sequence[ImageCase]],
    second: Sequence[Sequence[ImageCase]],
    *,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> dict[str, Any]:
    """Compute the differences between two variants, each a mean over runs with different seeds.

    Returns
    -------
    dict
        For each figure (the keys of `TITLES`), ``first``, ``second``, and ``value``, ``low``, ``high``, ``level``,
        ``samples``, ``skipped`` and ``p`` of the difference by paired bootstrap over patients, or None if it is not
        defined; and ``notes``.

    Raises
    ------
    EvaluationError
        If the runs are not of the same images with the same lesions.
    """
    if not first or not second:
        raise EvaluationError("The evaluations are not of the same images with the same lesions: one has no runs.")
    runs = aligned((*first, *second))
    patients = [case.patient for case in runs[0]]
    tables = [statistics(run) for run in runs]
    result: dict[str, Any] = {}
    notes = []
    for name, title in TITLES.items():
        one = _mean([table[name] for table in tables[: len(first)]])
        two = _mean([table[name] for table in tables[len(first) :]])
        try:
            interval = paired_bootstrap(one, two, patients, resampling)
            every = np.arange(len(patients))
            result[name] = {"first": one(every), "second": two(every), **asdict(interval)}
        except EvaluationError as error:
            notes.append(f"{title}: {error}")
            result[name] = None
    return {**result, "notes": notes}


class Figures:
    """Computes figures of the same cases, and keeps a note of each that is not defined.

    Parameters
    ----------
    patients
        Patient of each case.
    resampling
        Resampling of the bootstrap over patients; with 0 samples, there are no intervals.

    Attributes
    ----------
    notes
        In the order in which the figures were computed.
    """

    def __init__(self, patients: Sequence[str], resampling: Resampling) -> None:
        self.patients = patients
        self.resampling = resampling
        self.notes: list[str] = []

    def figure(self, title: str, statistic: Statistic, *, interval: bool = True) -> dict[str, Any] | None:
        """Return one figure, with its interval if that is wanted; None where the figure is not defined."""
        try:
            value = statistic(np.arange(len(self.patients)))
        except EvaluationError as error:
            self.notes.append(f"{title}: {error}")
            return None
        if interval and self.resampling.samples:
            try:
                return asdict(bootstrap(statistic, self.patients, self.resampling))
            except EvaluationError as error:
                self.notes.append(f"{title}: {error}")
        return {"value": value, "low": None, "high": None, "level": None, "samples": 0, "skipped": 0}

    def sensitivities(
        self, found: Matches, counted: CountOn, *, kind: str = "", interval: bool = True
    ) -> dict[str, dict[str, Any] | None]:
        """Return the sensitivity at each rate, and their mean; ``kind`` names the lesions in notes."""
        title = f"Sensitivity{kind}, false positives on {counted} images"
        table = {
            f"{rate:g}": self.figure(title, sensitivity(found, rate, counted), interval=interval) for rate in RATES
        }
        return {**table, "mean": self.figure(title, mean_sensitivity(found, counted), interval=interval)}


def _by_kind(cases: Sequence[ImageCase], figures: Figures) -> dict[str, Any]:
    """Compute the sensitivity for each finding type, publisher's class and pathology in the data set.

    The hit rules are IoU 0.2 and, if lesions have no outline, centre in circle.
    """
    lesions = [lesion for case in cases for lesion in case.lesions]
    rules = dict.fromkeys([IOU_02, natural_rule(cases)])
    known = [kind.value for kind in FindingType if kind is not FindingType.LESION]
    table: dict[str, Any] = {}
    for name in (*known, *sorted({lesion.label for lesion in lesions} - {""}), "malignant", "benign"):

        def wanted(lesion: LesionCase, name: str = name) -> bool:
            return name in lesion.kinds

        if count := sum(map(wanted, lesions)):
            rows = {
                rule.name: figures.sensitivities(matches(cases, rule, wanted), "all", kind=f" for {name}")
                for rule in rules
            }
            table[name] = {"lesions": count, **rows}
    return table


def _counts(cases: Sequence[ImageCase]) -> dict[str, int]:
    lesions = [lesion for case in cases for lesion in case.lesions]
    return {
        "patients": len({case.patient for case in cases}),
        "breasts": len({case.breast for case in cases} - {None}),
        "images": len(cases),
        "malignant_images": sum(case.malignant is True for case in cases),
        "images_of_unknown_pathology": sum(case.malignant is None for case in cases),
        "normal_images": sum(not case.lesions for case in cases),
        "lesions": len(lesions),
        "malignant_lesions": sum(lesion.malignant is True for lesion in lesions),
        "benign_lesions": sum(lesion.malignant is False for lesion in lesions),
        "lesions_with_outline": sum(lesion.outlined for lesion in lesions),
        "findings": sum(len(case.findings) for case in cases),
    }


def _mean(figures: Sequence[Statistic]) -> Statistic:
    return lambda chosen: float(np.mean([figure(chosen) for figure in figures]))
