"""Result objects: written to a file, and read item by item."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ftmtl.findings import ImageResult, LesionMask
from node.kinds import ObjectKind
from node.results.common import codes
from node.results.common.content import children, walk
from node.results.pr.build import build_presentation
from node.results.seg.build import build_segmentation
from support import mg


def write(ds: Dataset, path: Path) -> Path:
    """Write an object to a file, and return its path."""
    ds.save_as(path, enforce_file_format=True)
    return path


def segmentation(source: Dataset, image: ImageResult, kind: str = "seg", nth: int = 0) -> Dataset:
    """Return the segmentation of an image that is a study of its own."""
    return build_segmentation(source, image, mg.study_result([image], source.StudyInstanceUID), nth, ObjectKind(kind))


def presentation(source: Dataset, image: ImageResult) -> Dataset:
    """Return the presentation state of an image that is a study of its own."""
    return build_presentation(source, image, mg.study_result([image], source.StudyInstanceUID))


def items(ds: Dataset, name: codes.Code) -> list[Dataset]:
    """Return the content items of a name, wherever they are in a report."""
    return [item.ds for item in walk(ds) if item.name == name.value]


def below(parent: Dataset, name: codes.Code) -> Dataset:
    """Return the only child of a content item that has a name."""
    (found,) = (item.ds for item in children(parent) if item.name == name.value)
    return found


def source_of(seg: Dataset) -> str:
    """Return the image that a segmentation's series refers to."""
    return str(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID)


def enclosed(points: NDArray[np.float64], rows: int, columns: int, mask: LesionMask | None = None) -> NDArray[np.bool_]:
    """Return which pixels have their centres inside a closed line (coordinates as in PS3.3 C.10.5).

    Parameters
    ----------
    points
        Shape (points, 2) = column, row of the image.
    rows, columns
        Size of the image, or of the mask.
    mask
        Where to look, if not at the whole image.
    """
    y, x = np.mgrid[:rows, :columns] + 0.5
    if mask is not None:
        y, x = y + mask.row, x + mask.column
    inside = np.zeros((rows, columns), dtype=bool)
    for (x0, y0), (x1, y1) in pairwise(points):
        if y0 != y1:
            crossing = x0 + (y - y0) / (y1 - y0) * (x1 - x0)
            inside ^= ((y > min(y0, y1)) & (y < max(y0, y1))) & (x > crossing)
    return inside
