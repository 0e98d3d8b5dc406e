"""The contents of a study's page, before anything is drawn. Nothing here depends on DICOM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Mark:
    """A finding on a view.

    Attributes
    ----------
    points
        Closed outline, shape (points, 2) = column, row, from 0\\0 at the view's top-left corner to 1\\1 at its
        bottom-right corner.
    score
        Cancer score, 0 to 1.
    number
        Its number in the study, from 1, which also decides its colour.
    """

    points: NDArray[np.float64]
    score: float
    number: int


@dataclass(frozen=True, eq=False)
class View:
    """An image, flipped the way it is hung.

    Attributes
    ----------
    name
        Its name in the table, such as ``R CC``.
    laterality, view
        Where it hangs: ``R``, ``L`` or None, and an ACR code or None.
    pixels
        float32, 0 black to 1 white; None if it was not analysed and only its place is shown.
    aspect
        Width divided by height, as displayed.
    as_stored
        True if the header does not say how to hang it.
    marks
        Its findings, in the order of their numbers.
    reason
        Why it was not analysed.
    """

    name: str
    laterality: str | None
    view: str | None
    pixels: NDArray[np.float32] | None
    aspect: float
    as_stored: bool = False
    marks: tuple[Mark, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """A row of the table of findings. ``n`` is the finding's number in the study; a size is in mm, None if unknown."""

    view: str
    n: int
    type: str
    lesion_score: float
    cancer_score: float
    size_mm: float | None


@dataclass(frozen=True)
class Page:
    """Everything on the page.

    Attributes
    ----------
    views
        In the order of the table.
    rows
        The findings.
    scores
        The name of what is scored, and the score in words.
    refused
        Mammograms that were not analysed, and why.
    left_aside
        Images that the study's outcome is not about, and why.
    remarks
        Images that a reader has to know something about, and what.
    facts
        Names and values: model, version and so on.
    notes
        Small print.
    """

    views: tuple[View, ...]
    rows: tuple[Row, ...]
    scores: tuple[tuple[str, str], ...]
    refused: tuple[tuple[str, str], ...]
    left_aside: tuple[tuple[str, str], ...]
    remarks: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
