"""The one interface of all data sets: `AnnotatedImage`, an image on disk (or a seed) and what is known of it.

A reader lists a data set from its tables without decoding a pixel, so that splits and sampling can be decided first;
`AnnotatedImage.load` then gives pixels and truth of one image.
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
        Outline, or None where the data set gives a box or a circle only.
    label
        The publisher's own class, where it says more than type; empty if not.
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
        """Make a lesion of a mask over the whole stored matrix, shape (rows, columns); the box is the tight one.

        Raises
        ------
        DatasetError
            If the mask is empty: it has no box.
        """
        rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
        if not len(rows):
            raise DatasetError("a lesion's mask is empty, it has no box")
        y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        mask = LesionMask(np.ascontiguousarray(pixels[y0:y1, x0:x1]), x0, y0)
        return cls((float(x0), float(y0), float(x1), float(y1)), type, malignant, mask)


@dataclass(frozen=True, kw_only=True)
class AnnotatedImage(ABC):
    """One mammogram of a data set, listed but not read.

    Attributes
    ----------
    image_id
        Unique in its data set.
    patient
        Whose it is; splits never divide a patient.
    laterality, view
        ``L`` or ``R``; ``CC``, ``MLO``...; None where the data set does not say.
    split
        The publisher's split, ``train`` or ``test``; empty where it has none.
    malignant
        Whether the image shows a malignant lesion; None where nobody knows. Normal images say False.
    """

    image_id: str
    patient: str
    laterality: str | None = None
    view: str | None = None
    split: str = ""
    malignant: bool | None = None

    @abstractmethod
    def load(self) -> tuple[Mammogram, tuple[Lesion, ...]]:
        """Read pixels and truth.

        Raises
        ------
        DatasetError
            If a file is missing, damaged or contradicts the tables; the message names it.
        """

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Text that changes when what `load` returns may change: names, sizes and times of files, or a seed."""
