"""The metrics agree with plain, slow implementations on random cases, ties and empties among them."""

from __future__ import annotations

import numpy as np
import pytest

from ftmtl.errors import EvaluationError
from ftmtl.evaluation.metrics import (
    CENTRE,
    CENTRE_IN_CIRCLE,
    DICE_02,
    HIT_RULES,
    IOU_02,
    IOU_05,
    Detected,
    HitRule,
    ImageTruth,
    dice,
    froc,
    iou,
    match,
)
from ftmtl.findings import LesionMask

BOX = (10.0, 10.0, 30.0, 30.0)
FAR = (60.0, 60.0, 80.0, 80.0)
SIDE = 110


def painted(box, mask: LesionMask | None) -> np.ndarray:
    """The whole image with a mask on it, or with its box filled."""
    if mask is not None:
        return mask.paste(SIDE, SIDE)
    x0, y0, x1, y1 = (round(edge) for edge in box)
    image = np.zeros((SIDE, SIDE), dtype=bool)
    image[y0:y1, x0:x1] = True
    return image


def plain_closeness(rule: HitRule, detected: Detected, box, mask: LesionMask | None) -> float:
    """What the rule says, computed without the code under test; 0 for no hit."""
    if rule in (IOU_02, IOU_05):
        overlap = iou(detected.box, box)
        return overlap if overlap >= {IOU_02: 0.2, IOU_05: 0.5}[rule] else 0
    if rule is DICE_02:
        a, b = painted(detected.box, detected.mask), painted(box, mask)
        overlap = 2 * (a & b).sum() / (a.sum() + b.sum())
        return overlap if overlap >= 0.2 else 0
    x, y = (detected.box[0] + detected.box[2]) / 2, (detected.box[1] + detected.box[3]) / 2
    from_x, from_y = abs(x - (box[0] + box[2]) / 2), abs(y - (box[1] + box[3]) / 2)
    width, height = box[2] - box[0], box[3] - box[1]
    if rule is CENTRE:
        inside = from_x <= width / 2 and from_y <= height / 2
    else:
        inside = from_x**2 + from_y**2 <= (min(width, height) / 2) ** 2
    return 1e6 - (from_x**2 + from_y**2) if inside else 0


def brute_force(detections, truths, threshold: float, rule: HitRule, normal_only: bool) -> tuple[float, float]:
    """False positives per image and sensitivity at one threshold, counted by hand."""
    hit, wrong, wanted, images = set(), 0, 0, 0
    for number, (found, truth) in enumerate(zip(detections, truths, strict=True)):
        wanted += sum(truth.wanted)
        counts = not normal_only or not truth.boxes
        images += counts
        for detected in found:
            if detected.score < threshold:
                continue
            near = [plain_closeness(rule, detected, b, m) for b, m in zip(truth.boxes, truth.masks, strict=True)]
            if not near or max(near) == 0:
                wrong += counts
            elif truth.wanted[near.index(max(near))]:
                hit.add((number, near.index(max(near))))
    return wrong / images, len(hit) / wanted


def random_boxes(rng: np.random.Generator, count: int) -> list[tuple[float, float, float, float]]:
    corners = rng.uniform(5, 60, (count, 2))
    return [(x, y, x + rng.uniform(5, 30), y + rng.uniform(5, 30)) for x, y in corners]


def random_mask(rng: np.random.Generator, box) -> LesionMask | None:
    if rng.random() < 0.3:
        return None
    x0, y0, x1, y1 = (round(edge) for edge in box)
    return LesionMask(rng.random((y1 - y0, x1 - x0)) < 0.6, x0, y0)


def random_case(rng: np.random.Generator) -> tuple[list[list[Detected]], list[ImageTruth]]:
    """Ten images, at least one of them normal and one with a wanted lesion; scores have ties."""
    truths, detections = [ImageTruth([], []), ImageTruth([BOX], [True], [None])], [[], [Detected(FAR, 0.4)]]
    for _ in range(8):
        true = random_boxes(rng, int(rng.integers(0, 3)))
        wanted = [bool(rng.random() < 0.7) for _ in true]
        truths.append(ImageTruth(true, wanted, [random_mask(rng, box) for box in true]))
        near = [tuple(np.array(box) + rng.uniform(-4, 4, 4)) for box in true]
        found = random_boxes(rng, int(rng.integers(0, 6))) + near + near
        detections.append([Detected(box, float(rng.integers(0, 6)) / 5, random_mask(rng, box)) for box in found])
    return detections, truths


