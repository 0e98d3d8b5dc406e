"""ROC curves, areas under them, and bootstrap intervals over patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ftmtl.errors import EvaluationError

Statistic = Callable[[NDArray[np.intp]], float]
"""A figure as a function of the numbers of cases; raises EvaluationError where it is not defined."""


@dataclass(frozen=True)
class Roc:
    """A ROC curve, with one point per threshold, beginning with the strictest.

    Attributes
    ----------
    false_positive_rate, true_positive_rate
        0 to 1, ascending; the first point is (0, 0).
    thresholds
        Score from which a case is classified as positive; the first is infinite.
    auc
        Area under the curve.
    """

    false_positive_rate: NDArray[np.float64]
    true_positive_rate: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    auc: float


@dataclass(frozen=True)
class Resampling:
    """Settings of a bootstrap.

    Attributes
    ----------
    samples
        Number of resamples.
    seed
        Seed of the random choice of patients.
    level
        Nominal coverage of the interval.
    """

    samples: int = 1000
    seed: int = 0
    level: float = 0.95


DEFAULT_RESAMPLING = Resampling()


@dataclass(frozen=True)
class Interval:
    """A figure with its bootstrap percentile interval.

    Attributes
    ----------
    value
        The figure for all cases.
    low, high
        Ends of the interval.
    level
        Nominal coverage of the interval, such as 0.95.
    samples, skipped
        Number of resamples that were used, and of those on which the figure is not defined.
    """

    value: float
    low: float
    high: float
    level: float
    samples: int
    skipped: int


@dataclass(frozen=True)
class PairedInterval(Interval):
    """A difference between two models on the same cases, with its bootstrap percentile interval.

    Attributes
    ----------
    p
        Two-sided p-value: twice the fraction of resamples in which the difference has the less frequent sign or is 0,
        at most 1. One is added to numerator and denominator (Davison and Hinkley 1997, 4.2), so p is never exactly 0.
    """

    p: float


def roc(scores: ArrayLike, labels: ArrayLike) -> Roc:
    """Compute the whole ROC curve; cases of equal score share one threshold.

    Parameters
    ----------
    scores
        One per case; positive cases should have higher scores.
    labels
        One per case; True for positive.

    Raises
    ------
    EvaluationError
        If there are no positive or no negative cases, or a score is not a number.
    """
    score, positive = _checked(scores, labels)
    order = np.argsort(-score, kind="stable")
    score, positive = score[order], positive[order]
    last = np.append(np.diff(score) != 0, True)
    true = np.append(0, np.cumsum(positive)[last]) / positive.sum()
    false = np.append(0, np.cumsum(~positive)[last]) / (~positive).sum()
    return Roc(false, true, np.append(np.inf, score[last]), auc(scores, labels))


def auc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Compute the area under the ROC curve from ranks.

    It is the probability that a positive case has a higher score than a negative one, where ties count as half.

    Raises
    ------
    EvaluationError
        If there are no positive or no negative cases, or a score is not a number.
    """
    score, positive = _checked(scores, labels)
    negatives = np.sort(score[~positive])
    below = np.searchsorted(negatives, score[positive], "left")
    not_above = np.searchsorted(negatives, score[positive], "right")
    return float((below + not_above).mean() / 2 / len(negatives))


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    score, positive = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    if score.shape != positive.shape or score.ndim != 1:
        raise EvaluationError(f"An AUC needs one label per score, not {len(positive)} for {len(score)}.")
    if np.isnan(score).any():
        raise EvaluationError("An AUC needs scores that are numbers, and one of them is not.")
    if not positive.any() or positive.all():
        kind = "negative" if positive.any() else "positive"
        raise EvaluationError(f"An AUC needs cases of both classes, and there is no {kind} one.")
    return score, positive


def bootstrap(statistic: Statistic, groups: Sequence[str], resampling: Resampling = DEFAULT_RESAMPLING) -> Interval:
    """Compute a figure with its percentile interval, drawing patients with replacement (Efron and Tibshirani 1993).

    Resamples on which the figure is not defined are skipped and counted.

    Parameters
    ----------
    statistic
        The figure as a function of case numbers; a case that is drawn twice appears twice.
    groups
        The patient of each case; all cases of a patient are drawn together.
    resampling
        Number of resamples, their seed, and the coverage of the interval.

    Raises
    ------
    EvaluationError
        If the figure is not defined for all cases together or on any resample, or there are fewer than two patients.
    """
    value = statistic(np.arange(len(groups)))
    values = _resampled(statistic, groups, resampling)
    low, high = _ends(values, resampling.level)
    return Interval(value, low, high, resampling.level, len(values), resampling.samples - len(values))


def paired_bootstrap(
    first: Statistic, second: Statistic, groups: Sequence[str], resampling: Resampling = DEFAULT_RESAMPLING
) -> PairedInterval:
    """Compute ``first - second``, a figure of two models, with its interval over the same resamples of the patients.

    The parameters are those of `bootstrap`.

    Raises
    ------
    EvaluationError
        If either figure is not defined for all cases together, no resample has both figures, or there are fewer than
        two patients.
    """

    def difference(cases: NDArray[np.intp]) -> float:
        return first(cases) - second(cases)

    value = difference(np.arange(len(groups)))
    values = _resampled(difference, groups, resampling)
    low, high = _ends(values, resampling.level)
    tail = min((values <= 0).sum(), (values >= 0).sum())
    p = min(1.0, 2 * float(tail + 1) / (len(values) + 1))
    return PairedInterval(value, low, high, resampling.level, len(values), resampling.samples - len(values), p)


def _resampled(statistic: Statistic, groups: Sequence[str], resampling: Resampling) -> NDArray[np.float64]:
    values = []
    for cases in _draws(groups, resampling):
        try:
            values.append(statistic(cases))
        except EvaluationError:
            continue
    if not values:
        raise EvaluationError(f"The figure is not defined on any of {resampling.samples} resamples of the patients.")
    return np.array(values, dtype=np.float64)


def _draws(groups: Sequence[str], resampling: Resampling) -> Iterator[NDArray[np.intp]]:
    members: dict[str, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(group, []).append(number)
    if len(members) < 2:
        raise EvaluationError("An interval needs at least two patients.")
    patients = [np.array(numbers, dtype=np.intp) for numbers in members.values()]
    rng = np.random.default_rng(resampling.seed)
    for _ in range(resampling.samples):
        yield np.concatenate([patients[i] for i in rng.integers(0, len(patients), len(patients))])


def _ends(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
