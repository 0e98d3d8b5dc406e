"""Training, validation and test parts, divided by patient and stratified by malignancy."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np

from ftmtl.datasets.annotated import AnnotatedImage
from ftmtl.errors import DatasetError

Image = TypeVar("Image", bound=AnnotatedImage)


def split_patients(images: Sequence[Image], part: float, seed: int) -> tuple[list[Image], list[Image]]:
    """Divide images into two lists with different patients, and the same fraction of patients with a malignant image.

    Parameters
    ----------
    part
        Fraction of the patients in the second list, above 0 and below 1; each list has at least one patient.
    seed
        Seed of the choice of patients, which does not depend on the order of the images.

    Returns
    -------
    tuple
        The remaining images, and those of the chosen patients; both in their original order.

    Raises
    ------
    DatasetError
        If there are fewer than two patients, or `part` is out of range.
    """
    if not 0 < part < 1:
        raise DatasetError(f"the fraction of patients has to be above 0 and below 1, not {part}")
    groups = _shuffled(images, seed)
    total = sum(len(group) for group in groups)
    if total < 2:
        raise DatasetError(f"{total} patients cannot be divided in two")
    chosen = {patient for group in groups for patient in group[: round(part * len(group))]}
    everyone = [patient for group in groups for patient in group]
    if not chosen:
        chosen = {everyone[-1]}
    elif len(chosen) == total:
        chosen.remove(everyone[-1])
    return _divided(images, chosen)


def patient_folds(images: Sequence[Image], folds: int, seed: int) -> list[tuple[list[Image], list[Image]]]:
    """Divide images into folds for cross-validation, with each patient in one fold.

    Returns
    -------
    list of tuple
        For each fold, the images of all other folds, for training, and its own images, for testing.

    Raises
    ------
    DatasetError
        If there are fewer than two folds, or fewer patients than folds.
    """
    patients = [patient for group in _shuffled(images, seed) for patient in group]
    if folds < 2:
        raise DatasetError(f"cross-validation needs at least 2 folds, not {folds}")
    if len(patients) < folds:
        raise DatasetError(f"{len(patients)} patients cannot be divided into {folds} folds")
    return [_divided(images, patients[fold::folds]) for fold in range(folds)]


def _shuffled(images: Sequence[AnnotatedImage], seed: int) -> tuple[list[str], list[str]]:
    """Return the patients with a malignant image and those without, each in random order."""
    malignant = {image.patient for image in images if image.malignant}
    others = {image.patient for image in images} - malignant
    rng = np.random.default_rng(seed)
    first, second = (np.array(sorted(group), dtype=object) for group in (malignant, others))
    return list(rng.permutation(first)), list(rng.permutation(second))


def _divided(images: Sequence[Image], patients: Collection[str]) -> tuple[list[Image], list[Image]]:
    chosen = set(patients)
    rest = [image for image in images if image.patient not in chosen]
    return rest, [image for image in images if image.patient in chosen]
