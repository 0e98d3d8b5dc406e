"""Hit rules: when a detection hits a lesion, by the overlap of boxes or masks, or by the position of the centre."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftmtl.findings import Box, LesionMask


@dataclass(frozen=True)
class Detected:
    """One detection: its box in stored pixels (half-open), its score, and its outline if there is one."""

    box: Box
    score: float
    mask: LesionMask | None = None


def iou(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes, 0 to 1; 0 if either is empty."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def dice(a: LesionMask, b: LesionMask) -> float:
    """Return the Dice overlap of two masks on the same image, 0 to 1; 1 if both are empty, 0 if only one is."""
    total = a.area_px + b.area_px
    if total == 0:
        return 1.0
    top, left = max(a.row, b.row), max(a.column, b.column)
    bottom = min(a.row + a.pixels.shape[0], b.row + b.pixels.shape[0])
    right = min(a.column + a.pixels.shape[1], b.column + b.pixels.shape[1])
    if bottom <= top or right <= left:
        return 0.0
    piece_a = a.pixels[top - a.row : bottom - a.row, left - a.column : right - a.column]
    piece_b = b.pixels[top - b.row : bottom - b.row, left - b.column : right - b.column]
    return float(2 * (piece_a & piece_b).sum() / total)


def _overlap(detected: Detected, box: Box, mask: LesionMask | None) -> float:
    return iou(detected.box, box)


def _mask_overlap(detected: Detected, box: Box, mask: LesionMask | None) -> float:
    return dice(detected.mask or _filled(detected.box), mask or _filled(box))


def _filled(box: Box) -> LesionMask:
    """Return a filled box, with edges rounded to whole pixels."""
    x0, y0, x1, y1 = (round(edge) for edge in box)
    return LesionMask(np.ones((max(1, y1 - y0), max(1, x1 - x0)), dtype=bool), x0, y0)


def _centre(detected: Detected, box: Box, mask: LesionMask | None) -> float:
    x, y = (detected.box[0] + detected.box[2]) / 2, (detected.box[1] + detected.box[3]) / 2
    inside = box[0] <= x < box[2] and box[1] <= y < box[3]
    return 1 / (1 + _distance(detected.box, box)) if inside else 0.0


def _circle(detected: Detected, box: Box, mask: LesionMask | None) -> float:
    distance = _distance(detected.box, box)
    return 1 / (1 + distance) if distance <= min(box[2] - box[0], box[3] - box[1]) / 2 else 0.0


def _distance(a: Box, b: Box) -> float:
    """Return the distance between the centres of two boxes, in pixels."""
    return float(np.hypot((a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2))


MEASURES: Mapping[str, Callable[[Detected, Box, LesionMask | None], float]] = {
    "iou": _overlap,
    "dice": _mask_overlap,
    "centre": _centre,
    "circle": _circle,
}
"""Measures of how close a detection is to a true lesion: 0 for not at all, and larger if it is closer."""


@dataclass(frozen=True)
class HitRule:
    """A rule that decides when a detection hits a lesion.

    Attributes
    ----------
    name
        Name for tables and legends.
    measure
        Key of `MEASURES`.
    least
        Smallest value of the measure that is a hit; a value of 0 is never a hit.
    """

    name: str
    measure: str
    least: float = 0.0

    def closeness(self, detected: Detected, box: Box, mask: LesionMask | None = None) -> float:
        """Return how close a detection is to a lesion; 0 if it is not a hit."""
        value = MEASURES[self.measure](detected, box, mask)
        return value if value >= self.least else 0.0

    def only_hits(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of the measure, with those that are not hits replaced by 0."""
        return np.where(values >= self.least, values, 0.0)


IOU_05 = HitRule("IoU 0.5", "iou", 0.5)
IOU_02 = HitRule("IoU 0.2", "iou", 0.2)
DICE_02 = HitRule("Dice 0.2", "dice", 0.2)
"""Masks overlap; an unknown mask is replaced by its filled box."""
CENTRE = HitRule("centre in box", "centre")
"""The detection's centre lies in the true box."""
CENTRE_IN_CIRCLE = HitRule("centre in circle", "circle")
"""The detection's centre lies in the circle inscribed in the true box, which is what MIAS gives."""
HIT_RULES: Mapping[str, HitRule] = {rule.name: rule for rule in (IOU_05, IOU_02, DICE_02, CENTRE, CENTRE_IN_CIRCLE)}


def assign(closeness: NDArray[np.float64]) -> NDArray[np.intp]:
    """Assign each detection to the lesion that it is closest to.

    Parameters
    ----------
    closeness
        Shape (detections, lesions), 0 where there is no hit.

    Returns
    -------
    ndarray
        For each detection, the number of its lesion; -1 if it hits none.
    """
    if not closeness.shape[1]:
        return np.full(len(closeness), -1, dtype=np.intp)
    return np.where(closeness.max(axis=1) > 0, closeness.argmax(axis=1), -1)
