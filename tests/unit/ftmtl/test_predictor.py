"""The shipped weights: they find what phantoms hold, in stored pixels of every orientation."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from ftmtl.errors import WeightsError
from ftmtl.evaluation.metrics import dice, iou
from ftmtl.findings import LESION_TYPES, FindingType, Outcome
from ftmtl.header.acquisition import Acquisition
from ftmtl.mammogram.geometry import Geometry
from ftmtl.mammogram.load import Mammogram, load_mammogram
from ftmtl.network.targets import Detections
from ftmtl.phantom.dicom import phantom_dataset
from ftmtl.phantom.make import MAX_VALUE, LesionSpec, Phantom, make_phantom
from ftmtl.predictor import Predictor

UNSEEN = 500_000
SPACING = 0.2
MASS = LesionSpec(FindingType.MASS, True, 9.0, 0.42, seed=3)
BENIGN = LesionSpec(FindingType.MASS, False, 9.0, 0.42, seed=4)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(device="cpu")


def unseen_phantom(number: int) -> Phantom:
    view = ("CC", "MLO")[(number // 2) % 2]
    return make_phantom(UNSEEN + number, laterality="LR"[number % 2], view=view, spacing_mm=SPACING)


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize(("laterality", "view"), [("L", "CC"), ("R", "CC"), ("L", "MLO"), ("R", "MLO")])
def test_the_mask_comes_back_over_its_lesion(
    predictor: Predictor, laterality: str, view: str, photometric: str
) -> None:
    phantom = make_phantom(21, laterality=laterality, view=view, spacing_mm=SPACING, lesions=[MASS])
    ds = phantom_dataset(phantom)
    if photometric == "MONOCHROME1":
        ds.PhotometricInterpretation, ds.PresentationLUTShape = photometric, "INVERSE"
        ds.PixelData = (MAX_VALUE - phantom.pixels).tobytes()
    mammogram = load_mammogram(ds)
    (image,) = predictor.predict("2.25.1", [mammogram]).images
    (truth,) = phantom.lesions
    best = max(image.findings, key=lambda f: iou(f.box, truth.box))
    assert iou(best.box, truth.box) > 0.5
    assert dice(best.mask, truth.mask) > 0.75
    assert best.probability is not None
    assert np.array_equal(best.probability >= 128, best.mask.pixels)
    assert best.area_mm2 == pytest.approx(best.mask.area_px * SPACING**2, rel=1e-3)
    x0, y0, x1, y1 = best.box
    assert best.long_axis_mm is not None
    assert max(x1 - x0, y1 - y0) * SPACING * 0.7 < best.long_axis_mm <= np.hypot(x1 - x0, y1 - y0) * SPACING + 0.01


def test_the_same_study_gives_the_same_result(predictor: Predictor) -> None:
    images = [load_mammogram(phantom_dataset(unseen_phantom(n))) for n in (1, 2, 3)]
    first, second = (predictor.predict("2.25.1", images) for _ in range(2))
    alone = [predictor.predict("2.25.1", [image]).images[0] for image in images]
    for a, b, c in zip(first.images, second.images, alone, strict=True):
        assert [f.box for f in a.findings] == [f.box for f in b.findings] == [f.box for f in c.findings]
        assert [f.lesion_score for f in a.findings] == [f.lesion_score for f in b.findings]
        assert all(np.array_equal(f.mask.pixels, g.mask.pixels) for f, g in zip(a.findings, b.findings, strict=True))


def test_no_images_and_no_findings(predictor: Predictor) -> None:
    assert predictor.predict("2.25.1", []).outcome is Outcome.NOT_PROCESSED
    strict = Predictor(device="cpu", threshold=1.1)
    result = strict.predict("2.25.1", [load_mammogram(phantom_dataset(unseen_phantom(1)))])
    assert result.outcome is Outcome.PARTLY_READ
    assert result.images[0].outcome is Outcome.NO_FINDINGS
    assert result.images[0].score == 0


def test_the_operating_point_is_part_of_the_models_identity(predictor: Predictor) -> None:
    assert Predictor(device="cpu", threshold=0.9).model != predictor.model
    assert Predictor(device="cpu").model == predictor.model


def test_lesions_that_somebody_else_has_found_are_classified(predictor: Predictor) -> None:
    """Boxes in stored pixels of both sides; batches give what single images give."""
    phantoms = [make_phantom(31, laterality=side, spacing_mm=SPACING, lesions=[MASS, BENIGN]) for side in "LR"]
    mammograms = [load_mammogram(phantom_dataset(phantom)) for phantom in phantoms]
    boxes = [[lesion.box for lesion in phantom.lesions] for phantom in phantoms]
    results, alone = predictor.examine(mammograms, boxes)
    _, together = Predictor(device="cpu", batch=2).examine(mammograms, boxes)
    predicted = predictor.predict("2.25.1", mammograms).images
    assert [[f.box for f in image.findings] for image in results] == [[f.box for f in i.findings] for i in predicted]
    assert [len(listed) for listed in alone] == [2, 2]
    assert np.allclose(alone, together, atol=1e-4)
    assert all(malignant > benign for malignant, benign in alone)
    assert predictor.examine(mammograms[:1], [[]])[1] == [[]]


@pytest.mark.parametrize("flip", [False, True])
def test_each_pixel_of_a_mask_has_its_probability(predictor: Predictor, flip: bool) -> None:
    """In stored pixels like the mask, 0 to 255; also where no pixel reaches one half and only the best are the mask."""
    rows = columns = 512
    geometry = Geometry(rows, columns, (0, 0, columns, rows), flip_columns=flip)
    mammogram = Mammogram(np.full((rows, columns), 0.5, np.float32), Acquisition(), rows, columns, geometry)
    ramp = torch.linspace(0, 1, 28).expand(28, 28)
    boxes = torch.tensor([[20.0, 30.0, 76.0, 86.0], [100.0, 30.0, 156.0, 86.0]])
    one = torch.ones(2)
    types = one[:, None].expand(-1, len(LESION_TYPES))
    found = Detections(boxes, one, one / 2, types, torch.stack([ramp, ramp * 0.4]))
    sure, unsure = predictor._describe(mammogram, 1.0, found).findings
    for finding, most in ((sure, 255), (unsure, 102)):
        by_pixel = finding.probability
        assert by_pixel is not None
        assert by_pixel.dtype == np.uint8
        assert by_pixel.shape == finding.mask.pixels.shape == (56, 56)
        along_row = by_pixel[28][::-1] if flip else by_pixel[28]
        assert (np.diff(along_row.astype(int)) >= 0).all()
        assert (along_row[0], along_row[-1]) == (0, most)
    assert sure.probability is not None
    assert np.array_equal(sure.probability >= 128, sure.mask.pixels)
    assert unsure.mask.area_px < sure.mask.area_px / 10


@pytest.mark.parametrize(("columns_of_tissue", "reported"), [(60, 2), (30, 1), (20, 0)])
def test_what_lies_over_air_is_no_finding(predictor: Predictor, columns_of_tissue: int, reported: int) -> None:
    """Film is not quite black beyond the skin. What decides is most of the mask, not most of its box."""
    pixels = np.full((128, 128), 0.012, np.float32)
    pixels[:, :columns_of_tissue] = 0.5
    mammogram = Mammogram(pixels, Acquisition(), 128, 128, Geometry(128, 128, (0, 0, 128, 128)))
    left_half = torch.zeros(28, 28)
    left_half[:, :14] = 1
    boxes = torch.tensor([[10.0, 20.0, 66.0, 76.0], [10.0, 20.0, 66.0, 76.0]])
    one = torch.ones(2)
    types = one[:, None].expand(-1, len(LESION_TYPES))
    found = Detections(boxes, one, one / 2, types, torch.stack([torch.ones(28, 28), left_half]))
    assert len(predictor._describe(mammogram, 1.0, found).findings) == reported


def test_masks_take_memory_by_the_lesion_not_by_the_image(predictor: Predictor) -> None:
    """Thirty lesions on a matrix of 12 million pixels: what stays is as large as their boxes."""
    rows, columns = 4000, 3000
    acquisition = Acquisition(laterality="L", view="CC")
    geometry = Geometry(rows, columns, (0, 0, columns, rows))
    mammogram = Mammogram(np.full((rows, columns), 0.5, np.float32), acquisition, rows, columns, geometry)
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 380, (30, 2))
    boxes = torch.from_numpy(np.concatenate([corners, corners + rng.uniform(8, 30, (30, 2))], axis=1)).float()
    ones = torch.ones(30)
    found = Detections(boxes, ones, ones / 2, ones[:, None].expand(-1, len(LESION_TYPES)), torch.rand(30, 28, 28))
    tracemalloc.start()
    image = predictor._describe(mammogram, 512 / rows, found)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    area = sum((f.box[2] - f.box[0]) * (f.box[3] - f.box[1]) for f in image.findings)
    assert len(image.findings) == 30
    assert sum(f.mask.pixels.nbytes for f in image.findings) <= area
    assert sum(f.probability.nbytes for f in image.findings if f.probability is not None) <= area
    assert kept < 2 * area + 1e5
    assert peak < 0.1 * 30 * rows * columns


def test_precision_is_part_of_the_models_identity(predictor: Predictor) -> None:
    assert Predictor(device="cpu", precision="bf16").model != predictor.model


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(WeightsError, match="device 'cuda:99' cannot be used"):
        Predictor(device="cuda:99")
