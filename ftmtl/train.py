"""Training assembled: recipe in, weights with their card out.

``ftmtl train RECIPE --out WEIGHTS`` runs it; the shipped weights are made by
``ftmtl/shipped/ftmtl-phantom.toml``.
"""

from __future__ import annotations

import logging
import tomllib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ftmtl.datasets.phantoms import TRAINING_SEED, phantom_samples
from ftmtl.engine import Phase, run_phase
from ftmtl.errors import TrainingError
from ftmtl.network import FTMTLNet, NetworkConfig
from ftmtl.weights import WeightsCard, save_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """All that decides what training gives.

    Attributes
    ----------
    name, version
        What the weights will be called.
    seed
        Of initialisation, sampling and augmentation.
    phantoms
        How many synthetic mammograms to train on.
    threshold
        Lesion probability from which the weights report a detection.
    phases
        Stretches of training, one after the other.
    """

    name: str
    version: str
    seed: int
    phantoms: int
    threshold: float
    phases: tuple[Phase, ...]


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from TOML.

    Raises
    ------
    TrainingError
        If the file cannot be read, or a key is missing, unknown or of the wrong type.
    """
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text())
        phases = tuple(Phase(**phase) for phase in raw.pop("phases"))
        return Recipe(phases=phases, **raw)
    except OSError as error:
        raise TrainingError(f"recipe {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise TrainingError(f"recipe {path}: {error}") from error


def train(recipe: Recipe, out: Path) -> str:
    """Train on phantoms, write the weights after each phase, and return the SHA-256 of the last."""
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    log.info("drawing phantoms=%d", recipe.phantoms)
    samples = list(phantom_samples(TRAINING_SEED, recipe.phantoms))
    network = FTMTLNet(NetworkConfig())
    card = WeightsCard(
        recipe.name,
        recipe.version,
        network.config,
        recipe.threshold,
        data=f"{recipe.phantoms} synthetic mammograms, seeds from {TRAINING_SEED}",
        recipe=asdict(recipe),
    )
    digest = ""
    for number, phase in enumerate(recipe.phases, start=1):
        log.info("phase=%d of=%d %s", number, len(recipe.phases), phase)
        partial = out.with_suffix(".partial.safetensors")

        def keep(step: int, losses: dict[str, float], to: Path = partial) -> None:
            if step % 100 == 99:
                save_weights(to, network, replace(card, version=f"{recipe.version}-partial"))

        run_phase(network, samples, phase, rng, keep)
        digest = save_weights(out, network, card)
        log.info("wrote=%s sha256=%s", out, digest)
    return digest
