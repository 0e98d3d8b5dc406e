"""Choosing the images of a training step's batch, as a function of the number of the step alone.

So a run that is resumed, or that uses another number of processes, sees the same batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

_MALIGNANT, _OTHER, _ORDER = range(3)


def batch_indices(step: int, batch: int, malignant: Sequence[bool], share: float, seed: Sequence[int]) -> list[int]:
    """Return the indices of the images in a batch.

    Images with a malignant lesion form one stream, all others a second one. Each stream is an endless sequence of
    permutations, so that its images appear equally often. The fraction of a batch from the first stream is that of
    these images in the data set, or ``share`` if that is larger.

    Parameters
    ----------
    step
        Number of the batch, from 0.
    batch
        Number of images in the batch.
    malignant
        Whether each image shows a malignant lesion.
    share
        Smallest fraction of malignant images in every batch, 0 to 1.
    seed
        Seed of the permutations.
    """
    streams = [i for i, bad in enumerate(malignant) if bad], [i for i, bad in enumerate(malignant) if not bad]
    first, last = (_malignant_before(k, batch, [len(s) for s in streams], share) for k in (step, step + 1))
    chosen = _stretch(streams[_MALIGNANT], first, last, (*seed, _MALIGNANT))
    chosen += _stretch(streams[_OTHER], step * batch - first, (step + 1) * batch - last, (*seed, _OTHER))
    order = np.random.default_rng([*seed, _ORDER, step]).permutation(batch)
    return [chosen[i] for i in order]


def _malignant_before(step: int, batch: int, counts: Sequence[int], share: float) -> int:
    """Return the number of malignant images in all batches before ``step``."""
    malignant, other = counts
    wanted = math.ceil(share * batch - 1e-9)
    if not other:
        return step * batch
    if not malignant:
        return 0
    if malignant * batch >= wanted * (malignant + other):
        return step * batch * malignant // (malignant + other)
    return step * wanted


def _stretch(stream: Sequence[int], first: int, last: int, seed: tuple[int, ...]) -> list[int]:
    """Return items ``first`` to ``last`` (exclusive) of an endless sequence of permutations of ``stream``."""
    return [stream[_permutation(len(stream), seed, k // len(stream))[k % len(stream)]] for k in range(first, last)]


@lru_cache(maxsize=8)
def _permutation(count: int, seed: tuple[int, ...], epoch: int) -> list[int]:
    order: list[int] = np.random.default_rng([*seed, epoch]).permutation(count).tolist()
    return order
