"""Which images make the batch of a step: a function of the step's number alone, so that it needs no memory.

A run that goes on after a kill, or on another number of processes, sees the same batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

_MALIGNANT, _OTHER, _ORDER = range(3)


def batch_indices(step: int, batch: int, malignant: Sequence[bool], share: float, seed: Sequence[int]) -> list[int]:
    """Return which images make a batch.

    Images with a malignant lesion and all others are two streams, each an endless row of permutations, so that within
    a stream every image comes equally often. A batch takes from the first what its part of the data set gives, or
    ``share`` of the batch where that is more.

    Parameters
    ----------
    step
        Number of the batch, from 0.
    batch
        Images in it.
    malignant
        Whether an image shows a malignant lesion, one an image.
    share
        Part of every batch that is malignant at least, 0 to 1.
    seed
        What the permutations follow from.
    """
    streams = [i for i, bad in enumerate(malignant) if bad], [i for i, bad in enumerate(malignant) if not bad]
    first, last = (_malignant_before(k, batch, [len(s) for s in streams], share) for k in (step, step + 1))
    chosen = _stretch(streams[_MALIGNANT], first, last, (*seed, _MALIGNANT))
    chosen += _stretch(streams[_OTHER], step * batch - first, (step + 1) * batch - last, (*seed, _OTHER))
    order = np.random.default_rng([*seed, _ORDER, step]).permutation(batch)
    return [chosen[i] for i in order]


def _malignant_before(step: int, batch: int, counts: Sequence[int], share: float) -> int:
    """How many malignant images all batches before ``step`` hold."""
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
    """Places ``first`` to ``last`` of an endless row of permutations of ``stream``."""
    return [stream[_permutation(len(stream), seed, k // len(stream))[k % len(stream)]] for k in range(first, last)]


@lru_cache(maxsize=8)
def _permutation(count: int, seed: tuple[int, ...], epoch: int) -> list[int]:
    order: list[int] = np.random.default_rng([*seed, epoch]).permutation(count).tolist()
    return order
