"""Synthetic mammograms with exact truth.

A phantom is drawn in millimetres on an 18 cm × 24 cm field, chest wall at the left, and then sampled at any pixel
spacing: a seed gives the same breast at every spacing. First comes the breast (`ftmtl.phantom.anatomy`). Masses and
calcification clusters are then added as attenuation (`ftmtl.phantom.lesions`), so that dense tissue obscures them as in
patients. Finally, detector and vendor processing turn the attenuation into an image (`ftmtl.phantom.exposure`). The
result resembles a processed (For Presentation) image: bright tissue on a black background, 12 bits.

Phantoms are not patients. Models trained on them are for research only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ftmtl.findings import Box, LesionMask
from ftmtl.phantom.anatomy import dense_gland, draw_anatomy
from ftmtl.phantom.exposure import MAX_VALUE, burn_marker, expose
from ftmtl.phantom.fields import FIELD_MM, PowerLaw, bounds, resize
from ftmtl.phantom.lesions import LesionSpec, Truth, draw_lesions, place_lesion

__all__ = ["FIELD_MM", "MAX_VALUE", "LesionSpec", "Phantom", "Truth", "draw_lesions", "make_phantom"]

_DENSE = 77
"""Added to the seed of the generator that draws dense gland, so that all other phantoms are unaffected by it."""


@dataclass(frozen=True)
class Phantom:
    """A synthetic mammogram.

    Attributes
    ----------
    pixels
        uint16, shape (rows, columns), 0 to 4095, as stored: right breasts have the chest wall at the right.
    lesions
        The truth about the lesions, in stored pixels.
    breast
        Bounding box of the breast, in stored pixels.
    """

    seed: int
    laterality: str
    view: str
    spacing_mm: float
    pixels: NDArray[np.uint16]
    lesions: tuple[Truth, ...]
    breast: Box


def make_phantom(  # noqa: PLR0913 - options that are independent of each other, all by keyword
    seed: int,
    *,
    laterality: str = "L",
    view: str = "CC",
    spacing_mm: float = 0.1,
    lesions: Sequence[LesionSpec] | None = None,
    marker: bool = True,
    dense: bool = False,
) -> Phantom:
    """Draw one view of one breast.

    Parameters
    ----------
    seed
        Identifies the patient: both breasts and all views of a seed belong together.
    laterality, view
        ``L`` or ``R``; ``CC`` or ``MLO``.
    spacing_mm
        Pixel spacing of the image, which also determines its rows and columns.
    lesions
        Lesions to draw; by default those that `draw_lesions` chooses for this breast.
    marker
        Whether laterality and view are burned in at the edge of the image, as by most detectors.
    dense
        Whether gland fills the breast as one bright area; otherwise it lies in patches.

    Raises
    ------
    ValueError
        If laterality or view is invalid.
    """
    if laterality not in ("L", "R") or view not in ("CC", "MLO"):
        raise ValueError(f"a phantom has laterality L or R and view CC or MLO, not {laterality!r} and {view!r}")
    side = "LR".index(laterality)
    if lesions is None:
        lesions = draw_lesions(np.random.default_rng([seed, side]))
    # Each step has its own generator: the number of random values depends on the spacing, the lesions must not.
    key = [seed, side, ("CC", "MLO").index(view)]
    streams = np.random.default_rng(key).spawn(4)
    anatomy = draw_anatomy(streams[0], view)
    if dense:
        own = np.random.default_rng([*key, _DENSE])
        anatomy = replace(anatomy, signal=anatomy.signal * own.uniform(0.6, 1) + dense_gland(own, anatomy))
    shape = (round(FIELD_MM[0] / spacing_mm), round(FIELD_MM[1] / spacing_mm))
    signal = resize(anatomy.signal, shape)
    tissue = resize(anatomy.tissue, shape)
    signal += 0.018 * PowerLaw(2.6, cutoff_per_mm=0.05).draw(streams[1], shape, spacing_mm) * tissue
    drawn = (place_lesion(streams[2], spec, anatomy, signal, spacing_mm) for spec in lesions)
    truths = [truth for truth in drawn if truth is not None]
    pixels = expose(streams[3], signal, tissue, spacing_mm)
    breast = bounds(tissue > 0)
    if laterality == "R":
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        truths = [_mirror(truth, shape[1]) for truth in truths]
        breast = (shape[1] - breast[2], breast[1], shape[1] - breast[0], breast[3])
    if marker:
        burn_marker(pixels, laterality, view, spacing_mm)
    return Phantom(seed, laterality, view, spacing_mm, pixels, tuple(truths), breast)


def _mirror(truth: Truth, columns: int) -> Truth:
    pixels = np.ascontiguousarray(truth.mask.pixels[:, ::-1])
    column = columns - truth.mask.column - pixels.shape[1]
    return replace(truth, mask=LesionMask(pixels, column, truth.mask.row))
