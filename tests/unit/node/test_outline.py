"""Outlines: exact along pixel edges, thinned without crossing themselves."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from ftmtl.findings import LesionMask
from node.results.common.outline import MOST_POINTS, outline, thinned, trace


def mask(*rows: str) -> NDArray[np.bool_]:
    """Return a mask from a drawing."""
    return np.array([[c == "#" for c in row] for row in rows])


def area(points: NDArray[np.int64]) -> float:
    """Return what a polygon encloses, by the shoelace formula; positive if it runs clockwise on the screen."""
    x, y = points[:, 0], points[:, 1]
    return float(x @ np.roll(y, -1) - np.roll(x, -1) @ y) / 2


def contains(points: NDArray[np.int64], x: float, y: float) -> bool:
    """Tell whether a ray to the left meets the border an odd number of times."""
    inside = False
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if (y0 > y) != (y1 > y) and x > (x1 - x0) * (y - y0) / (y1 - y0) + x0:
            inside = not inside
    return inside


def meets_itself(points: NDArray[np.int64]) -> bool:
    """Tell whether any two sides that are not neighbours touch or cross."""

    def side(a: list[int], b: list[int], c: list[int]) -> int:
        return int(np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])))

    def between(a: list[int], b: list[int], c: list[int]) -> bool:
        return all(min(a[i], b[i]) <= c[i] <= max(a[i], b[i]) for i in (0, 1))

    corners = points.tolist()
    sides = list(zip(corners, corners[1:] + corners[:1], strict=True))
    for (i, (a, b)), (j, (c, d)) in combinations(enumerate(sides), 2):
        if j - i in (1, len(sides) - 1):
            continue
        turns = (side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b))
        if turns[0] != turns[1] and turns[2] != turns[3]:
            return True
        touching = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
        if any(turn == 0 and between(*three) for turn, three in zip(turns, touching, strict=True)):
            return True
    return False


def largest_filled(pixels: NDArray[np.bool_]) -> int:
    """Return the pixels of the largest piece and of what it encloses, as scipy counts them."""
    labels, pieces = ndimage.label(pixels)
    return max(int(ndimage.binary_fill_holes(labels == piece).sum()) for piece in range(1, pieces + 1))


def test_a_pixel_has_four_corners() -> None:
    assert trace(mask("#")).tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]
    assert outline(LesionMask(mask("#"), 7, 3)).points.tolist() == [[7, 3], [8, 3], [8, 4], [7, 4]]
    assert outline(LesionMask(mask("#"), 7, 3)).centre == (7.5, 3.5)


def test_an_l_has_six_corners_clockwise() -> None:
    points = trace(mask("#.", "#.", "##"))
    assert points.tolist() == [[0, 0], [1, 0], [1, 2], [2, 2], [2, 3], [0, 3]]
    assert area(points) == 4


def test_holes_count_as_inside() -> None:
    points = trace(mask("#####", "#...#", "#.#.#", "#...#", "#####"))
    assert points.tolist() == [[0, 0], [5, 0], [5, 5], [0, 5]]


def test_pixels_that_share_a_corner_are_two_pieces() -> None:
    assert trace(mask("##.", "##.", "..#")).tolist() == [[0, 0], [2, 0], [2, 2], [0, 2]]
    assert trace(mask("#..", ".##", ".##")).tolist() == [[1, 1], [3, 1], [3, 3], [1, 3]]
    assert trace(mask("#.", ".#")).tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]


def test_what_only_a_corner_leads_out_of_is_enclosed() -> None:
    curled = mask("###.", "#.#.", "##.#", "...#")
    assert trace(curled).tolist() == [[0, 0], [3, 0], [3, 2], [2, 2], [2, 3], [0, 3]]
    assert area(trace(curled)) == largest_filled(curled)


def test_the_largest_piece_counts_and_of_equals_the_first() -> None:
    assert trace(mask("#..#", "...#")).tolist() == [[3, 0], [4, 0], [4, 2], [3, 2]]
    assert trace(mask("..#", "#..")).tolist() == [[2, 0], [3, 0], [3, 1], [2, 1]]


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="empty mask"):
        trace(np.zeros((3, 3), dtype=bool))


def test_a_centre_outside_moves_to_the_next_pixel() -> None:
    hook = LesionMask(mask("####", "#...", "#...", "####"), 10, 20)
    assert outline(hook).centre == (10.5, 21.5)
    assert outline(LesionMask(mask("##", "##"), 0, 0)).centre == (1, 1)


@pytest.mark.parametrize("seed", range(60))
def test_random_masks_keep_their_area_and_thin_without_crossing(seed: int) -> None:
    """Against scipy's pieces and holes; thinned to any number of points, the centre stays inside."""
    random = np.random.default_rng(seed)
    pixels = random.random((random.integers(2, 14), random.integers(2, 14))) < random.choice([0.4, 0.6, 0.75, 0.9])
    if seed % 3 == 0:
        pixels = ndimage.gaussian_filter(random.random((30, 30)), 1.2) > 0.5
    pixels[0, 0] = True
    points = trace(pixels)
    assert area(points) == largest_filled(pixels)
    assert not meets_itself(points)
    for most in (4, 7, 20):
        few, centre = outline(LesionMask(pixels, 3, 5), most)
        assert len(few) <= most
        assert not meets_itself(few)
        assert contains(few, *centre)
        assert {tuple(point) for point in few - (3, 5)} <= {tuple(point) for point in points}


def test_a_thinned_disc_is_still_the_disc() -> None:
    y, x = np.mgrid[:400, :400]
    disc = LesionMask((x - 200) ** 2 + (y - 200) ** 2 < 190**2, 0, 0)
    exact, few = trace(disc.pixels), outline(disc).points
    assert len(exact) > MOST_POINTS >= len(few)
    assert area(few) == pytest.approx(disc.area_px, rel=0.002)


def test_few_points_stay_as_they_are() -> None:
    points = trace(mask("#.", "##"))
    assert thinned(points, (0.5, 1.5), 6).tolist() == points.tolist()
