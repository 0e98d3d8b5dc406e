"""Recipes: the settings of a training run in TOML, validated completely before training starts.

Paths in a recipe are relative to its file. Recipes can be converted to JSON and back, so that they can be stored with
weights.
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
"""Keys that may differ when a run is resumed, as they do not affect its result."""

Text = Annotated[str, StringConstraints(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = STRICT


class Phase(_Section):
    """A phase of training with constant settings.

    Attributes
    ----------
    steps, batch
        Number of optimiser steps, and of images per step over all processes.
    crop
        Side of the square crops in pixels, or 0 for whole images.
    rate
        Peak learning rate, with warm-up over the first tenth of the phase and cosine decay to zero.
    freeze_statistics
        Whether batch normalisation keeps its running statistics unchanged.
    weight_decay
        Weight decay of AdamW.
    """

    steps: Annotated[int, Field(ge=1)]
    batch: Annotated[int, Field(ge=1)]
    crop: Annotated[int, Field(ge=0)] = 0
    rate: Annotated[float, Field(gt=0)]
    freeze_statistics: bool = False
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2


class StartSection(_Section):
    """Initial weights; if both keys are empty, they are random.

    Attributes
    ----------
    weights
        A safetensors file of this package, for the same network. In an ablation, ``{variant}`` and ``{seed}`` are
        replaced with those of the run.
    backbone
        Weights of a classification network, for the backbone alone: a file, or ``package:NAME/PATH`` for a file of an
        installed Python package.
    """

    weights: str = ""
    backbone: str = ""

    @model_validator(mode="after")
    def _one(self) -> StartSection:
        if self.weights and self.backbone:
            raise ValueError("weights and backbone cannot both be given")
        return self


class ValidationSection(_Section):
    """Validation during training.

    Attributes
    ----------
    part
        Fraction of the patients whose images are used for validation; 0 for no validation.
    every
        Number of steps between validations, at which checkpoints are written as well.
    patience
        Number of validations without improvement after which a phase ends early; 0 for never.
    metric
        The metric of `ftmtl.training.validation` that determines which weights are best.
    """

    part: Annotated[float, Field(ge=0, lt=1)] = 0.1
    every: Annotated[int, Field(ge=1)] = 100
    patience: Annotated[int, Field(ge=0)] = 5
    metric: Literal["score", "sensitivity", "dice", "auc"] = "score"


class Holdout(_Section):
    """Patients that are used neither for training nor for validation, for cross-validation.

    Attributes
    ----------
    folds
        Number of folds into which the patients are divided; 0 to hold out none.
    fold
        Number of the fold that is held out, from 0. The division does not depend on the recipe's seed.
    """

    folds: Annotated[int, Field(ge=0)] = 0
    fold: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Holdout:
        if self.folds == 1 or self.fold >= max(self.folds, 1):
            raise ValueError(f"fold {self.fold} is not one of {self.folds} folds")
        return self


class SamplingSection(_Section):
    """Composition of batches; ``malignant`` is the smallest fraction of images with a malignant lesion in a batch."""

    malignant: Share = 0.25


class MachineSection(_Section):
    """How and where to compute.

    Attributes
    ----------
    precision
        ``bf16`` for mixed precision, ``fp32``, or ``auto`` for bf16 on GPUs that support it.
    channels_last, compile
        Whether to use a faster memory layout and compiled kernels on a GPU.
    deterministic
        Whether to use only operations whose results are reproducible to the bit, which is slower on a GPU. cuBLAS then
        needs ``CUBLAS_WORKSPACE_CONFIG=:4096:8`` in the environment, which is set if it is missing.
    workers
        Number of threads per process that prepare images ahead; 0 to prepare them when they are needed.
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
    """The settings that determine the result of training.

    Attributes
    ----------
    name, version
        Name and version of the weights.
    seed
        Seed of initialisation, splits, sampling and augmentation.
    threshold
        Lesion score from which the weights report a detection.
    variant
        One of `ftmtl.network.variants.VARIANTS`.
    data
        Data sources to train on, as text for `DataSource.parse` or as tables of the fields of `DataSource`.
    cache
        Folder for prepared images; empty for none.
    network
        Fields of `NetworkConfig` that override those of the variant.
    phases
        The phases of training, in order.
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
            raise ValueError(f"{name} is not trained; it uses the weights of {WEIGHTS_OF[name]}")
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
        """Return the variant's configuration, overridden by the fields of ``[network]``; tables are merged."""
        config = variant(self.variant, NetworkConfig())
        given = checked(NetworkConfig, self.network)
        merged: dict[str, Any] = {
            k: {**getattr(config, k), **v} if isinstance(v, dict) else v for k, v in given.items()
        }
        return replace(config, **merged)

    def sources(self) -> list[DataSource]:
        """Return the data sources with resolved folders."""
        sources = [_source(item) for item in self.data]
        return [replace(s, folder=self.resolve(s.folder)) if s.folder else s for s in sources]

    def resolve(self, path: str | Path) -> Path:
        """Resolve a path in the recipe relative to the recipe's file."""
        return self._base / Path(path).expanduser()

    def backbone_file(self) -> Path:
        """Return the file of ``start.backbone``.

        Raises
        ------
        RecipeError
            If it belongs to a package that is not installed.
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
        """Return a copy of the recipe with other values for some keys."""
        other = self.model_copy(update=fields)
        other._base = self._base
        return other

    def to_json(self) -> dict[str, Any]:
        """Return all keys, including defaults, as JSON types."""
        return self.model_dump(mode="json")

    def difference(self, other: Mapping[str, Any]) -> str:
        """Describe the first relevant key in which another recipe's JSON differs; empty if there is none."""
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
        Overrides ``machine.device``.

    Raises
    ------
    RecipeError
        If the file cannot be read, or a key is missing, unknown or invalid; the error lists all faults.
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
