"""How mammograms are hung: how they are flipped, and where they go on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

from pydicom.dataset import Dataset

_GAP, _MAX_VIEW_HEIGHT = 8, 1000
_FAMILIES = {"CC": ("CC", "XCC", "XCCL", "XCCM", "FB"), "MLO": ("MLO", "ML", "LM", "LMO", "SIO", "ISO")}


def hanging_turns(header: Dataset, laterality: str | None) -> tuple[bool, bool] | None:
    """Return how to flip an image to hang it: chest wall to the middle of the page, head or lateral side on top.

    Returns
    -------
    tuple or None
        Whether left and right, and whether top and bottom are exchanged; None if Patient Orientation
        (PS3.3 C.7.6.1.1.1) or the side is not known, or if the image lies on its side.
    """
    along, down = (str(value) for value in header.get("PatientOrientation") or ("", ""))
    if laterality not in ("L", "R") or along[:1] not in ("A", "P") or down[:1] not in ("F", "H", "L", "R"):
        return None
    across = along[0] != {"R": "P", "L": "A"}[laterality]
    return across, down[0] in ("H", laterality)


@dataclass(frozen=True)
class Grid:
    """Cells of the views: (left, top, width, height) of each picture without its title; and the size of the grid."""

    cells: tuple[tuple[int, int, int, int], ...]
    width: int
    height: int


class Hung(NamedTuple):
    """What decides where a view goes: ``R``, ``L`` or None; an ACR code or None; its width divided by its height."""

    laterality: str | None
    view: str | None
    aspect: float


def arrange(views: Sequence[Hung], width: int, height: int) -> Grid:
    """Hang the views in a space: all with the same height, as large as fits, at most 1000 pixels high.

    Rows are CC, MLO, others; then views without a known side, from the left. If a side has several views of
    a kind, they share a row or are wrapped, whichever leaves the views larger.
    """
    if not views:
        return Grid((), width * 2 // 3, 0)
    plans = [_Plan.make(views, per_side) for per_side in range(1, len(views) + 1)]
    plan = max(plans, key=lambda plan: plan.cell_height(width, height))
    return plan.grid(int(plan.cell_height(width, height)))


@dataclass(frozen=True)
class _Plan:
    """Rows of the grid: indices of the views of the right breast, of the left breast, and without a known side."""

    views: Sequence[Hung]
    rows: list[tuple[list[int], list[int], list[int]]]

    @classmethod
    def make(cls, views: Sequence[Hung], per_side: int) -> _Plan:
        rows: list[tuple[list[int], list[int], list[int]]] = []
        for family in ("CC", "MLO", ""):
            sides = [
                [i for i, v in enumerate(views) if v.laterality == side and _family(v.view) == family] for side in "RL"
            ]
            pairs = zip_longest(*(_chunks(side, per_side) for side in sides), fillvalue=[])
            rows += [(right, left, []) for right, left in pairs]
        unknown = [i for i, v in enumerate(views) if v.laterality not in ("R", "L")]
        rows += [([], [], some) for some in _chunks(unknown, 2 * per_side)]
        return cls(views, rows)

    def _extent(self, part: int) -> tuple[float, int]:
        """Return the largest total aspect and the largest number of views in one part of the rows."""
        aspects = [sum(self.views[i].aspect for i in row[part]) for row in self.rows]
        return max(aspects), max(len(row[part]) for row in self.rows)

    def cell_height(self, width: int, height: int) -> float:
        """Return the largest possible height of a picture, without its title."""
        (right, n), (left, m), (free, k) = (self._extent(part) for part in range(3))
        title = _title_height(_MAX_VIEW_HEIGHT)
        across = min((width - _GAP * (n + m)) / max(right + left, 1e-9), (width - _GAP * k) / max(free, 1e-9))
        down = (height - _GAP * (len(self.rows) - 1)) / len(self.rows) - title
        return min(across, down, _MAX_VIEW_HEIGHT)

    def grid(self, size: int) -> Grid:
        """Lay out the pictures at this height."""
        title = _title_height(size)
        widths = [max(1, round(view.aspect * size)) for view in self.views]

        def across(row: list[int]) -> int:
            return sum(widths[i] + _GAP for i in row)

        axis = max(across(row[0]) for row in self.rows)
        cells: dict[int, tuple[int, int, int, int]] = {}
        for number, (right, left, free) in enumerate(self.rows):
            top = number * (size + title + _GAP) + title
            x = axis - across(right) if not free else 0
            for i in (*right, *left, *free):
                cells[i] = (x, top, widths[i], size)
                x += widths[i] + _GAP
        width = max(x + w for x, _, w, _ in cells.values())
        height = max(y + h for _, y, _, h in cells.values())
        return Grid(tuple(cells[i] for i in range(len(self.views))), width, height)


def _family(view: str | None) -> str:
    return next((family for family, members in _FAMILIES.items() if view in members), "")


def _chunks(items: list[int], size: int) -> list[list[int]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def _title_height(size: int) -> int:
    return round(title_size(size) * 1.5)


def title_size(size: int) -> int:
    """Return the size of the letters above a view of this height."""
    return max(14, min(26, size // 24))
