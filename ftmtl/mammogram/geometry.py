"""Turning a mammogram to the canonical orientation, and mapping exactly back to the stored matrix.

In the canonical orientation the chest wall is at the left (column 0) and anterior to the right. Superior
is at the top of oblique and lateral views, lateral at the top of cranio-caudal ones. A left breast is
usually displayed like this; a right breast is mirrored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ftmtl.findings import Box
from ftmtl.header.acquisition import Acquisition
from ftmtl.header.views import CC_FAMILY

Pixel = TypeVar("Pixel", bound=np.generic)


@dataclass(frozen=True)
class Geometry:
    """A crop of the stored matrix, followed by one of the eight symmetries of a square.

    Boxes are (column, row, column, row), half-open, so flips are exact, without half-pixel offsets.

    Attributes
    ----------
    rows, columns
        Size of the stored matrix.
    crop
        The part that is kept: (x0, y0, x1, y1) in stored pixels, half-open.
    transpose
        Whether rows and columns are exchanged first.
    flip_rows, flip_columns
        Whether top and bottom, left and right are exchanged after that.
    """

    rows: int
    columns: int
    crop: tuple[int, int, int, int]
    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @property
    def height(self) -> int:
        """Number of rows of the canonical crop."""
        return self.crop[2] - self.crop[0] if self.transpose else self.crop[3] - self.crop[1]

    @property
    def width(self) -> int:
        """Number of columns of the canonical crop."""
        return self.crop[3] - self.crop[1] if self.transpose else self.crop[2] - self.crop[0]

    def apply(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return the canonical crop (height, width) of the stored matrix (rows, columns), as a view."""
        x0, y0, x1, y1 = self.crop
        piece = stored[y0:y1, x0:x1]
        piece = piece.T if self.transpose else piece
        return self._flip(piece)

    def box_to_source(self, box: Box) -> Box:
        """Convert a box in the canonical crop to a box in the stored matrix."""
        x0, y0, x1, y1 = self._flip_box(box)
        if self.transpose:
            x0, y0, x1, y1 = y0, x0, y1, x1
        left, top = self.crop[:2]
        return x0 + left, y0 + top, x1 + left, y1 + top

    def box_from_source(self, box: Box) -> Box:
        """Convert a box in the stored matrix to a box in the canonical crop; it may extend beyond the crop."""
        left, top = self.crop[:2]
        x0, y0, x1, y1 = box[0] - left, box[1] - top, box[2] - left, box[3] - top
        if self.transpose:
            x0, y0, x1, y1 = y0, x0, y1, x1
        return self._flip_box((x0, y0, x1, y1))

    def mask_to_source(self, mask: NDArray[Pixel], column: int = 0, row: int = 0) -> tuple[NDArray[Pixel], int, int]:
        """Turn a part of a mask back to the stored orientation.

        Parameters
        ----------
        mask
            bool, or probabilities, (h, w): a part of the canonical crop.
        column, row
            Position of ``mask[0, 0]`` in the canonical crop.

        Returns
        -------
        tuple
            The part in stored orientation, and the column and row of its first pixel in the stored matrix.
        """
        height, width = mask.shape
        x0, y0, _, _ = self.box_to_source((column, row, column + width, row + height))
        piece = self._flip(mask)
        piece = piece.T if self.transpose else piece
        return np.ascontiguousarray(piece), int(x0), int(y0)

    def _flip(self, piece: NDArray[Any]) -> NDArray[Any]:
        return piece[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def _flip_box(self, box: Box) -> Box:
        x0, y0, x1, y1 = box
        if self.flip_columns:
            x0, x1 = self.width - x1, self.width - x0
        if self.flip_rows:
            y0, y1 = self.height - y1, self.height - y0
        return x0, y0, x1, y1


CONTRADICTION = "The side that the breast touches contradicts Patient Orientation; the pixels were believed."
MIRRORED = "The chest wall lies as in the other breast, and Patient Orientation does not explain it: check the side."
UNKNOWN = "Neither the header nor the pixels show where the chest wall is; the left was assumed."

_TURNS = {  # side of the chest wall in the stored matrix: (transpose, flip_columns)
    "left": (False, False),
    "right": (False, True),
    "top": (True, False),
    "bottom": (True, True),
}


def choose_turn(acq: Acquisition, contact: Mapping[str, float]) -> tuple[tuple[bool, bool, bool], tuple[str, ...]]:
    """Decide how to turn the stored matrix to the canonical orientation.

    Parameters
    ----------
    acq
        Patient Orientation, view and laterality.
    contact
        As in `ftmtl.mammogram.breast.Breast`.

    Returns
    -------
    tuple
        (transpose, flip_rows, flip_columns), and notes about what was contradictory or unknown.
    """
    said = _chest_side(acq)
    usual = {"L": "left", "R": "right"}.get(acq.laterality or "")
    side = _touched_side(contact, said or usual)
    notes = _notes(said, usual, side)
    transpose, flip_columns = _TURNS[side or "left"]
    down = None
    if said and _TURNS[said][0] == transpose:
        down = acq.row_direction if transpose else acq.column_direction
    return (transpose, _is_upside_down(down, acq), flip_columns), notes


def _notes(said: str | None, usual: str | None, side: str | None) -> tuple[str, ...]:
    """Return what is contradictory or unknown of the side at which the chest wall is."""
    if side is None:
        return (UNKNOWN,)
    if said:
        return (CONTRADICTION,) if side != said else ()
    return (MIRRORED,) if usual and side != usual else ()


def _chest_side(acq: Acquisition) -> str | None:
    """Return the side of the stored matrix at which Patient Orientation puts the chest wall: opposite to anterior."""
    along_row = {"A": "left", "P": "right"}.get((acq.row_direction or "?")[0])
    along_column = {"A": "top", "P": "bottom"}.get((acq.column_direction or "?")[0])
    if along_row and along_column:
        return None
    return along_row or along_column


def _touched_side(contact: Mapping[str, float], said: str | None) -> str | None:
    """Return the side that the breast touches; that is `said` unless the pixels clearly contradict it.

    The chest wall is at the top or at the bottom only if the header says so: oblique views touch the top as well.
    """
    best, other = ("left", "right") if contact["left"] >= contact["right"] else ("right", "left")
    if said in ("top", "bottom"):
        rivals = {"top": "bottom", "bottom": "top"}
        if contact[said] >= max(0.6 * contact[rivals[said]], 0.35):
            return said
        if contact[rivals[said]] >= max(2 * contact[said], 0.5, contact[best]):
            return rivals[said]
        return best if contact[best] >= 0.6 else said
    clear = contact[best] >= (2.0 if said else 1.25) * contact[other]
    return best if clear and contact[best] >= (0.5 if said else 0.1) else said


def _is_upside_down(direction: str | None, acq: Acquisition) -> bool:
    """Return whether `direction`, which points down, is superior (oblique views) or lateral (cranio-caudal views)."""
    if not direction:
        return False
    kinds = ("LR", "HF") if acq.view in CC_FAMILY else ("HF", "LR")
    for letters in kinds:
        for letter in direction:
            if letter in letters:
                return letter == "H" or (letters == "LR" and letter == acq.laterality)
    return False
