"""Augmentation as radiography allows: flips, scale, contrast and noise; never a colour, never a shear."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ftmtl.datasets.sample import Sample
from ftmtl.network import Target
from ftmtl.preprocess import BACKGROUND, standardise

_MIN_SIDE = 6.0
"""Lesions cut to less than this many pixels by the crop are no truth to learn from."""


def augmented(sample: Sample, rng: np.random.Generator, crop: int | None) -> tuple[Tensor, Target]:
    """One training example.

    Parameters
    ----------
    crop
        Side of a square crop at a random scale, on a lesion three times in four; None for the whole image.

    Returns
    -------
    image
        Standardised, shape (1, height, width).
    target
        Truth of what lies inside.
    """
    pixels = sample.pixels.astype(np.float32)
    breast = pixels > BACKGROUND
    pixels = np.where(breast, np.clip(pixels, 0, 1) ** rng.uniform(0.7, 1.4), 0).astype(np.float32)
    pixels += breast * rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(rng.uniform(0, 0.012))
    image = torch.from_numpy(standardise(pixels))[None]
    masks = torch.from_numpy(sample.masks.astype(np.float32))
    if crop is not None:
        image, masks = _crop(image, masks, rng, crop)
    if rng.random() < 0.5:
        image, masks = image.flip(-2), masks.flip(-2)
    return image.contiguous(), _target(sample, masks)


def _crop(image: Tensor, masks: Tensor, rng: np.random.Generator, side: int) -> tuple[Tensor, Tensor]:
    height, width = image.shape[-2:]
    cut = min(round(side / rng.uniform(0.8, 1.3)), height, width)
    if len(masks) and rng.random() < 0.75:
        y, x = _centre(masks[int(rng.integers(len(masks)))].numpy() > 0.5)
        y, x = y - rng.uniform(0.2, 0.8) * cut, x - rng.uniform(0.2, 0.8) * cut
    else:
        y, x = rng.uniform(0, height - cut), rng.uniform(0, width - cut)
    top, left = int(np.clip(y, 0, height - cut)), int(np.clip(x, 0, width - cut))
    image = image[:, top : top + cut, left : left + cut]
    masks = masks[:, top : top + cut, left : left + cut]
    image = F.interpolate(image[None], (side, side), mode="bilinear", antialias=True)[0]
    if len(masks):
        masks = F.interpolate(masks[None], (side, side), mode="bilinear", antialias=True)[0].round()
    else:
        masks = masks.new_zeros((0, side, side))
    return image, masks


def _centre(mask: NDArray[np.bool_]) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(rows.mean()), float(columns.mean())


def _target(sample: Sample, masks: Tensor) -> Target:
    boxes, kept = [], []
    for i, mask in enumerate(masks):
        rows, columns = torch.where(mask.any(1))[0], torch.where(mask.any(0))[0]
        if len(rows) and min(rows[-1] - rows[0], columns[-1] - columns[0]) + 1 >= _MIN_SIDE:
            boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
            kept.append(i)
    return Target(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        masks[kept],
        torch.from_numpy(sample.malignant[kept]),
        torch.from_numpy(sample.types[kept]),
    )