@pytest.mark.parametrize("count_on", ["all", "normal"])
@pytest.mark.parametrize("name", HIT_RULES)
@pytest.mark.parametrize("seed", range(8))
def test_froc_agrees_with_counting(seed: int, name: str, count_on: str) -> None:
    detections, truths = random_case(np.random.default_rng(seed))
    curve = froc(detections, truths, HIT_RULES[name], count_on=count_on)
    assert len(set(curve.thresholds)) == len(curve.thresholds) > 0
    for threshold, false_positives, sensitivity in zip(
        curve.thresholds, curve.false_positives, curve.sensitivity, strict=True
    ):
        expected = brute_force(detections, truths, threshold, HIT_RULES[name], count_on == "normal")
        assert (false_positives, sensitivity) == pytest.approx(expected)
    assert (np.diff(curve.false_positives) >= 0).all()
    assert (np.diff(curve.sensitivity) >= 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_curve_of_chosen_images_is_that_of_those_images_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    detections, truths = random_case(rng)
    chosen = np.append(rng.integers(0, len(truths), 12), 1)
    part = match(detections, truths).froc(chosen)
    alone = froc([detections[i] for i in chosen], [truths[i] for i in chosen])
    for rate in (0, 0.1, 0.25, 0.5, 1, 2, 5):
        assert part.at(rate) == pytest.approx(alone.at(rate))


def test_sensitivity_at_a_rate_of_false_positives() -> None:
    truths = [ImageTruth([BOX], [True]), ImageTruth([], [])]
    detections = [[Detected(BOX, 0.5)], [Detected(FAR, 0.9)]]
    curve = froc(detections, truths)
    assert curve.at(0.4) == 0.0
    assert curve.at(0.5) == 1.0
    assert froc(detections, truths, count_on="normal").at(0.5) == 0.0
    assert froc(detections, truths, count_on="normal").at(1) == 1.0


def test_nothing_found_and_nothing_to_find() -> None:
    assert froc([[], []], [ImageTruth([BOX], [True]), ImageTruth([], [])]).at(10) == 0.0
    for truths in ([], [ImageTruth([], [])], [ImageTruth([BOX], [False])]):
        with pytest.raises(EvaluationError, match="needs at least one lesion that counts"):
            froc([[] for _ in truths], truths)
    with pytest.raises(EvaluationError, match="needs normal images"):
        froc([[]], [ImageTruth([BOX], [True])], count_on="normal")


def test_the_circle_is_inscribed_in_the_box() -> None:
    corner = Detected((10.0, 10.0, 14.0, 14.0), 1.0)
    assert CENTRE.closeness(corner, BOX) > 0
    assert CENTRE_IN_CIRCLE.closeness(corner, BOX) == 0
    assert CENTRE_IN_CIRCLE.closeness(Detected((18.0, 11.0, 22.0, 13.0), 1.0), BOX) > 0


def test_a_box_stands_for_a_mask_that_is_not_known() -> None:
    half = LesionMask(np.ones((20, 10), dtype=bool), 10, 10)
    assert HitRule("Dice", "dice").closeness(Detected(BOX, 1.0), BOX) == 1.0
    assert HitRule("Dice", "dice").closeness(Detected(BOX, 1.0), BOX, half) == pytest.approx(2 / 3)
    assert HitRule("Dice", "dice").closeness(Detected(BOX, 1.0, half), BOX) == pytest.approx(2 / 3)


def test_iou_of_half_open_boxes() -> None:
    assert iou(BOX, BOX) == 1.0
    assert iou(BOX, (30.0, 10.0, 50.0, 30.0)) == 0.0
    assert iou(BOX, (20.0, 10.0, 40.0, 30.0)) == pytest.approx(1 / 3)
    assert iou(BOX, (20.0, 20.0, 20.0, 20.0)) == 0.0


@pytest.mark.parametrize("seed", range(10))
def test_dice_agrees_with_whole_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = []
    for _ in range(2):
        pixels = rng.random((int(rng.integers(3, 15)), int(rng.integers(3, 15)))) < 0.6
        masks.append(LesionMask(pixels, int(rng.integers(0, 15)), int(rng.integers(0, 15))))
    a, b = (mask.paste(40, 40) for mask in masks)
    assert dice(*masks) == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_dice_of_empty_masks() -> None:
    empty, full = LesionMask(np.zeros((5, 5), dtype=bool), 3, 3), LesionMask(np.ones((5, 5), dtype=bool), 3, 3)
    assert dice(empty, full) == dice(full, empty) == 0.0
    assert dice(empty, empty) == dice(empty, LesionMask(np.zeros((2, 2), dtype=bool), 50, 50)) == 1.0
