"""Synthetic mammograms (`ftmtl.phantom`) as a data set: each image is a seed, and is drawn when it is loaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

import ftmtl.phantom
from ftmtl.datasets.annotated import AnnotatedImage, Lesion
from ftmtl.mammogram.load import Mammogram, from_array
from ftmtl.phantom.make import MAX_VALUE, LesionSpec, draw_lesions, make_phantom

TRAINING_SEED = 1_000_000
"""Seeds of training phantoms start here."""
BENCHMARK_SEED = 3_000_000
"""Seeds of the phantoms on which models are compared start here; they are never used for training."""
DENSE = "dense"
"""Name of the phantoms whose gland fills the breast as one bright area."""
_SPACING_MM = 0.3
_COUNTS, _SHARES = (0, 1, 2, 3), (0.25, 0.4, 0.25, 0.1)


@dataclass(frozen=True, kw_only=True)
class PhantomImage(AnnotatedImage):
    """One synthetic mammogram, given by its seed.

    Attributes
    ----------
    lesions
        Lesions to draw; those for which the breast has no room are not part of the truth.
    dense
        Whether gland fills the breast as one bright area.
    """

    seed: int
    lesions: tuple[LesionSpec, ...]
    marker: bool
    spacing_mm: float = _SPACING_MM
    dense: bool = False

    def load(self) -> tuple[Mammogram, tuple[Lesion, ...]]:
        """Draw the image."""
        phantom = make_phantom(
            self.seed,
            laterality=self.laterality or "L",
            view=self.view or "CC",
            spacing_mm=self.spacing_mm,
            lesions=self.lesions,
            marker=self.marker,
            dense=self.dense,
        )
        grey = (phantom.pixels / MAX_VALUE).astype(np.float32)
        spacing = (self.spacing_mm, self.spacing_mm)
        mammogram = from_array(grey, phantom.laterality, spacing, view=phantom.view)
        return mammogram, tuple(Lesion(t.box, t.type, t.malignant, t.mask) for t in phantom.lesions)

    @property
    def fingerprint(self) -> str:
        """The seed and all settings, and a digest of the drawing code."""
        return f"{self!r} {_code()}"


def phantom_image(seed: int, spacing_mm: float = _SPACING_MM, dense: bool = False) -> PhantomImage:
    """Return the phantom of a seed, which determines its laterality, view, lesions and marker."""
    rng = np.random.default_rng([seed, 7])
    lesions = draw_lesions(rng, int(rng.choice(_COUNTS, p=_SHARES)))
    return PhantomImage(
        image_id=f"phantom-{DENSE + '-' if dense else ''}{seed}",
        patient=f"phantom-{seed}",
        laterality="LR"[int(rng.random() < 0.5)],
        view=("CC", "MLO")[int(rng.random() < 0.5)],
        malignant=any(spec.malignant for spec in lesions),
        seed=seed,
        lesions=lesions,
        marker=bool(rng.random() < 0.7),
        spacing_mm=spacing_mm,
        dense=dense,
    )


def phantom_images(
    first_seed: int, count: int, spacing_mm: float = _SPACING_MM, dense: bool = False
) -> list[PhantomImage]:
    """Return ``count`` phantoms with consecutive seeds."""
    return [phantom_image(seed, spacing_mm, dense) for seed in range(first_seed, first_seed + count)]


@cache
def _code() -> str:
    """Return a digest of the drawing code: when it changes, phantoms are different images."""
    files = sorted(Path(ftmtl.phantom.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
