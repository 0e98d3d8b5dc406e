"""Training, validation and test parts by patient, as many of them with cancer in each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np

from ftmtl.datasets.annotated import AnnotatedImage
from ftmtl.errors import DatasetError

Image = TypeVar("Image", bound=AnnotatedImage)


def split_patients(images: Sequence[Image], part: float, seed: int) -> tuple[list[Image], list[Image]]:
    """Divide images so that no patient is on both sides, and patients with a malignant image on both alike.

    Parameters
    ----------
    part
        Share of the patients in the second list, above 0 and below 1; each list has at least one.
    seed
        Which patients; their order and that of the images does not matter.

    Returns
    -------
    tuple
        The rest, and the part; images in their order.

    Raises
    ------
    DatasetError
        If there are fewer than two patients, or `part` is out of range.
    """
    if not 0 < part < 1:
        raise DatasetError(f"a part of the patients is more than 0 and less than 1, not {part}")
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
    """Divide images into folds for cross-validation; no patient is in two of them.

    Returns
    -------
    list of tuple
        For each fold the images of all others, to train on, and its own; each patient is in one fold's own.

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
    """Return the patients with a malignant image and those without, each in an order of chance."""
    malignant = {image.patient for image in images if image.malignant}
    others = {image.patient for image in images} - malignant
    rng = np.random.default_rng(seed)
    first, second = (np.array(sorted(group), dtype=object) for group in (malignant, others))
    return list(rng.permutation(first)), list(rng.permutation(second))


def _divided(images: Sequence[Image], patients: Collection[str]) -> tuple[list[Image], list[Image]]:
    chosen = set(patients)
    rest = [image for image in images if image.patient not in chosen]
    return rest, [image for image in images if image.patient in chosen]
