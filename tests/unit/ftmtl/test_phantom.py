"""Synthetic mammograms: the same seed is the same breast, and the truth lies where the lesion is."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread
from scipy import ndimage
from support import peers
from support.validators import errors

from ftmtl.findings import FindingType
from ftmtl.phantom.dicom import STANDARD_VIEWS, phantom_dataset, write_study
from ftmtl.phantom.make import FIELD_MM, LesionSpec, make_phantom

MASS = LesionSpec(FindingType.MASS, True, 8.0, 0.4, seed=3)


def test_one_seed_is_one_image() -> None:
    first, second = (make_phantom(5, spacing_mm=0.4) for _ in range(2))
    assert np.array_equal(first.pixels, second.pixels)
    assert first.lesions[0].box == second.lesions[0].box
    assert not np.array_equal(first.pixels, make_phantom(6, spacing_mm=0.4).pixels)


@pytest.mark.parametrize("view", ["CC", "MLO"])
def test_dense_gland_is_bright_over_centimetres_and_hides_the_same_lesions(view: str) -> None:
    for seed in range(40, 44):
        dense, plain = (make_phantom(seed, view=view, spacing_mm=0.4, dense=dense) for dense in (True, False))
        assert [lesion.box for lesion in dense.lesions] == [lesion.box for lesion in plain.lesions]
        x0, y0, x1, y1 = dense.breast
        added = dense.pixels[y0:y1, x0:x1].astype(float) - plain.pixels[y0:y1, x0:x1]
        bright = ndimage.gaussian_filter(added, 3 / 0.4) > 0.5 * added.max() / 2
        assert bright.sum() * 0.4**2 > 15**2
        assert added[:, -round(4 / 0.4) :].mean() < added.max() / 4  # a rim of fat stays


@pytest.mark.parametrize("spacing", [0.2, 0.4])
def test_size_follows_spacing(spacing: float) -> None:
    phantom = make_phantom(1, spacing_mm=spacing)
    assert phantom.pixels.shape == (round(FIELD_MM[0] / spacing), round(FIELD_MM[1] / spacing))
    assert phantom.pixels.dtype == np.uint16
    assert phantom.pixels.max() <= 4095


def test_the_same_breast_at_another_spacing() -> None:
    """Lesions stay where they are in millimetres, whatever the detector."""
    fine = make_phantom(4, spacing_mm=0.2, lesions=[MASS]).lesions[0].box
    coarse = make_phantom(4, spacing_mm=0.4, lesions=[MASS]).lesions[0].box
    assert np.allclose(np.array(fine) * 0.2, np.array(coarse) * 0.4, atol=0.9)


@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize("view", ["CC", "MLO"])
@pytest.mark.parametrize("kind", [FindingType.MASS, FindingType.CALCIFICATION])
@pytest.mark.parametrize("malignant", [True, False])
def test_the_mask_lies_on_what_was_added(laterality: str, view: str, kind: FindingType, malignant: bool) -> None:
    """With and without the lesion, images differ inside the mask, and by far the most there."""
    spec = LesionSpec(kind, malignant, 8.0, 0.6, seed=9)
    drawn = make_phantom(12, laterality=laterality, view=view, spacing_mm=0.3, lesions=[spec], marker=False)
    (truth,) = drawn.lesions
    mask = truth.mask.paste(*drawn.pixels.shape)
    x0, y0, x1, y1 = (int(edge) for edge in truth.box)
    assert mask[y0:y1, x0:x1].any(axis=0).all()
    assert mask[y0:y1, x0:x1].any(axis=1).all()
    pixels = drawn.pixels.astype(float)
    ring = np.zeros_like(mask)
    ring[max(0, y0 - 20) : y1 + 20, max(0, x0 - 20) : x1 + 20] = True
    inside, around = pixels[mask], pixels[ring & ~mask]
    bright = inside.mean() if kind is FindingType.MASS else np.percentile(inside, 98)
    dark = around.mean() if kind is FindingType.MASS else np.percentile(around, 98)
    assert bright > dark + 100


def test_right_breasts_touch_the_right_edge() -> None:
    for laterality, edge in (("L", 0), ("R", -1)):
        pixels = make_phantom(2, laterality=laterality, spacing_mm=0.4, marker=False).pixels
        assert (pixels[:, edge] > 200).mean() > 0.3
        assert (pixels[:, -1 - edge] > 200).mean() < 0.05


def test_wrong_side_or_view_is_refused() -> None:
    with pytest.raises(ValueError, match="laterality L or R"):
        make_phantom(1, laterality="B")
    with pytest.raises(ValueError, match="view CC or MLO"):
        make_phantom(1, view="ML")


@pytest.mark.parametrize(("laterality", "view"), STANDARD_VIEWS)
def test_the_instance_is_valid(tmp_path, laterality: str, view: str) -> None:
    """dciodvfy finds no error, and what is written is what was drawn."""
    phantom = make_phantom(7, laterality=laterality, view=view, spacing_mm=0.4)
    path = tmp_path / "phantom.dcm"
    phantom_dataset(phantom).save_as(path, enforce_file_format=True)
    status, lines = peers.run_tool("dciodvfy", "-new", path)
    assert "MammographyImageForPresentation" in lines
    assert not errors(lines)
    assert status == 0
    read = dcmread(path)
    assert np.array_equal(read.pixel_array, phantom.pixels)
    assert (read.ImageLaterality, read.ViewPosition) == (laterality, view)


def test_a_study_holds_together(tmp_path) -> None:
    paths = [path for path, _ in write_study(tmp_path, 3, spacing_mm=0.4)]
    read = [dcmread(path, stop_before_pixels=True) for path in paths]
    assert len({ds.StudyInstanceUID for ds in read}) == 1
    assert len({ds.SeriesInstanceUID for ds in read}) == len({ds.SOPInstanceUID for ds in read}) == 4
    again = [dcmread(path, stop_before_pixels=True) for path, _ in write_study(tmp_path / "2", 3, spacing_mm=0.4)]
    assert [ds.SOPInstanceUID for ds in read] == [ds.SOPInstanceUID for ds in again]
    status, lines = peers.run_tool("dcentvfy", *paths)
    assert status == 0, lines
