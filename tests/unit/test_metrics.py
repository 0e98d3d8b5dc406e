"""The metrics agree with plain, slow implementations on random cases, ties and empties among them."""

from __future__ import annotations

import numpy as np
import pytest

from ftmtl.findings import LesionMask
from ftmtl.metrics import ImageTruth, dice, froc, iou

BOX = (10.0, 10.0, 30.0, 30.0)
FAR = (60.0, 60.0, 80.0, 80.0)


def brute_force(detections, truths, threshold: float, hit_iou: float) -> tuple[float, float]:
    """False positives an image and sensitivity at one threshold, counted by hand."""
    hit, wrong, wanted = set(), 0, 0
    for number, (found, truth) in enumerate(zip(detections, truths, strict=True)):
        wanted += sum(truth.wanted)
        for box, score in found:
            if score < threshold:
                continue
            overlaps = [iou(box, b) for b in truth.boxes]
            if not overlaps or max(overlaps) < hit_iou:
                wrong += 1
            elif truth.wanted[overlaps.index(max(overlaps))]:
                hit.add((number, overlaps.index(max(overlaps))))
    return wrong / max(len(truths), 1), len(hit) / max(wanted, 1)


@pytest.mark.parametrize("seed", range(20))
def test_froc_agrees_with_counting(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def boxes(count: int) -> list[tuple[float, float, float, float]]:
        corners = rng.uniform(0, 60, (count, 2))
        return [(x, y, x + rng.uniform(5, 30), y + rng.uniform(5, 30)) for x, y in corners]

    truths, detections = [], []
    for _ in range(8):
        true = boxes(int(rng.integers(0, 3)))
        truths.append(ImageTruth(true, [bool(rng.random() < 0.7) for _ in true]))
        found = boxes(int(rng.integers(0, 6))) + [tuple(np.array(b) + rng.uniform(-3, 3, 4)) for b in true]
        detections.append([(box, float(rng.integers(0, 6)) / 5) for box in found])
    curve = froc(detections, truths)
    for threshold, false_positives, sensitivity in zip(
        curve.thresholds, curve.false_positives, curve.sensitivity, strict=True
    ):
        assert (false_positives, sensitivity) == pytest.approx(brute_force(detections, truths, threshold, 0.2))
    assert (np.diff(curve.false_positives) >= 0).all()
    assert (np.diff(curve.sensitivity) >= 0).all()


def test_sensitivity_at_a_rate_of_false_positives() -> None:
    truths = [ImageTruth([BOX], [True]), ImageTruth([], [])]
    curve = froc([[(BOX, 0.5)], [(FAR, 0.9)]], truths)
    assert curve.at(0.4) == 0.0
    assert curve.at(0.5) == 1.0


def test_nothing_found_and_nothing_to_find() -> None:
    assert froc([[], []], [ImageTruth([BOX], [True]), ImageTruth([], [])]).at(10) == 0.0
    assert froc([], []).at(1) == 0.0


def test_iou_of_half_open_boxes() -> None:
    assert iou(BOX, BOX) == 1.0
    assert iou(BOX, (30.0, 10.0, 50.0, 30.0)) == 0.0
    assert iou(BOX, (20.0, 10.0, 40.0, 30.0)) == pytest.approx(1 / 3)


@pytest.mark.parametrize("seed", range(10))
def test_dice_agrees_with_whole_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = []
    for _ in range(2):
        pixels = rng.random((int(rng.integers(3, 15)), int(rng.integers(3, 15)))) < 0.6
        masks.append(LesionMask(pixels, int(rng.integers(0, 15)), int(rng.integers(0, 15))))
    a, b = (mask.paste(40, 40) for mask in masks)
    assert dice(*masks) == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
