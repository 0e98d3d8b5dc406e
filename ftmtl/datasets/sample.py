"""One training image and its truth, in pixels of the network's input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftmtl.datasets.annotated import AnnotatedImage, Lesion
from ftmtl.errors import DatasetError, NotAnalysable
from ftmtl.findings import LESION_TYPES, FindingType
from ftmtl.mammogram.load import Mammogram
from ftmtl.preprocess import INPUT_SIZE, fit


@dataclass(frozen=True, eq=False)
class Sample:
    """An image fitted to the network's input (`ftmtl.preprocess.fit`), and its truth.

    Attributes
    ----------
    pixels
        float16, shape (height, width), 0 to 1, chest wall at the left, not yet standardised.
    masks
        bool, shape (lesions, height, width); where the outline of a lesion is unknown, its whole box.
    outlined
        bool, shape (lesions,): whether the mask is an outline.
    malignant, types
        int64, shape (lesions,); -1 where unknown. Types index `ftmtl.findings.LESION_TYPES`.
    image_id, patient
        As in `ftmtl.datasets.annotated.AnnotatedImage`.
    """

    pixels: NDArray[np.float16]
    masks: NDArray[np.bool_]
    outlined: NDArray[np.bool_]
    malignant: NDArray[np.int64]
    types: NDArray[np.int64]
    image_id: str
    patient: str

    def __post_init__(self) -> None:
        if not len(self.masks) == len(self.outlined) == len(self.malignant) == len(self.types):
            raise DatasetError(f"{self.image_id}: masks, outlines, classes and types differ in number")
        if len(self.masks) and not self.masks.any(axis=(1, 2)).all():
            raise DatasetError(f"{self.image_id}: a mask is empty, so it has no box")

    @property
    def has_malignant(self) -> bool:
        """Whether the image has a lesion that is known to be malignant."""
        return bool((self.malignant == 1).any())


def to_sample(image: AnnotatedImage, size: tuple[int, int] = INPUT_SIZE) -> Sample:
    """Load an image with the same processing as at inference, and fit it and its truth to the network's input.

    Parameters
    ----------
    size
        Height and width of the network's input.

    Raises
    ------
    DatasetError
        If the image cannot be read, or no breast is found on it.
    """
    try:
        mammogram, lesions = image.load()
    except NotAnalysable as error:
        raise DatasetError(f"{image.image_id}: {error}") from error
    pixels, _ = fit(mammogram.pixels, size)
    masks = np.zeros((len(lesions), *size), dtype=bool)
    for i, lesion in enumerate(lesions):
        masks[i] = _fitted_mask(mammogram, lesion, size)
    kept: NDArray[np.bool_] = np.any(masks, axis=(1, 2))
    chosen = [lesion for lesion, keep in zip(lesions, kept, strict=True) if keep]
    return Sample(
        pixels.astype(np.float16),
        masks[kept],
        np.array([lesion.mask is not None for lesion in chosen], dtype=bool),
        np.array([-1 if lesion.malignant is None else int(lesion.malignant) for lesion in chosen], dtype=np.int64),
        np.array([_type_index(lesion.type) for lesion in chosen], dtype=np.int64),
        image.image_id,
        image.patient,
    )


def _fitted_mask(mammogram: Mammogram, lesion: Lesion, size: tuple[int, int]) -> NDArray[np.bool_]:
    if lesion.mask is not None:
        stored = lesion.mask.paste(mammogram.rows, mammogram.columns)
    else:
        stored = np.zeros((mammogram.rows, mammogram.columns), dtype=bool)
        x0, y0, x1, y1 = (max(0, round(edge)) for edge in lesion.box)
        stored[y0:y1, x0:x1] = True
    return np.asarray(fit(mammogram.orientation.apply(stored).astype(np.float32), size)[0] >= 0.5)


def _type_index(kind: FindingType) -> int:
    return LESION_TYPES.index(kind) if kind in LESION_TYPES else -1
