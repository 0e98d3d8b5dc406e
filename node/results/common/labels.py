"""Places the labels of lesions: next to them, on the image, and not on top of each other."""

from __future__ import annotations

from collections.abc import Sequence

from ftmtl.findings import Box


def place_labels(
    sizes: Sequence[tuple[float, float]], lesions: Sequence[Box], columns: float, rows: float
) -> list[Box]:
    """Return a box for each label: to the right or left of its lesion, below or above, wherever it covers least.

    Parameters
    ----------
    sizes
        (width, height) of each label; one that is larger than the image is cut to its size.
    lesions
        Bounds of each label's lesion: (column, row, column, row).
    columns, rows
        Size of the image; every box stays inside it.
    """
    placed: list[Box] = []
    for (width, height), (x0, y0, x1, y1) in zip(sizes, lesions, strict=True):
        width, height, gap = min(width, columns), min(height, rows), height / 2
        middle, centre = (y0 + y1 - height) / 2, (x0 + x1 - width) / 2
        corners = ((x1 + gap, middle), (x0 - gap - width, middle), (centre, y1 + gap), (centre, y0 - gap - height))
        boxes = [_inside(corner, (width, height), (columns, rows)) for corner in corners]
        placed.append(min(boxes, key=lambda box: sum(_overlap(box, other) for other in (*lesions, *placed))))
    return placed


def nearest(lesion: Box, box: Box) -> tuple[float, float]:
    """Return the point of a lesion's bounds that is nearest to the middle of a box."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return min(max(x, lesion[0]), lesion[2]), min(max(y, lesion[1]), lesion[3])


def _inside(corner: tuple[float, float], size: tuple[float, float], extent: tuple[float, float]) -> Box:
    """Return a box of this size at this corner, moved inside an image of this extent; all are (column, row)."""
    (left, top), (width, height), (columns, rows) = corner, size, extent
    left, top = min(max(left, 0.0), columns - width), min(max(top, 0.0), rows - height)
    return left, top, min(left + width, columns), min(top + height, rows)


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
