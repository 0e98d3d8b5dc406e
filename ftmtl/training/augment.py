"""Augmentation suited to radiographs: rotation, scale, flips, contrast, shading and noise, without colour or shear."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from ftmtl.datasets.sample import Sample
from ftmtl.network.targets import Target
from ftmtl.preprocess import AIR, BACKGROUND, standardise

MIN_SIDE_PX = 6
"""Lesions that are smaller than this after cropping, rotation and scaling are removed from the truth."""
_DEGREES = 15.0
_SCALES = (0.75, 1.35)
_GAMMAS = (0.6, 1.7)
_CUT = 0.1
"""Largest fraction of the width of whole images that is cut off at the chest wall, as by bad positioning."""

Floats = NDArray[np.float32]


def augmented(sample: Sample, rng: np.random.Generator, crop: int | None) -> tuple[Tensor, Target]:
    """Make one training example.

    Image and masks are resampled once and together: rotated by up to 15 degrees, scaled by 0.75 to 1.35, and flipped.
    Whole images keep their chest wall at the left, where a strip may be cut off, so they are only flipped top to
    bottom. Crops are flipped both ways.

    Parameters
    ----------
    rng
        The only source of randomness.
    crop
        Side of a square crop, which is near a lesion three times out of four; None for the whole image.

    Returns
    -------
    image
        Standardised over the whole breast, float32, shape (1, height, width); everything else is air.
    target
        Truth inside the image; boxes are tight around the masks, half-open.
    """
    seed = int(rng.integers(2**31))
    pixels = standardise(_contrasted(sample.pixels.astype(np.float32), rng))
    air = float(pixels.min())
    height, width = pixels.shape
    if crop is None:
        size, matrix = (height, width), _matrix(rng, sideways=False)
        pivot = np.array([0.0, height / 2])  # the middle of the chest wall is not moved
        centre = pivot + matrix @ (np.array([width / 2, height / 2]) - pivot)
        centre[0] += max(0.0, rng.uniform(-_CUT, _CUT)) * width
    else:
        size, matrix = (crop, crop), _matrix(rng, sideways=True)
        centre = _crop_centre(sample, rng, crop * float(np.sqrt(abs(np.linalg.det(matrix)))))
    layers = np.concatenate([pixels[None] - air, sample.masks.astype(np.float32)])
    moved = _resampled(torch.from_numpy(layers), matrix, centre, size)
    image = _disturbed(moved[0].numpy(), rng) + np.float32(air)
    masks = moved[1:].round()
    return torch.from_numpy(np.clip(image, -4, 4))[None], _target(sample, masks, seed)


def _contrasted(pixels: Floats, rng: np.random.Generator) -> Floats:
    """Apply a gamma of 0.6 to 1.7, log-uniformly distributed, and uneven brightness; air becomes 0."""
    breast = pixels > BACKGROUND
    gamma = np.exp(rng.uniform(*np.log(_GAMMAS)))
    bent = np.where(breast, np.minimum(pixels, 1) ** np.float32(gamma), 0)
    return (bent * _uneven(pixels.shape, rng)).astype(np.float32)


def _uneven(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Draw a smooth field around 1 from 3 × 3 values: heel effect, uneven compression, an unevenly lit film."""
    coarse = torch.from_numpy(rng.uniform(-1, 1, (1, 1, 3, 3)).astype(np.float32)) * float(rng.uniform(0, 0.12))
    field: Floats = F.interpolate(coarse, size=shape, mode="bicubic", align_corners=True)[0, 0].numpy()
    return 1 + field


def _matrix(rng: np.random.Generator, *, sideways: bool) -> NDArray[np.float64]:
    """Draw the matrix that maps a step (columns, rows) in the result to a step in the sample."""
    turn, scale = np.deg2rad(rng.uniform(-_DEGREES, _DEGREES)), rng.uniform(*_SCALES)
    flip_rows, flip_columns = rng.random(2) < 0.5
    flips = np.diag([-1.0 if flip_columns and sideways else 1.0, -1.0 if flip_rows else 1.0])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(rotation @ flips / scale)


def _crop_centre(sample: Sample, rng: np.random.Generator, cut: float) -> NDArray[np.float64]:
    """Draw the centre (column, row), in the sample, of a crop that covers `cut` of its pixels in each direction."""
    extent = np.array(sample.pixels.shape[::-1], dtype=float)
    half = np.minimum(cut, extent) / 2
    if len(sample.masks) and rng.random() < 0.75:
        rows, columns = np.nonzero(sample.masks[int(rng.integers(len(sample.masks)))])
        drawn = np.array([columns.mean(), rows.mean()]) + rng.uniform(-0.3, 0.3, 2) * cut
    else:
        drawn = rng.uniform(half, extent - half)
    return np.clip(drawn, half, extent - half)


def _resampled(
    layers: Tensor, matrix: NDArray[np.float64], centre: NDArray[np.float64], size: tuple[int, int]
) -> Tensor:
    """Resample layers, shape (n, height, width), padded with zeros, with `centre` at the middle of the result."""
    from_extent = np.array([layers.shape[2], layers.shape[1]], dtype=float)
    to_extent = np.array([size[1], size[0]], dtype=float)
    theta = np.column_stack([matrix * to_extent / from_extent[:, None], 2 * centre / from_extent - 1])
    grid = F.affine_grid(torch.from_numpy(theta).float()[None], [1, 1, *size], align_corners=False)
    return F.grid_sample(layers[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]


def _disturbed(image: Floats, rng: np.random.Generator) -> Floats:
    """Blur one of three images, change gain and brightness slightly, and add noise; air is 0 and stays 0."""
    if rng.random() < 1 / 3:
        image = ndimage.gaussian_filter(image, rng.uniform(0.4, 1.2))
    noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(0, 0.08))
    changed = image * np.float32(rng.uniform(0.9, 1.1)) + np.float32(rng.uniform(-0.1, 0.1)) + noise
    return np.where(image > AIR, np.maximum(changed, 0), 0).astype(np.float32)


def _target(sample: Sample, masks: Tensor, seed: int) -> Target:
    boxes, kept = [], []
    for i, mask in enumerate(masks):
        rows, columns = torch.where(mask.any(1))[0], torch.where(mask.any(0))[0]
        if len(rows) and min(rows[-1] - rows[0], columns[-1] - columns[0]) + 1 >= MIN_SIDE_PX:
            boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
            kept.append(i)
    return Target(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        masks[kept],
        torch.from_numpy(sample.outlined[kept]),
        torch.from_numpy(sample.malignant[kept]),
        torch.from_numpy(sample.types[kept]),
        seed,
    )
