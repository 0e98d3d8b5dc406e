"""The images of a training run: listing, dividing by patient, checking, loading."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from ftmtl.datasets.annotated import AnnotatedImage
from ftmtl.datasets.catalogue import DataSource, list_images
from ftmtl.datasets.load import load_samples
from ftmtl.datasets.sample import Sample
from ftmtl.datasets.splits import patient_folds, split_patients
from ftmtl.datasets.survey import survey
from ftmtl.errors import TrainingError
from ftmtl.network.variants import NetworkConfig
from ftmtl.training import distributed
from ftmtl.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The images of a run, for training and for validation.

    Attributes
    ----------
    training, validation
        Images; no patient is in both.
    sources
        The data source of each image, by the ``id`` of the image.
    """

    training: Sequence[AnnotatedImage]
    validation: Sequence[AnnotatedImage]
    sources: dict[int, DataSource]

    @property
    def digest(self) -> str:
        """SHA-256 of the assignment of images to training and validation, hexadecimal."""
        sides = (("training", self.training), ("validation", self.validation))
        lines = [
            f"{side} {self.sources[id(i)].name} {i.patient} {i.image_id}" for side, images in sides for i in images
        ]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()

    def survey(self) -> dict[str, Any]:
        """Return the digest, and counts of the training and validation images, for the description of the run."""
        return {"digest": self.digest, "training": survey(self.training), "validation": survey(self.validation)}

    def words(self) -> str:
        """Return a one-line description for the weights' card, without folders."""
        counts: dict[str, int] = {}
        for image in chain(self.training, self.validation):
            name = self.sources[id(image)].name
            counts[name] = counts.get(name, 0) + 1
        listed = ", ".join(f"{count} {_NAMES.get(name, f'images of {name}')}" for name, count in counts.items())
        return f"{listed}; {len(self.validation)} of them held back for validation" if self.validation else listed

    def load(self, recipe: Recipe, config: NetworkConfig) -> tuple[list[Sample], list[Sample]]:
        """Load the samples for training, repeated as their sources say, and those for validation.

        With a cache, the first process loads before the others.

        Raises
        ------
        DatasetError
            If an image is missing or damaged and its source refuses faults.
        TrainingError
            If the validation images are not sufficient for validation.
        """
        wait_first = bool(recipe.cache)
        if wait_first and distributed.rank():
            distributed.barrier()
        training = self._loaded(self.training, recipe, config, repeated=True)
        validation = self._loaded(self.validation, recipe, config, repeated=False)
        if wait_first and not distributed.rank():
            distributed.barrier()
        if recipe.validation.part:
            _check(training, validation, recipe, config)
        return training, validation

    def _loaded(
        self, images: Sequence[AnnotatedImage], recipe: Recipe, config: NetworkConfig, *, repeated: bool
    ) -> list[Sample]:
        cache = recipe.resolve(recipe.cache) if recipe.cache else None
        workers = None if distributed.world() == 1 else max(1, (os.cpu_count() or 1) // distributed.world())
        samples: list[Sample] = []
        for source in dict.fromkeys(self.sources[id(image)] for image in images):
            chosen = [image for image in images if self.sources[id(image)] == source]
            loaded = load_samples(chosen, config.input_size, cache=cache, workers=workers, faults=source.faults)
            samples += [sample for sample in loaded for _ in range(source.repeat if repeated else 1)]
        return samples


_FOLD_SEED = 0
_NAMES = {"phantoms": "synthetic mammograms", "cdd-cesm": "images of CDD-CESM"}


def list_data(recipe: Recipe) -> TrainingData:
    """List a recipe's images without those held out, and divide them into training and validation.

    Raises
    ------
    DatasetError
        If a data set is missing, damaged or empty.
    TrainingError
        If there are no images.
    """
    listed = [(image, source) for source in recipe.sources() for image in list_images(source)]
    if not listed:
        raise TrainingError(f"data: there are no images in {', '.join(str(s) for s in recipe.sources())}")
    images, part = [image for image, _ in listed], recipe.validation.part
    if recipe.holdout.folds:
        images = _folds(images, recipe)[recipe.holdout.fold][0]
    training, validation = split_patients(images, part, recipe.seed) if part else (images, [])
    return TrainingData(training, validation, {id(image): source for image, source in listed})


def held_out_images(recipe: Recipe) -> list[AnnotatedImage]:
    """Return the images of the fold that the recipe holds out, or no images if there are no folds.

    Raises
    ------
    DatasetError
        If a data set is missing, damaged or empty, or has fewer patients than folds.
    """
    if not recipe.holdout.folds:
        return []
    images = [image for source in recipe.sources() for image in list_images(source)]
    return _folds(images, recipe)[recipe.holdout.fold][1]


def _folds(images: Sequence[AnnotatedImage], recipe: Recipe) -> list[tuple[list[AnnotatedImage], list[AnnotatedImage]]]:
    return patient_folds(images, recipe.holdout.folds, _FOLD_SEED)


def _check(training: Sequence[Sample], validation: Sequence[Sample], recipe: Recipe, config: NetworkConfig) -> None:
    """Raise an error if validation has no lesions, or lacks benign or malignant ones needed for classification."""
    remedy = f"raise validation.part (now {recipe.validation.part:g}) or change seed"
    if not any(len(sample.masks) for sample in validation):
        raise TrainingError(f"validation.part: the {len(validation)} images held back show no lesion; {remedy}")
    both = {0, 1} <= _classes(training)
    if "cls" in config.tasks and both and (lacking := {0, 1} - _classes(validation)):
        word = "malignant" if 1 in lacking else "benign"
        raise TrainingError(
            f"validation.part: the {len(validation)} images held back show no {word} lesion, so malignancy "
            f"cannot be measured; {remedy}"
        )


def _classes(samples: Sequence[Sample]) -> set[int]:
    return set(np.concatenate([sample.malignant for sample in samples]).tolist())
