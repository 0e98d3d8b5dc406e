"""A reader in the network's place: it finds what it is told to, and returns it as the network would."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ftmtl.findings import Finding, FindingType, ImageResult, LesionMask, Outcome, StudyResult
from ftmtl.mammogram.load import Mammogram
from ftmtl.predictor import _area_mm2, _long_axis_mm
from support import mg

Mask = NDArray[np.bool_]

L_SHAPE = np.zeros((24, 18), dtype=bool)
"""A lesion that looks different after each of the eight turns and flips of a square."""
L_SHAPE[:, :6] = True
L_SHAPE[18:] = True


def in_the_middle(mammogram: Mammogram) -> Mask:
    """Return an L in the middle of a mammogram."""
    mask = np.zeros(mammogram.pixels.shape, dtype=bool)
    row, column = (max(0, (size - side) // 2) for size, side in zip(mask.shape, L_SHAPE.shape, strict=True))
    place = mask[row : row + L_SHAPE.shape[0], column : column + L_SHAPE.shape[1]]
    place[:] = L_SHAPE[: place.shape[0], : place.shape[1]]
    return mask


class Reader:
    """A predictor that finds one lesion on every mammogram.

    Parameters
    ----------
    find
        Returns a lesion's mask over the pixels of a mammogram; nothing is found where it is empty.

    Attributes
    ----------
    seen
        The mammograms that it was given.
    """

    model = mg.MODEL

    def __init__(self, find: Callable[[Mammogram], Mask] = in_the_middle) -> None:
        self.find = find
        self.seen: list[Mammogram] = []

    def predict(self, study_uid: str, mammograms: Sequence[Mammogram]) -> StudyResult:
        self.seen += mammograms
        return mg.study_result([self._read(mammogram) for mammogram in mammograms], study_uid)

    def _read(self, mammogram: Mammogram) -> ImageResult:
        mask = self.find(mammogram)
        acquisition = mammogram.acquisition
        return ImageResult(
            acquisition.sop_instance_uid,
            acquisition.laterality,
            acquisition.view,
            Outcome.FINDINGS if mask.any() else Outcome.NO_FINDINGS,
            findings=(found(mammogram, mask),) if mask.any() else (),
            spacing_mm=mammogram.spacing_mm,
            spacing_source=mammogram.spacing_source,
        )


def found(mammogram: Mammogram, mask: Mask) -> Finding:
    """Return a lesion, drawn over the pixels of a mammogram, as a finding on the stored matrix."""
    top, left, bottom, right = bounds(mask)
    lesion = LesionMask(*mammogram.mask_to_source(mask[top:bottom, left:right], left, top))
    return Finding(
        box=mammogram.box_to_source((float(left), float(top), float(right), float(bottom))),
        mask=lesion,
        lesion_score=0.9,
        malignancy_score=0.8,
        type=FindingType.MASS,
        area_mm2=_area_mm2(lesion, mammogram.spacing_mm),
        long_axis_mm=_long_axis_mm(lesion.pixels, mammogram.spacing_mm),
    )


def bounds(mask: Mask) -> tuple[int, int, int, int]:
    """Return the first row and column of a mask, and those after its last."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
