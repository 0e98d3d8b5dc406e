"""How a mammogram is turned to hang one way, and the exact way back to the stored matrix.

Canonical: chest wall at the left (column 0), anterior to the right; superior at the top of oblique
and lateral views, lateral at the top of cranio-caudal ones. That is how a left breast hangs; a right
one is its mirror image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ftmtl.acquisition import CC_FAMILY, Acquisition
from ftmtl.findings import Box

Pixel = TypeVar("Pixel", bound=np.generic)


@dataclass(frozen=True)
class Geometry:
    """A crop of the stored matrix followed by one of the eight turns of a square.

    Boxes are (column, row, column, row), half-open, so a flip is exact and knows no half pixels.

    Attributes
    ----------
    rows, columns
        Size of the stored matrix.
    crop
        The part that is kept: (x0, y0, x1, y1) in stored pixels, half-open.
    transpose
        Rows and columns are exchanged, first.
    flip_rows, flip_columns
        Then top and bottom, left and right are exchanged.
    """

    rows: int
    columns: int
    crop: tuple[int, int, int, int]
    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @property
    def height(self) -> int:
        """Rows of the canonical crop."""
        return self.crop[2] - self.crop[0] if self.transpose else self.crop[3] - self.crop[1]

    @property
    def width(self) -> int:
        """Columns of the canonical crop."""
        return self.crop[3] - self.crop[1] if self.transpose else self.crop[2] - self.crop[0]

    def apply(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return the canonical crop, (height, width), of the stored matrix, (rows, columns); a view."""
        x0, y0, x1, y1 = self.crop
        piece = stored[y0:y1, x0:x1]
        piece = piece.T if self.transpose else piece
        return self._flip(piece)

    def box_to_source(self, box: Box) -> Box:
        """Return the stored pixels' box of a box in the canonical crop."""
        x0, y0, x1, y1 = self._flip_box(box)
        if self.transpose:
            x0, y0, x1, y1 = y0, x0, y1, x1
        left, top = self.crop[:2]
        return x0 + left, y0 + top, x1 + left, y1 + top

    def box_from_source(self, box: Box) -> Box:
        """Return the canonical crop's box of a box in stored pixels; it may leave the crop."""
        left, top = self.crop[:2]
        x0, y0, x1, y1 = box[0] - left, box[1] - top, box[2] - left, box[3] - top
        if self.transpose:
            x0, y0, x1, y1 = y0, x0, y1, x1
        return self._flip_box((x0, y0, x1, y1))

    def mask_to_source(self, mask: NDArray[Pixel], column: int = 0, row: int = 0) -> tuple[NDArray[Pixel], int, int]:
        """Turn a piece of mask back.

        Parameters
        ----------
        mask
            bool or a probability, (h, w), a piece of the canonical crop.
        column, row
            Position of ``mask[0, 0]`` in the canonical crop.

        Returns
        -------
        tuple
            The piece as stored, and the column and row of its first pixel in the stored matrix.
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
UNKNOWN = "Neither the header nor the pixels tell where the chest wall is; the left was assumed."

_TURNS = {  # side of the chest wall in the stored matrix: (transpose, flip_columns)
    "left": (False, False),
    "right": (False, True),
    "top": (True, False),
    "bottom": (True, True),
}


def choose_turn(acq: Acquisition, contact: Mapping[str, float]) -> tuple[tuple[bool, bool, bool], tuple[str, ...]]:
    """Decide how to turn the stored matrix to canonical.

    Parameters
    ----------
    acq
        Patient Orientation, view and laterality.
    contact
        For ``left``, ``right``, ``top`` and ``bottom``: how much of that end of the breast's box is breast, 0 to 1.

    Returns
    -------
    tuple
        (transpose, flip_rows, flip_columns), and the notes.
    """
    said = _chest_side(acq)
    usual = {"L": "left", "R": "right"}.get(acq.laterality or "")
    side = _touched_side(contact, said or usual)
    notes = (CONTRADICTION,) if said and side != said else (UNKNOWN,) if side is None else ()
    transpose, flip_columns = _TURNS[side or "left"]
    down = None
    if said and _TURNS[said][0] == transpose:
        down = acq.row_direction if transpose else acq.column_direction
    return (transpose, _is_upside_down(down, acq), flip_columns), notes


def _chest_side(acq: Acquisition) -> str | None:
    """Return the side of the stored matrix where Patient Orientation has the chest wall: opposite to anterior."""
    along_row = {"A": "left", "P": "right"}.get((acq.row_direction or "?")[0])
    along_column = {"A": "top", "P": "bottom"}.get((acq.column_direction or "?")[0])
    if along_row and along_column:
        return None
    return along_row or along_column


def _touched_side(contact: Mapping[str, float], said: str | None) -> str | None:
    """Return the side that the breast leans on; `said` stands unless the pixels clearly deny it.

    Only a header can make top or bottom the chest wall: oblique views lean on the top as well.
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
    """Tell whether `direction`, which points down, is superior (oblique) or lateral (cranio-caudal)."""
    if not direction:
        return False
    kinds = ("LR", "HF") if acq.view in CC_FAMILY else ("HF", "LR")
    for letters in kinds:
        for letter in direction:
            if letter in letters:
                return letter == "H" or (letters == "LR" and letter == acq.laterality)
    return False
