"""Training, from a recipe to the folder of a run with the weights, their card and the history.

``ftmtl train RECIPE.toml --out RUN`` runs it, alone or under ``torchrun``. If the folder holds an unfinished run of the
same recipe, that run is resumed.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ftmtl.datasets.sample import Sample
from ftmtl.errors import TrainingError
from ftmtl.network.backbone import load_pretrained
from ftmtl.network.ftmtlnet import SingleTaskNetworks, build_network
from ftmtl.training import distributed
from ftmtl.training.data import TrainingData, list_data
from ftmtl.training.engine import Engine, Hooks, Step
from ftmtl.training.machine import Network, prepared, resolved_precision
from ftmtl.training.recipe import Recipe, read_recipe
from ftmtl.training.runs import BEST, LAST, Checkpoint, Progress, RunFolder, environment
from ftmtl.training.validation import validate
from ftmtl.weights import WeightsCard, load_weights, read_card

__all__ = ["read_recipe", "train"]

log = logging.getLogger(__name__)


def train(recipe: Recipe, out: Path) -> Progress:
    """Start or resume training, and run it to the end of the recipe.

    Parameters
    ----------
    out
        Folder of the run, which must be accessible to all processes.

    Returns
    -------
    Progress
        Progress at the end of the run; a run that is already complete is not changed.

    Raises
    ------
    TrainingError
        If the run cannot be started or resumed.
    DatasetError
        If the data are missing or damaged.
    WeightsError
        If the initial weights cannot be used.
    """
    folder = RunFolder(out)
    checkpoint = folder.checkpoint()
    _check(recipe, checkpoint, out)
    if checkpoint is not None and checkpoint.progress.finished:
        log.info("run=%s is finished, steps=%d", out, checkpoint.progress.total)
        return checkpoint.progress
    device = distributed.init(recipe.machine.device)
    try:
        _check_batches(recipe)
        return _Run(recipe, folder, checkpoint, device).train()
    finally:
        folder.close()
        distributed.close()


def _check(recipe: Recipe, checkpoint: Checkpoint | None, out: Path) -> None:
    if checkpoint is not None and (difference := recipe.difference(checkpoint.recipe)):
        raise TrainingError(f"{out} holds a run of another recipe: {difference}; give another --out")


def _check_batches(recipe: Recipe) -> None:
    for number, phase in enumerate(recipe.phases):
        if phase.batch % distributed.world():
            raise TrainingError(
                f"phases.{number}.batch: {phase.batch} images cannot be divided among {distributed.world()} processes"
            )


class _Run:
    """One run, from listing the data to writing the last weights."""

    def __init__(self, recipe: Recipe, folder: RunFolder, checkpoint: Checkpoint | None, device: torch.device) -> None:
        self.recipe, self.folder, self.checkpoint, self.device = recipe, folder, checkpoint, device
        self.first = distributed.rank() == 0
        self.config = recipe.network_config()
        self.data: TrainingData = list_data(recipe)
        if checkpoint is not None and checkpoint.data != self.data.digest:
            raise TrainingError(f"{folder.path} holds a run on images other than those that data lists now")
        self.words = self._words() if checkpoint is None else read_card(folder.path / LAST).data
        self.network = self._network()
        self.validation: list[Sample] = []

    def train(self) -> Progress:
        """Load the data, train, and return the final progress."""
        progress = self.checkpoint.progress if self.checkpoint else Progress()
        training, self.validation = self.data.load(self.recipe, self.config)
        if self.first:
            self.folder.open(progress.total)
            self._describe()
        distributed.barrier()
        log.info("training=%d validation=%d device=%s", len(training), len(self.validation), self.device)
        hooks = Hooks(self._on_step, self._measure, self._keep)
        engine = Engine(self.network, training, self.recipe, self.device, hooks)
        progress = engine.run(progress, self.checkpoint.optimiser if self.checkpoint else None)
        distributed.barrier()
        log.info("run=%s is finished, steps=%d best=%s", self.folder.path, progress.total, progress.best)
        return progress

    def _network(self) -> Network:
        torch.manual_seed(self.recipe.seed)
        try:
            network = build_network(self.config)
        except ValueError as error:
            raise TrainingError(f"network: {error}") from error
        if self.checkpoint is not None:
            network.load_state_dict(self.checkpoint.network)
        elif self.recipe.start.weights:
            _start_from(network, self.recipe.resolve(self.recipe.start.weights))
        elif self.recipe.start.backbone:
            for part in network.children() if isinstance(network, SingleTaskNetworks) else (network,):
                load_pretrained(part.backbone, self.recipe.backbone_file())
        return prepared(network, self.recipe.machine, self.device)

    def _words(self) -> str:
        """Describe the data that the weights are trained on, including those of the initial weights."""
        words = self.data.words()
        if self.recipe.start.weights:
            before = read_card(self.recipe.resolve(self.recipe.start.weights))
            words += f"; before, as {before.name} {before.version}: {before.data}"
        return words

    def _describe(self) -> None:
        precision = resolved_precision(self.recipe.machine, self.device)
        self.folder.write_json("recipe.json", self.recipe.to_json())
        run = environment(self.device) | {"precision": precision, "processes": distributed.world()}
        self.folder.write_json("run.json", {**run, "data": self.data.survey()})

    def _on_step(self, step: Step) -> None:
        if self.first:
            self.folder.record({"kind": "step", **asdict(step)})

    def _measure(self) -> dict[str, float]:
        metrics: dict[str, float] = {}
        if self.first and self.validation:
            metrics = validate(self.network, self.validation, self.device)
        return dict(distributed.from_first(metrics))

    def _keep(self, progress: Progress, optimiser: dict[str, Any], metrics: dict[str, float], improved: bool) -> None:
        """Save everything to the folder; the checkpoint is last, as it refers to the other files."""
        if not self.first:
            return
        if metrics:
            shown = " ".join(f"{name}={value:.4f}" for name, value in metrics.items())
            log.info("validation step=%d %s%s", progress.total, shown, " best" if improved else "")
            self.folder.record({"kind": "validation", "step": progress.total, "metrics": metrics, "best": improved})
        card = self._card(progress, metrics)
        if improved:
            self.folder.save_weights(BEST, self.network, card)
        self.folder.save_weights(LAST, self.network, card)
        if metrics or not progress.step:
            self.folder.draw()
        state = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        self.folder.save_checkpoint(Checkpoint(state, optimiser, progress, self.recipe.to_json(), self.data.digest))

    def _card(self, progress: Progress, metrics: dict[str, float]) -> WeightsCard:
        return WeightsCard(
            self.recipe.name,
            self.recipe.version,
            self.config,
            self.recipe.threshold,
            self.words,
            self.recipe.to_json(),
            {"step": progress.total, "validation": metrics},
        )


def _start_from(network: Network, path: Path) -> None:
    """Load weights of this package into a network with the same configuration."""
    given, _, _ = load_weights(path)
    try:
        network.load_state_dict(given.state_dict())
    except RuntimeError as error:
        raise TrainingError(f"start.weights: {path} are weights of a network other than the recipe's") from error
