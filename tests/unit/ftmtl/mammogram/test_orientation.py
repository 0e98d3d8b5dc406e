"""However a mammogram is stored, it hangs one way; masks and boxes return exactly to the stored matrix."""

from itertools import product

import numpy as np
import pytest
from support.mammograms import changed, dataset, film

from ftmtl.findings import LesionMask
from ftmtl.mammogram.geometry import CONTRADICTION, MIRRORED, Geometry
from ftmtl.mammogram.grayscale import codes, own_grey_scale
from ftmtl.mammogram.load import from_array, load_mammogram

TURNS = list(product((False, True), repeat=3))


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("crop", [(0, 0, 37, 53), (5, 0, 30, 53), (3, 7, 36, 41), (10, 11, 11, 12)])
def test_masks_and_boxes_return_exactly(turn, crop):
    rng = np.random.default_rng(7)
    stored = rng.random((53, 37)) < 0.5
    geometry = Geometry(53, 37, crop, *turn)
    canonical = geometry.apply(stored)
    assert canonical.shape == (geometry.height, geometry.width)
    for _ in range(20):
        x0, x1 = np.sort(rng.choice(geometry.width + 1, 2, replace=False)).tolist()
        y0, y1 = np.sort(rng.choice(geometry.height + 1, 2, replace=False)).tolist()
        piece, column, row = geometry.mask_to_source(canonical[y0:y1, x0:x1], x0, y0)
        height, width = piece.shape
        np.testing.assert_array_equal(piece, stored[row : row + height, column : column + width])
        box = geometry.box_to_source((x0, y0, x1, y1))
        assert box == (column, row, column + width, row + height)
        assert geometry.box_from_source(box) == (x0, y0, x1, y1)


def turned(stored: np.ndarray, row: str, column: str, turn: tuple[bool, bool, bool]):
    """Turn pixels and the two directions of Patient Orientation alike."""
    opposite = str.maketrans("APLRHF", "PARLFH")
    transpose, flip_rows, flip_columns = turn
    if transpose:
        stored, row, column = stored.T, column, row
    if flip_rows:
        stored, column = stored[::-1], column.translate(opposite)
    if flip_columns:
        stored, row = stored[:, ::-1], row.translate(opposite)
    return stored, [row, column]


@pytest.mark.parametrize("turn", TURNS)
def test_every_way_to_store_a_real_mammogram_hangs_the_same(gh133, turn):
    reference = load_mammogram(gh133)
    stored, directions = turned(gh133.pixel_array, "P", "FL", turn)
    mammogram = load_mammogram(changed(gh133, stored, PatientOrientation=directions))
    assert mammogram.notes == reference.notes == ()
    whole = Geometry(*stored.shape, (0, 0, stored.shape[1], stored.shape[0]), *_turn_of(mammogram))
    np.testing.assert_array_equal(whole.apply(stored), gh133.pixel_array[:, ::-1])
    # The thumbnail's grid starts at the other end of a flipped image, so crops may differ, by about its margin.
    np.testing.assert_allclose(mammogram.pixels.shape, reference.pixels.shape, atol=20)


def _turn_of(mammogram):
    return mammogram.orientation.transpose, mammogram.orientation.flip_rows, mammogram.orientation.flip_columns


def test_cranio_caudal_hangs_lateral_up():
    for side, directions, upside_down in [
        ("R", ["P", "L"], False),
        ("L", ["A", "R"], False),
        ("R", ["P", "R"], True),
        ("L", ["A", "L"], True),
    ]:
        stored = film()[:, :: -1 if directions[0] == "P" else 1]
        ds = dataset(stored, ImageLaterality=side, ViewPosition="CC", PatientOrientation=directions)
        assert _turn_of(load_mammogram(ds)) == (False, upside_down, directions[0] == "P")


def test_pixels_win_over_a_wrong_patient_orientation(gh133):
    mirrored = changed(gh133, gh133.pixel_array[:, ::-1])
    mammogram = load_mammogram(mirrored)
    assert CONTRADICTION in mammogram.notes
    assert not mammogram.orientation.flip_columns
    assert mammogram.pixels[:, :20].mean() > mammogram.pixels[:, -20:].mean()


@pytest.mark.parametrize(("side", "mirrored", "said"), [("L", False, False), ("L", True, True), ("R", False, True)])
def test_a_chest_wall_that_lies_as_in_the_other_breast_is_said(side, mirrored, said):
    stored = film()[:, :: -1 if mirrored else 1]
    ds = dataset(stored, ImageLaterality=side, ViewPosition="CC", WindowCenter=2048, WindowWidth=4096)
    assert (MIRRORED in load_mammogram(ds).notes) == said


def test_without_a_header_the_breast_tells():
    right = from_array(film()[:, ::-1] / 4095)
    left = from_array(film() / 4095, "L", (0.2, 0.1))
    assert right.orientation.flip_columns
    assert not left.orientation.flip_columns
    np.testing.assert_array_equal(left.pixels[:, :100], right.pixels[:, :100])
    assert (left.spacing_mm, left.canonical_spacing_mm) == ((0.2, 0.1), (0.2, 0.1))


def test_a_mask_lands_on_the_lesion(gh133):
    mammogram = load_mammogram(gh133)
    mask = mammogram.pixels > 0.8
    piece, column, row = mammogram.mask_to_source(mask, 0, 0)
    table = own_grey_scale(gh133, gh133.pixel_array).table
    bright = table[codes(gh133.pixel_array)] > 0.8
    x0, y0, x1, y1 = mammogram.orientation.crop
    outside = bright.copy()
    outside[y0:y1, x0:x1] = False
    np.testing.assert_array_equal(
        LesionMask(piece, column, row).paste(mammogram.rows, mammogram.columns), bright & ~outside
    )
