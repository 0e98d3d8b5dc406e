"""Batches of a phase, prepared ahead in background threads.

Image ``i`` of step ``k`` is augmented with its own random generator, so a step sees the same data with any number of
threads or processes, and after a restart. Augmentation must not use other sources of randomness.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ftmtl.datasets.sample import Sample
from ftmtl.datasets.sampling import batch_indices
from ftmtl.network.targets import Target
from ftmtl.training.augment import augmented

Batch = tuple[Tensor, list[Target]]
"""Images, shape (n, 1, height, width), and one target per image."""


@dataclass(frozen=True, eq=False)
class BatchPlan:
    """The composition of a phase's batches.

    Attributes
    ----------
    batch, crop
        Number of images per step over all processes; side of the crops, or 0 for whole images.
    share
        Smallest fraction of images with a malignant lesion in every batch.
    seed
        Seed of sampling and augmentation.
    rank, world
        Number of this process, and of all processes.
    """

    samples: Sequence[Sample]
    batch: int
    crop: int
    share: float
    seed: tuple[int, ...]
    rank: int = 0
    world: int = 1

    @cached_property
    def malignant(self) -> tuple[bool, ...]:
        """Whether each sample shows a malignant lesion."""
        return tuple(sample.has_malignant for sample in self.samples)

    def chosen(self, step: int) -> list[tuple[int, int]]:
        """Return this process's part of a batch: position in the whole batch, and index of the sample."""
        indices = list(enumerate(batch_indices(step, self.batch, self.malignant, self.share, self.seed)))
        part = self.batch // self.world
        return indices[self.rank * part : (self.rank + 1) * part]

    def example(self, step: int, place: int, index: int) -> tuple[Tensor, Target]:
        """Return one augmented image with its truth."""
        rng = np.random.default_rng([*self.seed, step, place])
        return augmented(self.samples[index], rng, self.crop or None)


def batches(plan: BatchPlan, first: int, last: int, workers: int) -> Generator[Batch, None, None]:
    """Yield the batches of steps ``first`` to ``last``, the latter exclusive.

    Parameters
    ----------
    workers
        Number of threads that prepare images ahead; with 0, each batch is prepared when it is requested.
    """
    if not workers:
        for step in range(first, last):
            yield _collated([plan.example(step, place, index) for place, index in plan.chosen(step)])
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="augment")
    ahead = 1 + -(-2 * workers * plan.world // plan.batch)
    waiting: deque[list[Future[tuple[Tensor, Target]]]] = deque()
    try:
        for step in range(first, last + ahead):
            if step < last:
                waiting.append([pool.submit(plan.example, step, *chosen) for chosen in plan.chosen(step)])
            if step - first >= ahead:
                yield _collated([future.result() for future in waiting.popleft()])
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _collated(examples: Sequence[tuple[Tensor, Target]]) -> Batch:
    return torch.stack([image for image, _ in examples]), [target for _, target in examples]
