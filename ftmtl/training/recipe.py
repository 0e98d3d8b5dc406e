"""What training is told: a recipe in TOML, checked whole before anything is read or computed.

Paths in a recipe are relative to its file. A recipe becomes JSON and comes back the same, so that weights can carry it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from ftmtl.datasets.catalogue import DataSource
from ftmtl.errors import DatasetError, RecipeError
from ftmtl.network.variants import WEIGHTS_OF, NetworkConfig, variant
from ftmtl.training.checked import STRICT, checked, describe, flat

_PACKAGE = "package:"
_INDIFFERENT = {"cache", "machine.device", "machine.workers"}
"""Keys that may differ when a run goes on: they don't decide what training gives."""

Text = Annotated[str, StringConstraints(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = STRICT


class Phase(_Section):
    """A stretch of training.

    Attributes
    ----------
    steps, batch
        Optimiser steps, and images in each, over all processes.
    crop
        Side of the square crops in pixels, or 0 for whole images.
    rate
        Peak learning rate; it warms up over the first tenth and falls to zero as a cosine.
    freeze_statistics
        Whether batch normalisation keeps its running statistics.
    weight_decay
        Of AdamW.
    """

    steps: Annotated[int, Field(ge=1)]
    batch: Annotated[int, Field(ge=1)]
    crop: Annotated[int, Field(ge=0)] = 0
    rate: Annotated[float, Field(gt=0)]
    freeze_statistics: bool = False
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2


class StartSection(_Section):
    """Where the weights begin; both empty for random ones.

    Attributes
    ----------
    weights
        A safetensors file of this package, of the same network. In an ablation ``{variant}`` and ``{seed}`` stand for
        those of the run.
    backbone
        A classification network's own weights, for the backbone alone: a file, or one that an installed Python package
        brings, ``package:NAME/PATH``.
    """

    weights: str = ""
    backbone: str = ""

    @model_validator(mode="after")
    def _one(self) -> StartSection:
        if self.weights and self.backbone:
            raise ValueError("weights and backbone exclude each other")
        return self


class ValidationSection(_Section):
    """How training is watched.

    Attributes
    ----------
    part
        Part of the patients that is held back; 0 for no validation.
    every
        Steps between two validations; a checkpoint is written as often.
    patience
        A phase ends after so many validations without a better one; 0 for never.
    metric
        Which of `ftmtl.training.validation` decides what is better.
    """

    part: Annotated[float, Field(ge=0, lt=1)] = 0.1
    every: Annotated[int, Field(ge=1)] = 100
    patience: Annotated[int, Field(ge=0)] = 5
    metric: Literal["score", "sensitivity", "dice", "auc"] = "score"


class Holdout(_Section):
    """Patients that are not trained on at all, for cross-validation.

    Attributes
    ----------
    folds
        Into how many folds the patients are divided; 0 for none held out.
    fold
        Which of them is held out, from 0. Which patients these are does not depend on the recipe's seed.
    """

    folds: Annotated[int, Field(ge=0)] = 0
    fold: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Holdout:
        if self.folds == 1 or self.fold >= max(self.folds, 1):
            raise ValueError(f"fold {self.fold} is none of {self.folds} folds")
        return self


class SamplingSection(_Section):
    """What batches are made of; ``malignant`` is the least share of images with a malignant lesion in every batch."""

    malignant: Share = 0.25


class MachineSection(_Section):
    """How it is computed.

    Attributes
    ----------
    precision
        ``bf16`` for mixed precision, ``fp32``, or ``auto``: bf16 on a GPU that has it.
    channels_last, compile
        Faster layouts and kernels on a GPU.
    deterministic
        Whether only operations are used that give the same bits each time; slower on a GPU. cuBLAS then
        needs ``CUBLAS_WORKSPACE_CONFIG=:4096:8`` in the environment, which is set if it is not there.
    workers
        Threads a process that prepare images ahead; 0 to prepare them when they are needed.
    device
        ``cpu``, ``cuda``, ``cuda:1``; empty for the GPU if there is one.
    """

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    channels_last: bool = False
    compile: bool = False
    deterministic: bool = False
    workers: Annotated[int, Field(ge=0)] = 2
    device: str = ""


class Recipe(_Section):
    """All that decides what training gives.

    Attributes
    ----------
    name, version
        What the weights will be called.
    seed
        Of initialisation, splits, sampling and augmentation.
    threshold
        Lesion probability from which the weights report a detection.
    variant
        One of `ftmtl.network.variants.VARIANTS`.
    data
        What to train on: texts as `DataSource.parse` takes them, or tables of its fields.
    cache
        Folder for prepared images; empty for none.
    network
        Fields of `NetworkConfig` over those of the variant.
    phases
        Stretches of training, one after the other.
    """

    name: Text
    version: Text
    seed: Annotated[int, Field(ge=0)] = 1
    threshold: Share = 0.5
    variant: str = "D"
    data: Annotated[tuple[str | dict[str, Any], ...], Field(min_length=1)]
    cache: str = ""
    network: dict[str, Any] = Field(default_factory=dict)
    start: StartSection = StartSection()
    validation: ValidationSection = ValidationSection()
    holdout: Holdout = Holdout()
    sampling: SamplingSection = SamplingSection()
    machine: MachineSection = MachineSection()
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    _base: Path = PrivateAttr(Path())

    @field_validator("variant")
    @classmethod
    def _is_trained(cls, name: str) -> str:
        variant(name)
        if name in WEIGHTS_OF:
            raise ValueError(f"{name} is not trained, it takes the weights of {WEIGHTS_OF[name]}")
        return name

    @field_validator("data")
    @classmethod
    def _are_sources(cls, data: tuple[str | dict[str, Any], ...]) -> tuple[str | dict[str, Any], ...]:
        for number, item in enumerate(data):
            try:
                _source(item)
            except DatasetError as error:
                raise ValueError(f"number {number + 1}: {error}") from error
        return data

    @field_validator("network")
    @classmethod
    def _are_fields(cls, given: dict[str, Any]) -> dict[str, Any]:
        checked(NetworkConfig, given)
        return given

    @model_validator(mode="after")
    def _is_network(self) -> Recipe:
        try:
            self.network_config()
        except ValueError as error:
            raise ValueError(f"network: {error}") from error
        return self

    def network_config(self) -> NetworkConfig:
        """Return the variant's configuration with the fields of ``[network]`` over it; tables are merged."""
        config = variant(self.variant, NetworkConfig())
        given = checked(NetworkConfig, self.network)
        merged: dict[str, Any] = {
            k: {**getattr(config, k), **v} if isinstance(v, dict) else v for k, v in given.items()
        }
        return replace(config, **merged)

    def sources(self) -> list[DataSource]:
        """Return the data sources, their folders resolved."""
        sources = [_source(item) for item in self.data]
        return [replace(s, folder=self.resolve(s.folder)) if s.folder else s for s in sources]

    def resolve(self, path: str | Path) -> Path:
        """Return a path of the recipe as seen from the working directory."""
        return self._base / Path(path).expanduser()

    def backbone_file(self) -> Path:
        """Return the file of ``start.backbone``.

        Raises
        ------
        RecipeError
            If it is of a package that is not installed.
        """
        given = self.start.backbone
        if not given.startswith(_PACKAGE):
            return self.resolve(given)
        package, _, name = given.removeprefix(_PACKAGE).partition("/")
        found = find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise RecipeError([f"start.backbone: the package {package} is not installed"])
        return Path(found.submodule_search_locations[0], name)

    def altered(self, **fields: Any) -> Recipe:
        """Return the recipe with other values of some keys."""
        other = self.model_copy(update=fields)
        other._base = self._base
        return other

    def to_json(self) -> dict[str, Any]:
        """Return all keys, those left to their defaults too, as JSON has them."""
        return self.model_dump(mode="json")

    def difference(self, other: Mapping[str, Any]) -> str:
        """Name the first key in which another recipe's JSON differs and matters, with both values; empty if none."""
        mine, theirs = flat(self.to_json()), flat(other)
        for key in sorted(mine.keys() | theirs.keys()):
            if key not in _INDIFFERENT and mine.get(key) != theirs.get(key):
                return f"{key} was {theirs.get(key)!r} and is {mine.get(key)!r}"
        return ""


def read_recipe(path: Path, *, device: str | None = None) -> Recipe:
    """Read a recipe from TOML.

    Parameters
    ----------
    device
        Wins over ``machine.device``.

    Raises
    ------
    RecipeError
        With every fault: the file cannot be read, or a key is missing, unknown, of the wrong type or has no meaning.
    """
    try:
        raw = tomllib.loads(path.read_text())
    except OSError as error:
        raise RecipeError([f"recipe {path} cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise RecipeError([f"recipe {path} is not TOML: {error}"]) from error
    try:
        recipe = Recipe.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        raise RecipeError([f"recipe {path}: {fault}" for fault in describe(error)]) from error
    recipe._base = path.parent
    if device:
        recipe = recipe.altered(machine=recipe.machine.model_copy(update={"device": device}))
    return recipe


def _source(item: str | Mapping[str, Any]) -> DataSource:
    return DataSource.parse(item) if isinstance(item, str) else DataSource(**checked(DataSource, item))
