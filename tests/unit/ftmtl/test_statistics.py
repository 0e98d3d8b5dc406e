"""AUC agrees with scikit-learn; bootstrap keeps patients together, covers, and is the same for the same seed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ftmtl.errors import EvaluationError
from ftmtl.evaluation.metrics import Resampling, auc, bootstrap, paired_bootstrap, roc


@pytest.mark.parametrize("seed", range(20))
def test_auc_agrees_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.append(rng.random(int(rng.integers(3, 60))) < 0.3, [True, False])
    scores = np.round(rng.random(len(labels)) + 0.3 * labels, int(rng.integers(0, 3)))
    expected = roc_auc_score(labels, scores)
    assert auc(scores, labels) == pytest.approx(expected)
    curve = roc(scores, labels)
    points = list(zip(curve.false_positive_rate, curve.true_positive_rate, strict=True))
    area = sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairwise(points))
    assert area == pytest.approx(expected)
    assert curve.auc == pytest.approx(expected)
    assert points[0] == (0, 0)
    assert points[-1] == (1, 1)
    for threshold, (false, true) in zip(curve.thresholds, points, strict=True):
        assert true == pytest.approx((scores[labels] >= threshold).mean())
        assert false == pytest.approx((scores[~labels] >= threshold).mean())


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0.1, 0.2], [True, True], "there is no negative one"),
        ([0.1, 0.2], [False, False], "there is no positive one"),
        ([], [], "there is no positive one"),
        ([0.1, float("nan")], [True, False], "scores that are numbers"),
        ([0.1, 0.2], [True], "one label per score"),
    ],
)
def test_an_auc_that_is_not_defined(scores: list[float], labels: list[bool], message: str) -> None:
    for function in (auc, roc):
        with pytest.raises(EvaluationError, match=message):
            function(scores, labels)


def mean_of(values: np.ndarray):
    return lambda cases: float(values[cases].mean())


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for trial in range(100):
        values = rng.normal(3.0, 1.0, 40)
        interval = bootstrap(mean_of(values), [str(i) for i in range(40)], Resampling(samples=200, seed=trial))
        assert interval.low < interval.value < interval.high
        covered += interval.low <= 3.0 <= interval.high
    assert 86 <= covered <= 99


def test_the_same_seed_gives_the_same_interval() -> None:
    values, groups = np.random.default_rng(1).random(30), [str(i // 2) for i in range(30)]
    first, second = (bootstrap(mean_of(values), groups, Resampling(samples=100, seed=4)) for _ in range(2))
    assert first == second
    assert first != bootstrap(mean_of(values), groups, Resampling(samples=100, seed=5))


def test_images_of_a_patient_are_drawn_together() -> None:
    """Four equal images per patient tell no more than one: the interval is that of the patients, not of the images."""
    per_patient = np.random.default_rng(2).random(20)
    values, patients = np.repeat(per_patient, 4), np.repeat([str(i) for i in range(20)], 4)
    together = bootstrap(mean_of(values), list(patients))
    alone = bootstrap(mean_of(per_patient), [str(i) for i in range(20)])
    apart = bootstrap(mean_of(values), [str(i) for i in range(80)])
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_resamples_without_the_figure_are_skipped_and_counted() -> None:
    scores, labels = np.array([0.1, 0.9, 0.2]), np.array([False, True, False])
    interval = bootstrap(lambda cases: auc(scores[cases], labels[cases]), ["a", "b", "c"], Resampling(samples=200))
    assert interval.samples + interval.skipped == 200
    assert 40 < interval.skipped < 140
    with pytest.raises(EvaluationError, match="two patients"):
        bootstrap(mean_of(scores), ["a", "a", "a"])
    with pytest.raises(EvaluationError, match="no positive one"):
        bootstrap(lambda cases: auc(scores[cases], [False] * len(cases)), ["a", "b", "c"])


def test_two_equal_models_do_not_differ() -> None:
    values, groups = np.random.default_rng(3).random(20), [str(i) for i in range(20)]
    same = paired_bootstrap(mean_of(values), mean_of(values), groups)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_a_constant_difference_is_seen_through_the_spread_of_the_cases() -> None:
    values, groups = np.random.default_rng(3).normal(0, 10, 20), [str(i) for i in range(20)]
    better = paired_bootstrap(mean_of(values + 0.1), mean_of(values), groups, Resampling(samples=999))
    assert (better.value, better.low, better.high) == pytest.approx((0.1, 0.1, 0.1))
    assert better.p == pytest.approx(2 / 1000)
    noise = paired_bootstrap(mean_of(values), mean_of(np.random.default_rng(4).permutation(values)), groups)
    assert noise.low < 0 < noise.high
    assert noise.p > 0.05
