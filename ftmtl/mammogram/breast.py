"""Locating the breast: a threshold, and the largest connected region of tissue on a thumbnail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

THUMBNAIL = 256
"""Longest side, in pixels, of the image on which the breast is located."""
_SMALLEST_BREAST = 0.01
_MARGIN = 0.01
_ROOT = 0.5
_ANOTHER = 0.25
"""Size of a second region, as a fraction of the largest, from which it is another breast and not a label."""
_LYING = 0.6
"""Part of the top or of the bottom that is breast, from which the chest wall is there."""
_WIDE = 0.72
"""Width by height from which tissue that is widest in the middle is two breasts and not one."""


@dataclass(frozen=True)
class Breast:
    """Position of the breast in an image.

    Attributes
    ----------
    box
        (x0, y0, x1, y1) in pixels, half-open, with a margin of one per cent of the longer side of the image.
    contact
        Fraction of the ``left``, ``right``, ``top`` and ``bottom`` ends of the box that is breast, 0 to 1: near 1 at
        the chest wall, small at the nipple.
    thumbnail
        float32: the image, averaged over blocks of pixels, its longest side about `THUMBNAIL` long.
    mask
        bool, the shape of `thumbnail`: the breast.
    several
        Whether the tissue looks like that of more than one breast or view.
    """

    box: tuple[int, int, int, int]
    contact: Mapping[str, float]
    thumbnail: NDArray[np.float32]
    mask: NDArray[np.bool_]
    several: bool = False


def stride_for(shape: tuple[int, int]) -> int:
    """Return the stride at which an image may be sampled before its thumbnail is averaged: a quarter of its pixel."""
    return max(1, round(max(shape) / (4 * THUMBNAIL)))


def find_breast(sampled: NDArray[Any], stride: int = 1, shape: tuple[int, int] | None = None) -> Breast | None:
    """Locate the breast.

    Parameters
    ----------
    sampled
        The image, with bright tissue and values of any range, or every `stride`-th of its rows and columns.
    stride
        Sampling interval of `sampled`, in pixels.
    shape
        (rows, columns) of the whole image, if `sampled` is a part of it.

    Returns
    -------
    Breast or None
        None if no region of tissue covers one per cent of the image.
    """
    rows, columns = shape or (sampled.shape[0], sampled.shape[1])
    factor = max(1, round(max(sampled.shape) / THUMBNAIL))
    thumbnail = _block_mean(sampled, factor)
    regions = _tissue(thumbnail)
    if regions is None:
        return None
    mask, second = regions
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y0, y1, x0, x1 = int(ys[0]), int(ys[-1]) + 1, int(xs[0]), int(xs[-1]) + 1
    scale, margin = stride * factor, round(_MARGIN * max(rows, columns))
    right = columns if x1 == mask.shape[1] else min(columns, x1 * scale + margin)
    bottom = rows if y1 == mask.shape[0] else min(rows, y1 * scale + margin)
    box = (max(0, x0 * scale - margin), max(0, y0 * scale - margin), right, bottom)
    several = second >= _ANOTHER or _is_pair(mask)
    return Breast(box, _contact(mask[y0:y1, x0:x1]), thumbnail, mask, several)


def breast_region(pixels: NDArray[Any]) -> tuple[int, int, int, int]:
    """Return the box (x0, y0, x1, y1), half-open, of the breast in an image (rows, columns) with bright tissue.

    If no breast is found, the box is that of the whole image.
    """
    rows, columns = pixels.shape
    stride = stride_for((rows, columns))
    breast = find_breast(pixels[::stride, ::stride], stride, (rows, columns))
    return breast.box if breast else (0, 0, columns, rows)


def _block_mean(image: NDArray[Any], factor: int) -> NDArray[np.float32]:
    """Average blocks of factor × factor pixels, without the incomplete ones at the right and at the bottom."""
    height, width = max(1, image.shape[0] // factor), max(1, image.shape[1] // factor)
    blocks = image[: height * factor, : width * factor].reshape(height, -1, width, min(factor, image.shape[1]))
    means: NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return means


def _tissue(thumbnail: NDArray[np.float32]) -> tuple[NDArray[np.bool_], float] | None:
    """Return the largest region that is brighter than the background, ignoring film frames and labels.

    And how large the second largest one is, as a fraction of it.
    """
    threshold = _tissue_threshold(thumbnail)
    if threshold is None:
        return None
    size = max(3, round(0.02 * max(thumbnail.shape)))
    mask = ndimage.binary_opening(thumbnail > threshold, np.ones((size, size)))
    labels, count = ndimage.label(mask)
    if count == 0:
        return None
    areas = np.bincount(labels.ravel())[1:].astype(float)
    largest_two = np.sort(areas)[::-1][:2]
    band = max(1, round(0.03 * max(labels.shape)))
    edge = np.concatenate([labels[:, :band].ravel(), labels[:, -band:].ravel()])
    edge = np.concatenate([edge, labels[:band].ravel(), labels[-band:].ravel()])
    areas[np.setdiff1d(np.unique(edge), 0) - 1] *= 2  # the breast reaches the edge of the film, a label need not
    best = int(areas.argmax()) + 1
    largest: NDArray[np.bool_] = labels == best
    second = float(largest_two[1] / largest_two[0]) if count > 1 else 0.0
    return (largest, second) if largest.mean() >= _SMALLEST_BREAST else None


def _is_pair(mask: NDArray[np.bool_]) -> bool:
    """Return whether one region looks like two breasts side by side.

    Back to back they are widest in the middle, where the chest walls meet, and reach neither side of the image. Nipple
    to nipple they reach both sides and are narrowest in the middle. A single breast, too, is widest in the middle if
    its chest wall is at the top or at the bottom.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    width, height = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
    if width < 20:
        return False
    profile = ndimage.uniform_filter1d(mask.sum(axis=0)[columns[0] : columns[-1] + 1].astype(float), 5)
    profile /= profile.max()
    end, band = max(1, width // 20), max(1, round(0.03 * mask.shape[1]))
    left, right = profile[:end].mean(), profile[-end:].mean()
    reaches = columns[0] < band, columns[-1] >= mask.shape[1] - band
    if not any(reaches):
        lying = max(mask[rows[edge], columns[0] : columns[-1] + 1].mean() for edge in (0, -1)) >= _LYING
        widest = (np.flatnonzero(profile >= 0.9).mean() + 0.5) / width
        return bool(not lying and max(left, right) < 0.45 and 0.35 <= widest <= 0.65 and width >= _WIDE * height)
    waist = profile[round(0.3 * width) : round(0.7 * width)].min()
    return bool(all(reaches) and min(left, right) > 0.4 and waist < 0.5 * min(left, right))


def _tissue_threshold(thumbnail: NDArray[np.float32]) -> float | None:
    """Return a threshold between background and skin, slightly above the darker of Otsu's two classes.

    The classes are separated on the square root of the values; otherwise a single bright region would be one of them.
    """
    low, high = float(thumbnail.min()), float(np.percentile(thumbnail, 99.5))
    if not high - low > 1e-3 * max(abs(high), 1e-6):
        return None
    otsu: float = low + (high - low) * _otsu(np.clip((thumbnail - low) / (high - low), 0, 1) ** _ROOT) ** (1 / _ROOT)
    dark = thumbnail[thumbnail < otsu]
    background = float(np.median(dark))
    noise = 1.4826 * float(np.median(np.abs(dark - background)))
    return min(otsu, background + max(0.15 * (otsu - background), 4 * noise))


def _otsu(values: NDArray[np.float32]) -> float:
    """Return the threshold that best separates values between 0 and 1 into two classes (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=256, range=(0, 1))
    centres = (edges[:-1] + edges[1:]) / 2
    below, sums = np.cumsum(counts), np.cumsum(counts * centres)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[int(np.nanargmax(between)) + 1])


def _contact(mask: NDArray[np.bool_]) -> dict[str, float]:
    across, down = (max(1, round(0.03 * size)) for size in (mask.shape[1], mask.shape[0]))
    ends = {"left": mask[:, :across], "right": mask[:, -across:], "top": mask[:down], "bottom": mask[-down:]}
    return {side: float(end.mean()) for side, end in ends.items()}
