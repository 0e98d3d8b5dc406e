"""The training loop, from samples to a trained network; `ftmtl.training.train` sets it up.

The random values of a step depend on the recipe's seed, the phase, the step and the position of an image in the batch,
but not on earlier steps. So a checkpoint only needs the weights, the optimiser and the number of the step.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ftmtl.datasets.sample import Sample
from ftmtl.errors import TrainingError
from ftmtl.training import distributed
from ftmtl.training.batches import Batch, BatchPlan, batches
from ftmtl.training.machine import Network, resolved_precision
from ftmtl.training.recipe import Phase, Recipe, ValidationSection
from ftmtl.training.runs import Progress

log = logging.getLogger(__name__)

_CLIP = 5.0
"""Largest norm of the gradient; larger gradients are scaled down to it."""
_SAY_EVERY = 20


@dataclass(frozen=True)
class Step:
    """The record of one optimiser step.

    Attributes
    ----------
    phase, step
        Number of the phase, and of the step over all phases; both from 1.
    first
        Whether this is the first step of its phase.
    losses
        Weighted losses by name, averaged over all processes.
    rate
        Learning rate.
    gradient
        Norm of the gradient before clipping.
    seconds
        Time since the previous step.
    """

    phase: int
    step: int
    first: bool
    losses: dict[str, float]
    rate: float
    gradient: float
    seconds: float


@dataclass(frozen=True)
class Hooks:
    """Callbacks of the training loop.

    Attributes
    ----------
    on_step
        Called after each step.
    measure
        Called at each validation; returns metrics by name, which are the same in all processes.
    keep
        Called to save the state, with the progress, the state of the optimiser, the metrics, and whether they are the
        best so far.
    """

    on_step: Callable[[Step], None]
    measure: Callable[[], dict[str, float]]
    keep: Callable[[Progress, dict[str, Any], dict[str, float], bool], None]


class Engine:
    """Trains a network through the phases of a recipe.

    Parameters
    ----------
    network
        Already on the device; it is trained in place.
    samples
        All training samples, in every process.
    recipe
        Phases and settings of the training.
    device
        Device to train on.
    hooks
        Callbacks for logging, validation and saving.
    """

    def __init__(
        self, network: Network, samples: Sequence[Sample], recipe: Recipe, device: torch.device, hooks: Hooks
    ) -> None:
        self.network, self.samples, self.recipe, self.device, self.hooks = network, samples, recipe, device, hooks
        self.module = distributed.parallel(network, device)
        self.precision = resolved_precision(recipe.machine, device)

    def run(self, progress: Progress, optimiser_state: dict[str, Any] | None = None) -> Progress:
        """Train from ``progress`` to the end of the recipe.

        Raises
        ------
        TrainingError
            If a loss or the gradient is not finite; the weights before that step have been saved.
        """
        while progress.phase < len(self.recipe.phases):
            optimiser = self._optimiser(self.recipe.phases[progress.phase])
            if optimiser_state and progress.step:
                optimiser.load_state_dict(optimiser_state)
            progress = self._run_phase(progress, optimiser)
        return progress

    def _run_phase(self, progress: Progress, optimiser: torch.optim.Optimizer) -> Progress:
        number, phase = progress.phase, self.recipe.phases[progress.phase]
        log.info("phase=%d of=%d %s", number + 1, len(self.recipe.phases), phase)
        self._train_mode(phase)
        source = batches(self._plan(phase, number), progress.step, phase.steps, self.recipe.machine.workers)
        clock = _Clock(phase, progress.step)
        with closing(source):
            for batch in source:
                done = self._step(progress, optimiser, batch)
                progress = replace(progress, step=progress.step + 1, total=progress.total + 1)
                done = replace(done, seconds=clock.lap())
                self.hooks.on_step(done)
                clock.say(done, progress.step)
                if progress.step == phase.steps or progress.total % self.recipe.validation.every == 0:
                    progress = self._pause(progress, phase, optimiser)
                if progress.phase > number:
                    break
        return progress

    def _pause(self, progress: Progress, phase: Phase, optimiser: torch.optim.Optimizer) -> Progress:
        """Validate, update the progress, save, and end the phase if it is complete or no longer improves."""
        metrics = self.hooks.measure()
        watch = self.recipe.validation
        progress = judged(progress, metrics, watch)
        tired = bool(watch.patience) and progress.waited >= watch.patience
        if tired and progress.step < phase.steps:
            log.info("phase=%d ends early: no improvement for %d validations", progress.phase + 1, progress.waited)
        if tired or progress.step == phase.steps:
            over = progress.phase + 1 == len(self.recipe.phases)
            progress = replace(progress, phase=progress.phase + 1, step=0, waited=0, finished=over)
        improved = bool(metrics) and progress.best_step == progress.total
        self.hooks.keep(progress, optimiser.state_dict() if progress.step else {}, metrics, improved)
        self._train_mode(phase)
        return progress

    def _step(self, progress: Progress, optimiser: torch.optim.Optimizer, batch: Batch) -> Step:
        phase = self.recipe.phases[progress.phase]
        rate = phase.rate * _schedule(progress.step, phase.steps)
        for group in optimiser.param_groups:
            group["lr"] = rate
        before = [buffer.clone() for buffer in self.network.buffers()]
        torch.manual_seed(_seed_of(self.recipe.seed, progress.phase, progress.step))
        optimiser.zero_grad(set_to_none=True)
        losses = self._learned(batch, progress.phase)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        values = distributed.mean(torch.stack([*losses.values(), norm]).detach()).tolist()
        shown = dict(zip(losses, values, strict=False))
        if not all(math.isfinite(value) for value in values):
            self._give_up(progress, optimiser, before, shown)
        optimiser.step()
        return Step(progress.phase + 1, progress.total + 1, progress.step == 0, shown, rate, values[-1], 0.0)

    def _learned(self, batch: Batch, number: int) -> dict[str, Tensor]:
        """Compute the losses of a batch and their gradients."""
        try:
            losses = self._losses(batch)
            torch.stack(list(losses.values())).sum().backward()
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"phases.{number}.batch: {self.device} has too little memory for {len(batch[1])} images at a time"
            ) from error
        return losses

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        images, targets = batch
        images = images.to(self.device, non_blocking=True)
        if self.recipe.machine.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with self._autocast():
            losses: dict[str, Tensor] = self.module(images, [target.to(self.device) for target in targets])
        return losses

    def _give_up(
        self,
        progress: Progress,
        optimiser: torch.optim.Optimizer,
        buffers: Sequence[Tensor],
        losses: dict[str, float],
    ) -> None:
        """Save the weights from before this step, and raise an error."""
        for buffer, value in zip(self.network.buffers(), buffers, strict=True):
            buffer.copy_(value)
        self.hooks.keep(progress, optimiser.state_dict(), {}, False)
        what = ", ".join(f"{name}={value:.4g}" for name, value in losses.items())
        raise TrainingError(
            f"loss or gradient is not finite at step {progress.total + 1} (phase {progress.phase + 1}, {what}), "
            "last.safetensors holds the weights from before this step"
        )

    def _optimiser(self, phase: Phase) -> torch.optim.Optimizer:
        learned = [p for p in self.network.parameters() if p.requires_grad]
        return torch.optim.AdamW(learned, lr=phase.rate, weight_decay=phase.weight_decay)

    def _plan(self, phase: Phase, number: int) -> BatchPlan:
        return BatchPlan(
            self.samples,
            phase.batch,
            phase.crop,
            self.recipe.sampling.malignant,
            (self.recipe.seed, number),
            distributed.rank(),
            distributed.world(),
        )

    def _train_mode(self, phase: Phase) -> None:
        self.module.train()
        for module in self.network.modules():
            if phase.freeze_statistics and isinstance(module, _BatchNorm):
                module.eval()

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def judged(progress: Progress, metrics: Mapping[str, float], watch: ValidationSection) -> Progress:
    """Return the progress after a validation, unchanged if there are no metrics.

    Raises
    ------
    TrainingError
        If the metric that decides was not measured.
    """
    if not metrics:
        return progress
    if watch.metric not in metrics:
        measured = ", ".join(metrics)
        raise TrainingError(f"validation.metric: {watch.metric!r} is not measured here, only {measured}")
    if progress.best is None or metrics[watch.metric] > progress.best:
        return replace(progress, best=metrics[watch.metric], best_step=progress.total, waited=0)
    return replace(progress, waited=progress.waited + 1)


def _seed_of(*numbers: int) -> int:
    """Combine several numbers into one seed for torch's global generator."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


class _Clock:
    """Measures the speed and the remaining time of a phase."""

    def __init__(self, phase: Phase, first: int) -> None:
        self.phase, self.first = phase, first
        self.started = self.last = time.monotonic()

    def lap(self) -> float:
        """Return the seconds since the last call."""
        before, self.last = self.last, time.monotonic()
        return self.last - before

    def say(self, done: Step, step: int) -> None:
        """Log a line every `_SAY_EVERY` steps, and at the end of the phase."""
        if step % _SAY_EVERY and step != self.phase.steps:
            return
        pace = (step - self.first) / max(self.last - self.started, 1e-9)
        left = (self.phase.steps - step) / pace
        shown = " ".join(f"{name}={value:.3f}" for name, value in done.losses.items())
        speed, of = f"{pace * self.phase.batch:.1f}", self.phase.steps
        log.info("phase=%d step=%d of=%d images/s=%s left=%.0fs %s", done.phase, step, of, speed, left, shown)


def _schedule(step: int, steps: int) -> float:
    warm = max(1, steps // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
