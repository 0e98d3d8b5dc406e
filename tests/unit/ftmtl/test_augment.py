"""Augmentation: what is done to the image is done to its truth."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from ftmtl.datasets.sample import Sample
from ftmtl.preprocess import standardise
from ftmtl.training.augment import MIN_SIDE_PX, augmented

HEIGHT, WIDTH = 160, 128
CLASSES = ((60, 40, 14, 1, 0, True), (110, 70, 10, 0, 1, True), (40, 85, 12, -1, -1, False))
"""Row, column, radius, malignant, type, outlined."""


def disc(row: float, column: float, radius: float) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return (x - column) ** 2 + (y - row) ** 2 < radius**2


def sample(lesions=CLASSES) -> Sample:
    """A half disc as a breast; lesions are bright discs, each of a brightness of its own."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    breast = (x / 115) ** 2 + ((y - 80) / 76) ** 2 < 1
    pixels = np.where(breast, 0.2 + 0.05 * np.sin(x / 3), 0)
    for i, (row, column, radius, *_) in enumerate(lesions):
        pixels[disc(row, column, radius)] = 0.6 + 0.15 * i
    masks = [disc(row, column, radius) for row, column, radius, *_ in lesions]
    return Sample(
        pixels.astype(np.float16),
        np.array(masks, dtype=bool).reshape(-1, HEIGHT, WIDTH),
        np.array([lesion[5] for lesion in lesions], dtype=bool),
        np.array([lesion[3] for lesion in lesions], dtype=np.int64),
        np.array([lesion[4] for lesion in lesions], dtype=np.int64),
        "x",
        "p",
    )


@pytest.mark.parametrize("crop", [None, 96])
def test_image_and_masks_move_together(crop):
    whole, kept = sample(), 0
    for seed in range(50):
        image, target = augmented(whole, np.random.default_rng(seed), crop)
        pixels = image[0].numpy()
        assert image.shape == (1, *((crop, crop) if crop else (HEIGHT, WIDTH)))
        assert target.masks.shape[1:] == image.shape[1:]
        around = (pixels > pixels.min() + 0.5) & ~target.masks.numpy().astype(bool).any(axis=0)
        for mask in target.masks.numpy().astype(bool):
            assert pixels[mask].mean() > np.median(pixels[around]) + 0.8
            assert np.percentile(pixels[mask], 5) > np.median(pixels[around]) + 0.3
            kept += 1
    assert kept > 90


@pytest.mark.parametrize("crop", [None, 96])
def test_boxes_are_tight_and_half_open(crop):
    for seed in range(30):
        image, target = augmented(sample(), np.random.default_rng(seed), crop)
        assert set(target.masks.unique().tolist()) <= {0.0, 1.0}
        for box, mask in zip(target.boxes.tolist(), target.masks.bool(), strict=True):
            x0, y0, x1, y1 = (int(edge) for edge in box)
            assert box == [x0, y0, x1, y1]
            assert mask.sum() == mask[y0:y1, x0:x1].sum()
            assert all(edge.any() for edge in (mask[y0], mask[y1 - 1], mask[:, x0], mask[:, x1 - 1]))
            assert min(x1 - x0, y1 - y0) >= MIN_SIDE_PX
            assert 0 <= x0 < x1 <= image.shape[2]
            assert 0 <= y0 < y1 <= image.shape[1]


def test_classes_stay_with_their_lesions():
    """Each lesion has a brightness of its own, which tells it whatever the order or number that is left."""
    seen = set()
    for seed in range(50):
        image, target = augmented(sample(), np.random.default_rng(seed), 64)
        pixels = image[0].numpy()
        columns = (target.outlined.tolist(), target.malignant.tolist(), target.types.tolist())
        rows = list(zip(*columns, strict=True))
        levels = [float(np.median(pixels[mask.numpy() > 0])) for mask in target.masks]
        order = [CLASSES.index(next(c for c in CLASSES if (c[5], c[3], c[4]) == row)) for row in rows]
        assert order == sorted(order)
        assert levels == sorted(levels)
        seen.add(tuple(order))
    assert len(seen) >= 5


def test_all_chance_comes_from_the_generator():
    torch.manual_seed(1)
    first = augmented(sample(), np.random.default_rng(4), 96)
    torch.manual_seed(2)
    np.random.seed(3)
    second = augmented(sample(), np.random.default_rng(4), 96)
    other = augmented(sample(), np.random.default_rng(5), 96)
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[0], other[0])
    for field in fields(first[1]):
        a, b = getattr(first[1], field.name), getattr(second[1], field.name)
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_the_seed_is_drawn_first():
    expected = int(np.random.default_rng(8).integers(2**31))
    for crop in (None, 64):
        for lesions in (CLASSES, ()):
            assert augmented(sample(lesions), np.random.default_rng(8), crop)[1].seed == expected


@pytest.mark.parametrize("crop", [None, 96, 300])
def test_an_image_without_lesions(crop):
    image, target = augmented(sample(()), np.random.default_rng(0), crop)
    side = (crop, crop) if crop else (HEIGHT, WIDTH)
    assert image.dtype == torch.float32
    assert target.boxes.shape == (0, 4)
    assert target.masks.shape == (0, *side)
    assert [t.dtype for t in (target.outlined, target.malignant, target.types)] == [
        torch.bool,
        torch.int64,
        torch.int64,
    ]


def test_lesions_that_leave_the_crop_are_no_truth():
    small = ((20, 20, 8, 1, 0, True), (140, 30, 8, 0, 1, True))
    numbers = {len(augmented(sample(small), np.random.default_rng(seed), 48)[1].boxes) for seed in range(30)}
    assert numbers == {0, 1}
    speck = ((80, 50, 2.0, 1, 0, True),)
    for seed in range(20):
        assert len(augmented(sample(speck), np.random.default_rng(seed), None)[1].boxes) == 0


@pytest.mark.parametrize("crop", [None, 96])
def test_air_stays_air_and_the_chest_wall_at_the_left(crop):
    """The breast itself is the lesion here, so that its mask tells where air has to be afterwards."""
    plain = sample(())
    breast = (plain.pixels > 0)[None]
    whole = replace(plain, masks=breast, outlined=np.ones(1, bool), malignant=np.ones(1, int), types=np.zeros(1, int))
    for seed in range(30):
        image, target = augmented(whole, np.random.default_rng(seed), crop)
        pixels, moved = image[0].numpy(), target.masks[0].numpy() > 0
        beyond = ~ndimage.binary_dilation(moved, iterations=7)  # as far as the blur reaches
        within = ndimage.binary_erosion(moved, iterations=5, border_value=1)
        assert (pixels[beyond] == pixels.min()).all()
        assert (pixels[within] > pixels.min()).mean() > 0.99
        assert -4 <= pixels.min() < pixels.max() <= 4
        if crop is None:
            assert moved[HEIGHT // 2 - 4 : HEIGHT // 2 + 4, 2:20].all()


def test_values_stay_close_to_those_at_inference():
    """Gain, brightness and gamma are small: a whole image keeps mean 0 and deviation 1 over its breast, roughly."""
    reference = standardise(sample().pixels.astype(np.float32))
    breast = reference > reference.min()
    assert abs(reference[breast].mean()) < 0.05
    for seed in range(20):
        image, _ = augmented(sample(), np.random.default_rng(seed), None)
        inside = image[image > image.min()]
        assert abs(float(inside.mean())) < 0.35
        assert 0.7 < float(inside.std()) < 1.3
