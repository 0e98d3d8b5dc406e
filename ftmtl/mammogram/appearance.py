"""Whether an image, as it is displayed, looks like a mammogram: its grey scale is judged by what it does to the breast.

A header may describe a window that whitens the breast, or the wrong polarity. What the network would make of such
pixels is noise. So the breast's contrast is measured, and the air beyond the skin has to be dark.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy import ndimage

from ftmtl.errors import NotAnalysable
from ftmtl.mammogram.breast import Breast, find_breast, stride_for
from ftmtl.mammogram.grayscale import (
    GreyScale,
    codes,
    own_grey_scale,
    stretched_grey_scale,
)

NO_BREAST = "No breast was found on this image; it is empty or nearly uniform."
INVERTED = "The grey scale seems inverted, or this is no mammogram: the background is bright, and must be dark."
INVERTED_PADDED = "The grey scale seems inverted: the breast is brighter at the skin than inside."
SEVERAL = "This image shows more than one breast or view; the model reads single views only."

_WHITE, _MOST_WHITE = 0.995, 0.25
_LEAST_CONTRAST = 0.05
_LEAST_LEFT = 0.6
_FLAT, _BRIGHT_AIR = 0.04, 0.5
_MIXED = 1.5  # thumbnail pixels at the skin that are averages of breast and air
_HIDING = 0.05
_RIM_IF_PADDING_IS_BRIGHT, _RIM_IN_ANY_CASE = -0.5, 1.0


class Appearance(NamedTuple):
    """How an image is shown, and the breast on it."""

    grey: GreyScale
    breast: Breast


def appearance(ds: Dataset, stored: NDArray[Any], voi_window: int = 0) -> Appearance:
    """Choose the grey scale of an image and find the breast.

    The image's own grey scale is used if the breast can be seen with it. Otherwise the grey scale is stretched to the
    image's own range, and a note says why.

    Parameters
    ----------
    ds, stored
        The image's data set, and its pixels.
    voi_window
        Index of the VOI LUT or window to use, where there are several.

    Raises
    ------
    NotAnalysable
        If there is no breast, or more than one, or the grey scale is inverted or otherwise unusable.
    """
    grey = own_grey_scale(ds, stored, voi_window)
    stretched = stretched_grey_scale(ds, stored)
    found, reference = _find(grey, stored), _find(stretched, stored)
    if fault := _fault(found, reference):
        note = f"With the image's own grey scale {fault}; it was stretched to the image's own range."
        grey, found = stretched._replace(notes=(*grey.notes, note)), reference
    if found is None:
        raise NotAnalysable(NO_BREAST)
    _check_polarity(grey, stored, found)
    if fault := _fault(found, reference):
        raise NotAnalysable(f"The grey scale of this image is unusable: {fault}.")
    if found.several:
        raise NotAnalysable(SEVERAL)
    return Appearance(grey, found)


def _find(grey: GreyScale, stored: NDArray[Any]) -> Breast | None:
    stride = stride_for((stored.shape[0], stored.shape[1]))
    return find_breast(grey.table[codes(stored)[::stride, ::stride]], stride, (stored.shape[0], stored.shape[1]))


def _fault(breast: Breast | None, reference: Breast | None) -> str:
    """Return what is wrong with a grey scale, in words, by what it leaves of the breast; empty if it is usable."""
    if breast is None:
        return "no breast can be seen"
    values = breast.thumbnail[breast.mask]
    white = float((values >= _WHITE).mean())
    if white > _MOST_WHITE:
        return f"{white:.0%} of the breast is white"
    low, high = np.percentile(values, (5, 95))
    if high - low < _LEAST_CONTRAST:
        return "the breast has almost no contrast"
    whole = 0 if reference is None else int(reference.mask.sum())
    if breast.mask.sum() < _LEAST_LEFT * whole:
        return f"{1 - breast.mask.sum() / whole:.0%} of the breast is black"
    return ""


def _check_polarity(grey: GreyScale, stored: NDArray[Any], breast: Breast) -> None:
    """Check that the air is dark, or, where padding hides the air, that the thin tissue at the skin is.

    Raises
    ------
    NotAnalysable
        If it is not.
    """
    air = _brightness_of_air(breast.thumbnail)
    if air is not None and air > _BRIGHT_AIR:
        raise NotAnalysable(INVERTED)
    patterns = codes(stored)[::8, ::8]
    hidden = grey.padding[patterns]
    if hidden.mean() > _HIDING:
        is_bright = grey.shades[patterns[hidden]].mean() > _BRIGHT_AIR
        if _rim(breast) > (_RIM_IF_PADDING_IS_BRIGHT if is_bright else _RIM_IN_ANY_CASE):
            raise NotAnalysable(INVERTED_PADDED)


def _brightness_of_air(thumbnail: NDArray[np.float32]) -> float | None:
    """Return the brightness of the flat region that makes up most of the image's edge, in the image's own range."""
    low, high = (float(edge) for edge in np.percentile(thumbnail, (0.5, 99.5)))
    extent = max(high - low, 1e-6)
    flat = ndimage.maximum_filter(thumbnail, 5) - ndimage.minimum_filter(thumbnail, 5) < _FLAT * extent
    labels, count = ndimage.label(flat)
    edge = np.concatenate([labels[:2].ravel(), labels[-2:].ravel(), labels[:, :2].ravel(), labels[:, -2:].ravel()])
    at_edge = np.bincount(edge, minlength=count + 1)[1:]
    if not at_edge.any():
        return None
    return (float(thumbnail[labels == at_edge.argmax() + 1].mean()) - low) / extent


def _rim(breast: Breast) -> float:
    """Return how much brighter the breast is near the skin than inside, in deviations of its grey values."""
    mask, values = ndimage.binary_fill_holes(breast.mask), breast.thumbnail
    depth, size = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"))[1:-1, 1:-1], np.sqrt(mask.sum())
    outer, inner = (depth > _MIXED) & (depth <= _MIXED + 0.05 * size), depth > 0.12 * size
    if not outer.any() or not inner.any():
        return 0.0
    return float((values[outer].mean() - values[inner].mean()) / max(float(values[mask].std()), 1e-6))
