"""ROC curves, the area under them, and intervals by bootstrap over patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ftmtl.errors import EvaluationError

Statistic = Callable[[NDArray[np.intp]], float]
"""A figure of some of the cases, given by their numbers; raises EvaluationError where it is not defined."""


@dataclass(frozen=True)
class Roc:
    """A ROC curve: a point a threshold, from the strictest, with (0, 0) before them.

    Attributes
    ----------
    false_positive_rate, true_positive_rate
        0 to 1, ascending.
    thresholds
        Score from which a case is called positive; the first is infinite.
    auc
        Area under the curve.
    """

    false_positive_rate: NDArray[np.float64]
    true_positive_rate: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    auc: float


@dataclass(frozen=True)
class Interval:
    """A figure and its percentile interval by bootstrap.

    Attributes
    ----------
    value
        Over all cases.
    low, high
        Ends of the interval.
    level
        Its nominal coverage, such as 0.95.
    samples, skipped
        Resamples that were used, and those left out because the figure is not defined on them.
    """

    value: float
    low: float
    high: float
    level: float
    samples: int
    skipped: int


@dataclass(frozen=True)
class PairedInterval(Interval):
    """A difference between two models on the same cases.

    Attributes
    ----------
    p
        Two-sided: twice the share of resamples in which the difference is not on its side of 0, at most 1. One
        resample is added to either side (Davison and Hinkley 1997, 4.2), so it is never exactly 0.
    """

    p: float


def roc(scores: ArrayLike, labels: ArrayLike) -> Roc:
    """The whole ROC curve; cases of equal score are one threshold.

    Parameters
    ----------
    scores
        One a case, higher is more likely positive.
    labels
        True for positive, one a case.

    Raises
    ------
    EvaluationError
        If a class is missing or a score is not a number.
    """
    score, positive = _checked(scores, labels)
    order = np.argsort(-score, kind="stable")
    score, positive = score[order], positive[order]
    last = np.append(np.diff(score) != 0, True)
    true = np.append(0, np.cumsum(positive)[last]) / positive.sum()
    false = np.append(0, np.cumsum(~positive)[last]) / (~positive).sum()
    return Roc(false, true, np.append(np.inf, score[last]), auc(scores, labels))


def auc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve, by rank: the chance that a positive case scores above a negative one, ties at half.

    Raises
    ------
    EvaluationError
        If a class is missing or a score is not a number.
    """
    score, positive = _checked(scores, labels)
    negatives = np.sort(score[~positive])
    below = np.searchsorted(negatives, score[positive], "left")
    not_above = np.searchsorted(negatives, score[positive], "right")
    return float((below + not_above).mean() / 2 / len(negatives))


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    score, positive = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    if score.shape != positive.shape or score.ndim != 1:
        raise EvaluationError(f"An AUC needs one label a score, not {len(positive)} for {len(score)}.")
    if np.isnan(score).any():
        raise EvaluationError("An AUC needs scores that are numbers, and one of them is not.")
    if not positive.any() or positive.all():
        kind = "negative" if positive.any() else "positive"
        raise EvaluationError(f"An AUC needs cases of both classes, and there is no {kind} one.")
    return score, positive


def bootstrap(
    statistic: Statistic, groups: Sequence[str], *, samples: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Percentile interval of a figure, whole patients drawn with replacement (Efron and Tibshirani 1993).

    Parameters
    ----------
    statistic
        The figure, of case numbers; a case drawn twice comes twice.
    groups
        Patient of each case: cases of one patient are drawn together.
    samples
        Number of resamples. Those for which the figure is not defined are skipped and counted.
    seed
        The same seed draws the same patients.
    level
        Nominal coverage.

    Raises
    ------
    EvaluationError
        If the figure is not defined over all cases or on any resample, or there are fewer than two patients.
    """
    value = statistic(np.arange(len(groups)))
    values = _resampled(statistic, groups, samples, seed)
    low, high = _ends(values, level)
    return Interval(value, low, high, level, len(values), samples - len(values))


def paired_bootstrap(
    first: Statistic,
    second: Statistic,
    groups: Sequence[str],
    *,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> PairedInterval:
    """Interval of ``first - second``, one figure of two models, over identical resamples of the patients.

    Parameters are those of `bootstrap`.

    Raises
    ------
    EvaluationError
        If either figure is not defined over all cases or on any resample, or there are fewer than two patients.
    """

    def difference(cases: NDArray[np.intp]) -> float:
        return first(cases) - second(cases)

    value = difference(np.arange(len(groups)))
    values = _resampled(difference, groups, samples, seed)
    low, high = _ends(values, level)
    tail = min((values <= 0).sum(), (values >= 0).sum())
    p = min(1.0, 2 * float(tail + 1) / (len(values) + 1))
    return PairedInterval(value, low, high, level, len(values), samples - len(values), p)


def _resampled(statistic: Statistic, groups: Sequence[str], samples: int, seed: int) -> NDArray[np.float64]:
    values = []
    for cases in _draws(groups, samples, seed):
        try:
            values.append(statistic(cases))
        except EvaluationError:
            continue
    if not values:
        raise EvaluationError(f"The figure is not defined on any of {samples} resamples of the patients.")
    return np.array(values, dtype=np.float64)


def _draws(groups: Sequence[str], samples: int, seed: int) -> Iterator[NDArray[np.intp]]:
    members: dict[str, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(group, []).append(number)
    if len(members) < 2:
        raise EvaluationError("An interval needs two patients at least.")
    patients = [np.array(numbers, dtype=np.intp) for numbers in members.values()]
    rng = np.random.default_rng(seed)
    for _ in range(samples):
        yield np.concatenate([patients[i] for i in rng.integers(0, len(patients), len(patients))])


def _ends(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
