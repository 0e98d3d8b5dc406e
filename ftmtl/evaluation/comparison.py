"""Comparison of several models on the same images: a table, a plot, and the differences from the first model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from ftmtl.errors import EvaluationError
from ftmtl.evaluation.cases import ImageCase, LesionCase, aligned
from ftmtl.evaluation.figures import RATES, matches, sensitivity, statistics
from ftmtl.evaluation.hits import HitRule
from ftmtl.evaluation.metrics import Matches
from ftmtl.evaluation.plots import froc_plot, with_interval
from ftmtl.evaluation.statistics import DEFAULT_RESAMPLING, Resampling, Statistic, bootstrap, paired_bootstrap

_OTHERS = {
    "lesion_auc_true_boxes": "AUC, true boxes",
    "lesion_auc_end_to_end": "AUC end to end",
    "image_auc": "AUC per image",
    "dice_detected": "Dice, detected",
}


def write_comparison(
    models: Mapping[str, Sequence[ImageCase]],
    folder: Path,
    *,
    rule: HitRule,
    kinds: Sequence[str] = (),
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> str:
    """Write ``comparison.md`` and ``froc.png``, and return the text of the former.

    Parameters
    ----------
    models
        Cases of each model, by the name to print. The others are compared with the first one.
    kinds
        Kinds of lesion that count, as in `LesionCase.kinds`; all by default. Findings on other lesions are neither hits
        nor false positives.
    resampling
        Resampling of the bootstrap over patients.

    Raises
    ------
    EvaluationError
        If there are no lesions of these kinds, or the evaluations are not of the same images.
    """
    runs = dict(zip(models, aligned(models.values()), strict=True))
    first = next(iter(runs.values()))
    count = sum(_wanted(kinds)(lesion) for case in first for lesion in case.lesions)
    if not count:
        raise EvaluationError(f"There is no lesion{' of the kind ' if kinds else ''}{' or '.join(kinds)}.")
    found = {name: matches(run, rule, _wanted(kinds)) for name, run in runs.items()}
    patients = [case.patient for case in first]

    def interval(figure: Statistic) -> str:
        try:
            return with_interval(asdict(bootstrap(figure, patients, resampling)))
        except EvaluationError:
            return with_interval(None)

    rates = [f"at {rate:g}" for rate in RATES]
    lines = [f"| model | {' | '.join([*rates, *_OTHERS.values()])} |", "|---" * (1 + len(rates) + len(_OTHERS)) + "|"]
    for name, run in runs.items():
        table = statistics(run)
        figures = [sensitivity(found[name], rate) for rate in RATES] + [table[key] for key in _OTHERS]
        lines.append(f"| {name} | {' | '.join(map(interval, figures))} |")
    lines += ["", *_differences(found, patients, resampling), ""]
    what = " and ".join(kinds) if kinds else "all lesions"
    lines += [
        f"Sensitivity ({what}: {count}) at 0.25 to 2 false positives per image, {len(first)} images, hit rule: "
        f"{rule.name}. 95% intervals by bootstrap over {len(set(patients))} patients. AUC and Dice are for all "
        "lesions. Research use only.",
        "",
    ]
    text = "\n".join(lines)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comparison.md").write_text(text, encoding="utf-8")
    curves = {name: found[name].froc() for name in runs}
    (folder / "froc.png").write_bytes(froc_plot(curves, f"FROC, {what}, {rule.name}"))
    return text


def _differences(found: Mapping[str, Matches], patients: Sequence[str], resampling: Resampling) -> list[str]:
    """Return the table of differences in sensitivity from the first model, over the same resamples."""
    (base, reference), *others = found.items()
    if not others:
        return []
    lines = [f"| minus {base} | {' | '.join(f'at {rate:g}' for rate in RATES)} |", "|---" * (1 + len(RATES)) + "|"]
    for name, other in others:
        cells = []
        for rate in RATES:
            gap = paired_bootstrap(sensitivity(other, rate), sensitivity(reference, rate), patients, resampling)
            cells.append(with_interval(asdict(gap), sign="+"))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _wanted(kinds: Sequence[str]) -> Callable[[LesionCase], bool]:
    def wanted(lesion: LesionCase) -> bool:
        return not kinds or not lesion.kinds.isdisjoint(kinds)

    return wanted
