"""The outline of a mask as a polygon along pixel edges, for reports and presentation states."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ftmtl.findings import LesionMask

MOST_POINTS = 200
"""Number of points that an outline is thinned to: enough to look like the lesion, few enough for any viewer."""

MOST_STORED = 8190
"""Number of points of a line that is closed by one more: Graphic Data hold 65,534 bytes of FL (PS3.5 7.1.2)."""

Vertex = tuple[int, int]


class Outline(NamedTuple):
    """Where a lesion is: (column, row) in pixels, 0\\0 at the top-left corner of the first pixel (PS3.3 C.18.6).

    Attributes
    ----------
    points
        int64, shape (points, 2): corners of a polygon without self-intersections, clockwise on the
        screen. The first is not repeated at the end.
    centre
        A point inside the polygon.
    """

    points: NDArray[np.int64]
    centre: tuple[float, float]


def outline(mask: LesionMask, most: int = MOST_POINTS) -> Outline:
    """Return the outline of a mask's largest piece.

    Parameters
    ----------
    mask
        At least one pixel is set.
    most
        Maximum number of points, at least 4.

    Returns
    -------
    Outline
        Exactly the outer border of the piece, with holes filled, if that has no more than ``most``
        corners; else a polygon on some of them, which still contains the centre. The centre is the
        piece's centroid or, if that lies outside, the middle of the nearest pixel.

    Raises
    ------
    ValueError
        If no pixel is set.
    """
    points = trace(mask.pixels)
    centre = _centre(points)
    offset = np.array([mask.column, mask.row])
    return Outline(
        thinned(points, centre, most) + offset, (float(centre[0] + mask.column), float(centre[1] + mask.row))
    )


def line(mask: LesionMask) -> NDArray[np.float64]:
    """Return the outline of a mask's largest piece as a closed line, thinned to what Graphic Data can hold.

    Returns
    -------
    NDArray
        float64, shape (points, 2): corners as in :class:`Outline`, the last equal to the first.
    """
    points = outline(mask, MOST_STORED).points
    return np.concatenate([points, points[:1]]).astype(np.float64)


def contour(mask: LesionMask) -> NDArray[np.float64]:
    """Return the whole outline of a mask's largest piece, closed and with every corner.

    Returns
    -------
    NDArray
        float64, shape (points, 2): corners as (column, row) in source pixels, clockwise on the screen, the last
        equal to the first.

    Raises
    ------
    ValueError
        If no pixel is set.
    """
    points = trace(mask.pixels) + np.array([mask.column, mask.row])
    return np.concatenate([points, points[:1]]).astype(np.float64)


def trace(pixels: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the outer border of the largest piece of a mask, along the edges of its pixels.

    Pixels that share an edge form one piece; pixels that share only a corner form two. Whatever a
    piece encloses belongs to it, even if it is open at a mere corner, so the border never meets itself.

    Parameters
    ----------
    pixels
        bool, shape (height, width).

    Returns
    -------
    NDArray
        int64, shape (points, 2): corners as (column, row), in pixels from the mask's top-left corner,
        clockwise on the screen, none on the line between its neighbours, the first not repeated. If
        several pieces enclose the same area, the first one counts, row by row.

    Raises
    ------
    ValueError
        If no pixel is set.
    """
    largest: list[Vertex] = []
    most = 0
    for ring in _rings(pixels):
        area = _doubled_area(np.array(ring))
        if area > most:
            largest, most = ring, area
    if not largest:
        raise ValueError("an empty mask has no outline")
    return _without_collinear(np.array(largest, dtype=np.int64))


def _rings(pixels: NDArray[np.bool_]) -> Iterator[list[Vertex]]:
    """Yield every closed border, one step per pixel edge: pieces clockwise, what they enclose anticlockwise."""
    steps = _edges(pixels)
    for start in list(steps):
        while steps.get(start):
            yield from _walk_border(steps, start)


def _edges(pixels: NDArray[np.bool_]) -> dict[Vertex, list[Vertex]]:
    """Return where the border leads from each of its corners, with the mask's pixels on its right."""
    padded = np.pad(pixels.astype(bool), 1)
    inside = padded[1:-1, 1:-1]
    steps: dict[Vertex, list[Vertex]] = {}
    neighbours = (  # (pixel beyond the edge, from, to): top, right, bottom, left
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, :-2], (0, 1), (0, 0)),
    )
    for beyond, (x0, y0), (x1, y1) in neighbours:
        for row, column in np.argwhere(inside & ~beyond).tolist():
            steps.setdefault((column + x0, row + y0), []).append((column + x1, row + y1))
    return steps


def _walk_border(steps: dict[Vertex, list[Vertex]], start: Vertex) -> Iterator[list[Vertex]]:
    """Follow the border back to its start, using up its steps; yield a ring whenever a corner is reached again."""
    path: list[Vertex] = [start]
    seen = {start: 0}
    while steps.get(path[-1]):
        here = path[-1]
        ways = steps[here]
        there = ways.pop(_right_turn(path[-2], here, ways) if len(path) > 1 else 0)
        if there in seen:
            first = seen[there]
            yield path[first:]
            for corner in path[first + 1 :]:
                del seen[corner]
            del path[first + 1 :]
        else:
            seen[there] = len(path)
            path.append(there)


