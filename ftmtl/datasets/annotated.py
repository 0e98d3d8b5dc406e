"""The common interface of all data sets: `AnnotatedImage`, an image on disk (or a seed) with its annotations.

A reader lists the images of a data set from its tables, without decoding pixels, so that splits and sampling can be
decided first. `AnnotatedImage.load` then returns the pixels and the truth of one image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftmtl.errors import DatasetError
from ftmtl.findings import Box, FindingType, LesionMask
from ftmtl.mammogram.load import Mammogram


@dataclass(frozen=True, eq=False)
class Lesion:
    """One annotated lesion, in stored pixels: the image's matrix before any flip, crop or scaling.

    Attributes
    ----------
    box
        ``(x0, y0, x1, y1)`` = (column, row, column, row), half-open.
    type
        Kind of lesion; ``LESION`` where the data set does not say.
    malignant
        Pathology, or None where it is unknown.
    mask
        Outline, or None where the data set only has a box or a circle.
    label
        The publisher's class, where it is more specific than `type`; otherwise empty.
    """

    box: Box
    type: FindingType
    malignant: bool | None
    mask: LesionMask | None = None
    label: str = ""

    def __post_init__(self) -> None:
        if not (self.box[2] > self.box[0] and self.box[3] > self.box[1]):
            raise DatasetError(f"a lesion has no box: {self.box}")

    @classmethod
    def from_mask(cls, pixels: NDArray[np.bool_], type: FindingType, malignant: bool | None) -> Lesion:
        """Make a lesion from a mask over the whole stored matrix, shape (rows, columns), with a tight box.

        Raises
        ------
        DatasetError
            If the mask is empty, so that there is no box.
        """
        rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
        if not len(rows):
            raise DatasetError("a lesion's mask is empty, so it has no box")
        y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        mask = LesionMask(np.ascontiguousarray(pixels[y0:y1, x0:x1]), x0, y0)
        return cls((float(x0), float(y0), float(x1), float(y1)), type, malignant, mask)


@dataclass(frozen=True, kw_only=True)
class AnnotatedImage(ABC):
    """One mammogram of a data set, listed but not yet read.

    Attributes
    ----------
    image_id
        Unique within the data set.
    patient
        The patient's identifier; splits never divide the images of a patient.
    laterality, view
        ``L`` or ``R``; ``CC``, ``MLO``...; None where the data set does not say.
    split
        The publisher's split, ``train`` or ``test``; empty if there is none.
    malignant
        Whether the image shows a malignant lesion; False for normal images, None where it is unknown.
    """

    image_id: str
    patient: str
    laterality: str | None = None
    view: str | None = None
    split: str = ""
    malignant: bool | None = None

    @abstractmethod
    def load(self) -> tuple[Mammogram, tuple[Lesion, ...]]:
        """Read the pixels and the truth.

        Raises
        ------
        DatasetError
            If a file is missing or damaged, or contradicts the tables; the message names the file.
        """

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Text that changes whenever the result of `load` may: names, sizes and times of files, or a seed."""
