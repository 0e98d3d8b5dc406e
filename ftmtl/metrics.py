"""Metrics of detection and segmentation, stated whole: the hit rule, and over which images false positives count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftmtl.findings import Box, LesionMask


@dataclass(frozen=True)
class ImageTruth:
    """Boxes of one image's lesions, and which of them are asked for.

    A detection on a lesion that is not asked for is neither a hit nor a false positive.
    """

    boxes: Sequence[Box]
    wanted: Sequence[bool]


@dataclass(frozen=True)
class Froc:
    """A free-response ROC curve: a point a threshold, from the strictest.

    Attributes
    ----------
    false_positives
        Mean false positives an image, over all images; ascending.
    sensitivity
        Part of the wanted lesions that are hit, 0 to 1; ascending.
    thresholds
        Score from which detections count.
    """

    false_positives: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    thresholds: NDArray[np.float64]

    def at(self, false_positives: float) -> float:
        """Sensitivity at so many false positives an image: the best point that has no more."""
        reached = self.sensitivity[self.false_positives <= false_positives]
        return float(reached[-1]) if len(reached) else 0.0


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def froc(
    detections: Sequence[Sequence[tuple[Box, float]]], truths: Sequence[ImageTruth], *, hit_iou: float = 0.2
) -> Froc:
    """The whole FROC curve.

    Parameters
    ----------
    detections
        Boxes with scores, a sequence an image.
    truths
        One an image; false positives are counted over all of them, those without lesions too.
    hit_iou
        A detection hits the lesion that it overlaps most, if by this much at least; of several that
        hit one lesion the best counts and the others are not false positives.
    """
    events: list[tuple[float, int]] = []  # (score, lesion number, or -1 for a false positive)
    best: dict[int, float] = {}
    lesions = 0
    for found, truth in zip(detections, truths, strict=True):
        numbers = [lesions + i for i in range(len(truth.boxes))]
        lesions += len(truth.boxes)
        for box, score in found:
            overlaps = [iou(box, b) for b in truth.boxes]
            nearest = int(np.argmax(overlaps)) if overlaps else -1
            if nearest < 0 or overlaps[nearest] < hit_iou:
                events.append((score, -1))
            elif truth.wanted[nearest]:
                best[numbers[nearest]] = max(score, best.get(numbers[nearest], -np.inf))
    total = sum(sum(bool(w) for w in truth.wanted) for truth in truths)
    events += [(score, number) for number, score in best.items()]
    thresholds = np.unique([score for score, _ in events])[::-1]
    wrong = np.array([score for score, number in events if number < 0])
    right = np.array([score for score, number in events if number >= 0])
    return Froc(
        np.array([(wrong >= t).sum() / max(len(truths), 1) for t in thresholds], dtype=np.float64),
        np.array([(right >= t).sum() / max(total, 1) for t in thresholds], dtype=np.float64),
        thresholds,
    )


def dice(a: LesionMask, b: LesionMask) -> float:
    """Dice overlap of two masks on one image, 0 to 1."""
    top, left = max(a.row, b.row), max(a.column, b.column)
    bottom = min(a.row + a.pixels.shape[0], b.row + b.pixels.shape[0])
    right = min(a.column + a.pixels.shape[1], b.column + b.pixels.shape[1])
    if bottom <= top or right <= left:
        return 0.0
    piece_a = a.pixels[top - a.row : bottom - a.row, left - a.column : right - a.column]
    piece_b = b.pixels[top - b.row : bottom - b.row, left - b.column : right - b.column]
    return float(2 * (piece_a & piece_b).sum() / (a.area_px + b.area_px))
