"""How an image was acquired and lies, as the image libraries of both kinds of reports say it (TID 1603, 4020)."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from ftmtl.header.acquisition import read_acquisition
from node.results.common import codes
from node.results.common.content import HAS_ACQ_CONTEXT, HAS_CONCEPT_MOD, coded, text


def view_and_orientation(header: Dataset, view: str | None) -> Iterator[Dataset]:
    """Yield the view with its modifiers, and the directions of rows and columns, as far as they are known.

    Parameters
    ----------
    header
        Normalised header of the image.
    view
        ACR code of the view.
    """
    if view in codes.VIEWS:
        modifiers = [coded(HAS_CONCEPT_MOD, codes.IMAGE_VIEW_MODIFIER, modifier) for modifier in view_modifiers(header)]
        yield coded(HAS_ACQ_CONTEXT, codes.IMAGE_VIEW, codes.VIEWS[view], modifiers)
    if header.PatientOrientation:
        row, column = header.PatientOrientation
        yield text(HAS_ACQ_CONTEXT, codes.ORIENTATION_ROW, row)
        yield text(HAS_ACQ_CONTEXT, codes.ORIENTATION_COLUMN, column)


def view_modifiers(header: Dataset) -> list[codes.Code]:
    """Return the view modifiers of an image, as far as they are in CID 4015."""
    told = read_acquisition(header).view_modifiers
    return [codes.VIEW_MODIFIERS[word] for word in told if word in codes.VIEW_MODIFIERS]
