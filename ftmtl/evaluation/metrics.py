"""FROC curves, with an explicit hit rule and an explicit choice of images on which false positives are counted.

Hit rules are in `ftmtl.evaluation.hits`, metrics of classification and bootstrap intervals in
`ftmtl.evaluation.statistics`. Everything can be imported from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ftmtl.errors import EvaluationError
from ftmtl.evaluation.hits import (
    CENTRE,
    CENTRE_IN_CIRCLE,
    DICE_02,
    HIT_RULES,
    IOU_02,
    IOU_05,
    MEASURES,
    Detected,
    HitRule,
    assign,
    dice,
    iou,
)
from ftmtl.evaluation.statistics import (
    Interval,
    PairedInterval,
    Resampling,
    Roc,
    auc,
    bootstrap,
    paired_bootstrap,
    roc,
)
from ftmtl.findings import Box, LesionMask

__all__ = [
    "CENTRE",
    "CENTRE_IN_CIRCLE",
    "DICE_02",
    "HIT_RULES",
    "IOU_02",
    "IOU_05",
    "MEASURES",
    "Detected",
    "Froc",
    "HitRule",
    "ImageTruth",
    "Interval",
    "Matches",
    "PairedInterval",
    "Resampling",
    "Roc",
    "assign",
    "auc",
    "bootstrap",
    "dice",
    "froc",
    "iou",
    "match",
    "paired_bootstrap",
    "roc",
]

CountOn = Literal["all", "normal"]


@dataclass(frozen=True)
class ImageTruth:
    """The lesions of one image.

    Attributes
    ----------
    boxes
        In stored pixels, half-open.
    wanted
        Whether each lesion counts. Detections on other lesions are neither hits nor false positives.
    masks
        The outline of each lesion, or None where it is unknown; empty if all are unknown.
    """

    boxes: Sequence[Box]
    wanted: Sequence[bool]
    masks: Sequence[LesionMask | None] = ()


@dataclass(frozen=True)
class Froc:
    """A free-response ROC curve, with one point per threshold, beginning with the strictest.

    Attributes
    ----------
    false_positives
        Mean number of false positives per image, over the images on which they are counted; ascending.
    sensitivity
        Fraction of the wanted lesions that are hit, 0 to 1; ascending.
    thresholds
        Score from which detections count.
    """

    false_positives: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    thresholds: NDArray[np.float64]

    def at(self, false_positives: float) -> float:
        """Return the largest sensitivity with at most so many false positives per image."""
        reached = self.sensitivity[self.false_positives <= false_positives]
        return float(reached[-1]) if len(reached) else 0.0


@dataclass(frozen=True)
class Matches:
    """Hits and false positives among detections, from which FROC curves of any choice of images can be computed.

    Attributes
    ----------
    scores
        Scores of the false positives, and of the best detection on each wanted lesion that is hit; descending.
    image
        Number of the image for each of these scores.
    hit
        Whether each of these scores is a hit.
    wanted
        Number of wanted lesions of each image.
    normal
        Whether each image has no lesions at all, wanted or not.
    """

    scores: NDArray[np.float64]
    image: NDArray[np.intp]
    hit: NDArray[np.bool_]
    wanted: NDArray[np.intp]
    normal: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        closeness: Sequence[NDArray[np.float64]],
        scores: Sequence[Sequence[float]],
        wanted: Sequence[Sequence[bool]],
    ) -> Matches:
        """Match by closeness: a detection belongs to the lesion that it is closest to, if it hits any.

        Parameters
        ----------
        closeness
            One array per image, shape (detections, lesions), 0 where there is no hit.
        scores, wanted
            One sequence per image, with a score for each detection and a flag for each lesion.
        """
        events: list[tuple[float, int, bool]] = []
        for number, (near, given, asked) in enumerate(zip(closeness, scores, wanted, strict=True)):
            best: dict[int, float] = {}
            for lesion, score in zip(assign(near).tolist(), given, strict=True):
                if lesion < 0:
                    events.append((score, number, False))
                elif asked[lesion]:
                    best[lesion] = max(score, best.get(lesion, -np.inf))
            events += [(score, number, True) for score in best.values()]
        events.sort(key=lambda event: -event[0])
        return cls(
            np.array([score for score, _, _ in events], dtype=np.float64),
            np.array([number for _, number, _ in events], dtype=np.intp),
            np.array([hit for _, _, hit in events], dtype=bool),
            np.array([sum(map(bool, asked)) for asked in wanted], dtype=np.intp),
            np.array([len(asked) == 0 for asked in wanted], dtype=bool),
        )

    def froc(self, indices: NDArray[np.intp] | None = None, count_on: CountOn = "all") -> Froc:
        """Compute the curve over some of the images.

        Parameters
        ----------
        indices
            Numbers of the images, where one that appears twice counts twice; all by default.
        count_on
            Images on which false positives are counted: ``all``, or ``normal`` for those without any lesion.

        Raises
        ------
        EvaluationError
            If these images have no wanted lesions, or there are none on which to count false positives.
        """
        times = np.ones(len(self.wanted)) if indices is None else np.bincount(indices, minlength=len(self.wanted))
        counted = times if count_on == "all" else times * self.normal
        lesions, images = float(times @ self.wanted), float(counted.sum())
        if not lesions:
            raise EvaluationError("A FROC curve needs at least one lesion that counts, and there is none.")
        if not images:
            raise EvaluationError("A FROC curve needs normal images to count false positives on, and there are none.")
        last = np.append(np.diff(self.scores) != 0, True)[: len(self.scores)]
        wrong = np.cumsum(np.where(self.hit, 0, counted[self.image]))[last]
        right = np.cumsum(np.where(self.hit, times[self.image], 0))[last]
        return Froc(wrong / images, right / lesions, self.scores[last])


def match(detections: Sequence[Sequence[Detected]], truths: Sequence[ImageTruth], hit: HitRule = IOU_02) -> Matches:
    """Match detections to lesions, for curves of any choice of images."""
    closeness = []
    for found, truth in zip(detections, truths, strict=True):
        masks = truth.masks or [None] * len(truth.boxes)
        pairs: list[Any] = list(zip(truth.boxes, masks, strict=True))
        rows = [[hit.closeness(d, box, mask) for box, mask in pairs] for d in found]
        closeness.append(np.array(rows, dtype=np.float64).reshape(len(found), len(pairs)))
    return Matches.of(closeness, [[d.score for d in found] for found in detections], [t.wanted for t in truths])


def froc(
    detections: Sequence[Sequence[Detected]],
    truths: Sequence[ImageTruth],
    hit: HitRule = IOU_02,
    *,
    count_on: CountOn = "all",
) -> Froc:
    """Compute the whole FROC curve.

    Parameters
    ----------
    detections
        One sequence per image.
    truths
        One per image.
    hit
        The hit rule. A detection hits the lesion that it is closest to by this rule. Of several detections that hit
        the same lesion, the best one counts and the others are not false positives.
    count_on
        Images on which false positives are counted: ``all``, or ``normal`` for those without any lesion.

    Raises
    ------
    EvaluationError
        If there are no wanted lesions, or no images on which to count false positives.
    """
    return match(detections, truths, hit).froc(count_on=count_on)