def _right_turn(before: Vertex, here: Vertex, ways: list[Vertex]) -> int:
    """Return which way stays with the same pixel, if two pixels meet only at a corner."""
    dx, dy = here[0] - before[0], here[1] - before[1]
    right = (here[0] - dy, here[1] + dx)
    return ways.index(right) if right in ways else 0


def _doubled_area(points: NDArray[np.int64]) -> int:
    """Return twice the area that a polygon encloses, negative if it runs anticlockwise on the screen."""
    x, y = points[:, 0], points[:, 1]
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def _without_collinear(ring: NDArray[np.int64]) -> NDArray[np.int64]:
    into, out = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    corners: NDArray[np.int64] = ring[into[:, 0] * out[:, 1] != into[:, 1] * out[:, 0]]
    return corners


def _centre(points: NDArray[np.int64]) -> tuple[float, float]:
    """Return the centroid of a polygon along pixel edges, or if that lies outside, the middle of the nearest pixel."""
    filled = _fill(points)
    middles = np.argwhere(filled)[:, ::-1] + 0.5
    x, y = (float(value) for value in middles.mean(axis=0))
    around_x, around_y = {int(x), int(np.ceil(x)) - 1}, {int(y), int(np.ceil(y)) - 1}
    if all(filled[row, column] for row in around_y for column in around_x):
        return x, y
    x, y = middles[((middles - (x, y)) ** 2).sum(axis=1).argmin()].tolist()
    return x, y


def _fill(points: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the pixels inside a polygon along pixel edges: to their left, one more border runs up than down."""
    width, height = points.max(axis=0)
    borders = np.zeros((height, width + 1), dtype=np.int64)
    for (x0, y0), (x1, y1) in zip(points.tolist(), np.roll(points, -1, axis=0).tolist(), strict=True):
        if x0 == x1:
            borders[min(y0, y1) : max(y0, y1), x0] += 1 if y1 < y0 else -1
    return borders.cumsum(axis=1)[:, :-1] > 0


def thinned(points: NDArray[np.int64], centre: tuple[float, float], most: int = MOST_POINTS) -> NDArray[np.int64]:
    """Return a polygon on at most ``most`` of another's corners, without self-intersections.

    The corner that matters least is removed first: the one whose triangle with its neighbours is
    smallest (Visvalingam and Whyatt, Cartographic Journal 1993). It stays if that triangle contains
    another corner, because the border would then cross itself, or the centre, which would end up outside.
    A polygon that does not meet itself always has a corner that may be removed (Meisters' two ears theorem).

    Parameters
    ----------
    points
        int64, shape (points, 2): corners of a polygon that does not meet itself.
    centre
        A point inside.
    most
        At least 4.
    """
    count = len(points)
    corners = points.tolist()
    before, after = [i - 1 for i in range(count)], [(i + 1) % count for i in range(count)]
    before[0] = count - 1
    kept = np.ones(count, dtype=bool)
    waiting, tried, left = list(range(count)), count + 1, count
    while most < left < tried:
        tried = left
        queue = [(_triangle(corners[before[i]], corners[i], corners[after[i]]), i) for i in waiting]
        heapq.heapify(queue)
        waiting = []
        while queue and left > most:
            size, i = heapq.heappop(queue)
            a, c = before[i], after[i]
            if not kept[i] or size != _triangle(corners[a], corners[i], corners[c]):
                continue
            if _holds_something(points, kept, (a, i, c), centre):
                waiting.append(i)
                continue
            kept[i] = False
            left -= 1
            after[a], before[c] = c, a
            for j in (a, c):
                heapq.heappush(queue, (_triangle(corners[before[j]], corners[j], corners[after[j]]), j))
    return points[kept]


def _triangle(a: list[int], b: list[int], c: list[int]) -> int:
    """Return twice the area of a triangle."""
    return abs((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def _holds_something(
    points: NDArray[np.int64], kept: NDArray[np.bool_], corners: tuple[int, int, int], centre: tuple[float, float]
) -> bool:
    """Return whether the closed triangle of three corners contains another corner or the centre."""
    triangle = points[list(corners)]
    (left, top), (right, bottom) = triangle.min(axis=0), triangle.max(axis=0)
    x, y = points[:, 0], points[:, 1]
    near = kept & (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    near[list(corners)] = False
    suspects: list[tuple[float, float]] = [(float(x), float(y)) for x, y in points[near]]
    if left <= centre[0] <= right and top <= centre[1] <= bottom:
        suspects.append(centre)
    a, b, c = triangle.tolist()
    return any(_in_triangle(a, b, c, suspect) for suspect in suspects)


def _in_triangle(a: list[int], b: list[int], c: list[int], p: tuple[float, float]) -> bool:
    """Return whether a point is on the same side of all three edges or on one; for a flat triangle, on its line."""
    sides = [(v[0] - u[0]) * (p[1] - u[1]) - (v[1] - u[1]) * (p[0] - u[0]) for u, v in ((a, b), (b, c), (c, a))]
    return min(sides) >= 0 or max(sides) <= 0
