"""Synthetic mammograms (`ftmtl.phantom`) as training data, drawn in parallel."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

import numpy as np

from ftmtl.datasets.sample import Sample
from ftmtl.network import TYPES
from ftmtl.phantom import MAX_VALUE, draw_lesions, make_phantom
from ftmtl.preprocess import INPUT_SIZE, fit

TRAINING_SEED = 1_000_000
"""Seeds of training phantoms start here; tests and demonstrations use seeds below."""
_SPACING_MM = 0.3


def phantom_sample(seed: int) -> Sample:
    """Draw one training image: a left breast, since the network sees every breast as one."""
    rng = np.random.default_rng([seed, 7])
    view = "CC" if rng.random() < 0.5 else "MLO"
    count = int(rng.choice([0, 1, 2, 3], p=[0.1, 0.35, 0.35, 0.2]))
    phantom = make_phantom(
        seed, view=view, spacing_mm=_SPACING_MM, lesions=draw_lesions(rng, count), marker=bool(rng.random() < 0.7)
    )
    x0, y0, x1, y1 = _loosen(phantom.breast, rng, phantom.pixels.shape)
    grey = (phantom.pixels[y0:y1, x0:x1] / MAX_VALUE).astype(np.float32)
    pixels, _ = fit(grey)
    masks = np.zeros((len(phantom.lesions), *INPUT_SIZE), dtype=bool)
    for i, lesion in enumerate(phantom.lesions):
        full = lesion.mask.paste(*phantom.pixels.shape)[y0:y1, x0:x1]
        masks[i] = fit(full.astype(np.float32))[0] >= 0.5
    kept = masks.any(axis=(1, 2))
    malignant = np.array([int(lesion.malignant) for lesion in phantom.lesions], dtype=np.int64)
    types = np.array([TYPES.index(lesion.type) for lesion in phantom.lesions], dtype=np.int64)
    return Sample(pixels.astype(np.float16), masks[kept], malignant[kept], types[kept], f"phantom-{seed}")


def phantom_samples(first_seed: int, count: int, workers: int | None = None) -> Iterator[Sample]:
    """Draw ``count`` training images with consecutive seeds, in order, on all cores unless told otherwise."""
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(phantom_sample, range(first_seed, first_seed + count), chunksize=8)


def _loosen(box: tuple[float, ...], rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """A breast's bounding box with a margin of up to 8 mm, as finding it on a real image would give."""
    margin = rng.uniform(0, 8 / _SPACING_MM, 3)
    return (
        0,
        max(0, int(box[1] - margin[0])),
        min(shape[1], int(box[2] + margin[1])),
        min(shape[0], int(box[3] + margin[2])),
    )
