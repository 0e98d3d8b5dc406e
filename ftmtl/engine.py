"""The training loop: batches in, weights out. `ftmtl.train` assembles what it needs."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ftmtl.augment import augmented
from ftmtl.datasets.sample import Sample
from ftmtl.errors import TrainingError
from ftmtl.network import FTMTLNet

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Phase:
    """A stretch of training.

    Attributes
    ----------
    steps, batch
        Optimiser steps, and images in each.
    crop
        Side of the square crops, or 0 for whole images.
    rate
        Peak learning rate; it warms up over the first tenth and falls to zero as a cosine.
    freeze_statistics
        Whether batch normalisation keeps its running statistics.
    """

    steps: int
    batch: int
    crop: int
    rate: float
    freeze_statistics: bool = False


def run_phase(
    network: FTMTLNet,
    samples: Sequence[Sample],
    phase: Phase,
    rng: np.random.Generator,
    on_step: Callable[[int, dict[str, float]], None] = lambda step, losses: None,
) -> None:
    """Train through one phase.

    Parameters
    ----------
    on_step
        Called after each step with its number and its losses by name.

    Raises
    ------
    TrainingError
        If a loss is not finite; the weights are those before that step.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=phase.rate, weight_decay=1e-2)
    network.train()
    if phase.freeze_statistics:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    started, order = time.monotonic(), _endless(len(samples), rng)
    for step in range(phase.steps):
        for group in optimiser.param_groups:
            group["lr"] = phase.rate * _schedule(step, phase.steps)
        batch = [augmented(samples[next(order)], rng, phase.crop or None) for _ in range(phase.batch)]
        losses = network(torch.stack([image for image, _ in batch]), [target for _, target in batch])
        total = torch.stack(list(losses.values())).sum()
        if not bool(total.isfinite()):
            raise TrainingError(f"the loss is not finite at step {step}: { {k: v.item() for k, v in losses.items()} }")
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        values = {name: loss.item() for name, loss in losses.items()}
        on_step(step, values)
        if step % 20 == 0:
            shown = " ".join(f"{name}={value:.3f}" for name, value in values.items())
            log.info("step=%d of=%d seconds=%.0f %s", step, phase.steps, time.monotonic() - started, shown)


def _schedule(step: int, steps: int) -> float:
    warm = max(1, steps // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _endless(count: int, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(count).tolist()
