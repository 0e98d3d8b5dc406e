"""What an evaluation comes to: every figure with its interval over patients, and the difference of two models.

All is computed from cases, so that it can be computed again without images or model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from ftmtl.evaluation.hits import HIT_RULES, IOU_02, HitRule
from ftmtl.evaluation.metrics import CountOn
from ftmtl.evaluation.statistics import Statistic, bootstrap, paired_bootstrap
from ftmtl.findings import FindingType

Figure = Callable[..., dict[str, Any] | None]


def measure(evaluation: Evaluation | Sequence[ImageCase], *, samples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Every figure of an evaluation.

    Parameters
    ----------
    evaluation
        An evaluation, or its cases.
    samples, seed
        Of the bootstrap over patients.

    Returns
    -------
    dict
        ``counts``; ``hit_rule`` (the one that suits the truth, outlines or circles); ``classification`` (AUC);
        ``detection`` (sensitivity by hit rule, by the images over which false positives are counted, and by their
        rate); ``detection_by_kind`` (number of lesions, and by hit rule the same of these, all images);
        ``segmentation`` (Dice); ``notes``. A figure is a dict of value, ends of its interval (None where no interval is
        computed), level, samples and skipped; or None where it is not defined, and a note says why.
    """
    cases = evaluation.cases if isinstance(evaluation, Evaluation) else evaluation
    skipped = evaluation.skipped if isinstance(evaluation, Evaluation) else ()
    notes: list[str] = []
    main = statistics(cases)
    natural = natural_rule(cases)

    def figure(title: str, statistic: Statistic, interval: bool = True) -> dict[str, Any] | None:
        return _figure(title, statistic, [case.patient for case in cases], samples if interval else 0, seed, notes)

    detection = {
        rule.name: {
            counted: _sensitivities(cases, rule, counted, figure, interval=rule in (IOU_02, natural))
            for counted in COUNTED
        }
        for rule in HIT_RULES.values()
    }
    metrics = {
        "counts": {**_counts(cases), "skipped_images": len(skipped)},
        "hit_rule": natural.name,
        "classification": {name: figure(TITLES[name], main[name]) for name in AUCS},
        "detection": detection,
        "detection_by_kind": _by_kind(cases, figure),
        "segmentation": {name: figure(TITLES[name], main[name]) for name in DICES},
    }
    notes += [f"Image {image_id} was skipped: {reason}" for image_id, reason in skipped]
    without_side = sum(case.breast is None for case in cases)
    if without_side:
        notes.append(f"{without_side} images are of no known side and belong to no breast.")
    return {**metrics, "notes": list(dict.fromkeys(notes))}


def compare(
    first: Sequence[ImageCase], second: Sequence[ImageCase], *, samples: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Difference ``first - second`` of two models' main figures on the same images; see `compare_runs`."""
    return compare_runs([first], [second], samples=samples, seed=seed)


def compare_runs(
    first: Sequence[Sequence[ImageCase]],
    second: Sequence[Sequence[ImageCase]],
    *,
    samples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Difference of two variants, each trained with several seeds: of the mean of the figure over its runs.

    Returns
    -------
    dict
        By figure (the keys of `TITLES`): ``first``, ``second``, and ``value``, ``low``, ``high``, ``level``,
        ``samples``, ``skipped``, ``p`` of the difference by paired bootstrap over patients; None where it is not
        defined; and ``notes``.

    Raises
    ------
    EvaluationError
        If the runs are not of the same images with the same lesions.
    """
    if not first or not second:
        raise EvaluationError("The evaluations are not of the same images with the same lesions: one has no run.")
    runs = aligned((*first, *second))
    patients = [case.patient for case in runs[0]]
    tables = [statistics(run) for run in runs]
    result: dict[str, Any] = {}
    notes = []
    for name, title in TITLES.items():
        one = _mean([table[name] for table in tables[: len(first)]])
        two = _mean([table[name] for table in tables[len(first) :]])
        try:
            interval = paired_bootstrap(one, two, patients, samples=samples, seed=seed)
            every = np.arange(len(patients))
            result[name] = {"first": one(every), "second": two(every), **asdict(interval)}
        except EvaluationError as error:
            notes.append(f"{title}: {error}")
            result[name] = None
    return {**result, "notes": notes}


def _sensitivities(
    cases: Sequence[ImageCase],
    rule: HitRule,
    counted: CountOn,
    figure: Figure,
    *,
    interval: bool,
    wanted: Callable[[LesionCase], bool] = lambda lesion: True,
    kind: str = "",
) -> dict[str, Any]:
    """Sensitivity at each rate, and their mean."""
    found = matches(cases, rule, wanted)
    title = f"Sensitivity{kind}, false positives on {counted} images"
    table: dict[str, Any] = {}
    for rate in RATES:
        table[f"{rate:g}"] = figure(title, sensitivity(found, rate, counted), interval)
    return {**table, "mean": figure(title, mean_sensitivity(found, counted), interval)}


def _by_kind(cases: Sequence[ImageCase], figure: Figure) -> dict[str, Any]:
    """Sensitivity for the lesions of each finding type, publisher's class and pathology that the data set tells apart.

    By IoU 0.2, and by centre in circle too where lesions have no outline.
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
                rule.name: _sensitivities(cases, rule, "all", figure, interval=True, wanted=wanted, kind=f" for {name}")
                for rule in rules
            }
            table[name] = {"lesions": count, **rows}
    return table


def _figure(
    title: str, statistic: Statistic, patients: Sequence[str], samples: int, seed: int, notes: list[str]
) -> dict[str, Any] | None:
    """One figure, with its interval if resamples are asked for; a note says what is not defined."""
    try:
        value = statistic(np.arange(len(patients)))
    except EvaluationError as error:
        notes.append(f"{title}: {error}")
        return None
    if samples:
        try:
            return asdict(bootstrap(statistic, patients, samples=samples, seed=seed))
        except EvaluationError as error:
            notes.append(f"{title}: {error}")
    return {"value": value, "low": None, "high": None, "level": None, "samples": 0, "skipped": 0}


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
