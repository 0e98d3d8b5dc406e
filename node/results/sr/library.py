"""The images of a measurement report: which they are, and how they were taken (PS3.16 TID 1600 to 1603)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydicom.dataset import Dataset

from node.results.common import codes
from node.results.common.acquired import view_and_orientation
from node.results.common.content import (
    CONTAINS,
    HAS_ACQ_CONTEXT,
    coded,
    container,
    image_item,
    number,
)
from node.results.common.outcome import Known

SPACING_DECIMALS = 6


def image_library(images: Iterable[Known]) -> Dataset:
    """Return the library, one group of all images.

    The groups of measurements name their images again by value, under the same UIDs: a container can't contain an
    item of another one by reference (PS3.3 A.35.13.3).
    """
    entries = [image_item(CONTAINS, known.header, _descriptors(known), codes.SOURCE) for known in images]
    return container(CONTAINS, codes.IMAGE_LIBRARY, [container(CONTAINS, codes.IMAGE_LIBRARY_GROUP, entries)])


def _descriptors(known: Known) -> Iterator[Dataset]:
    """Yield what is known about an image (TID 1602), and a radiograph's view, orientation and spacing (TID 1603)."""
    header, image = known.header, known.image
    if header.get("Modality") == codes.MG.value:
        yield coded(HAS_ACQ_CONTEXT, codes.MODALITY, codes.MG)
        yield coded(HAS_ACQ_CONTEXT, codes.TARGET_REGION, codes.BREAST)
    if image.laterality in codes.SIDES:
        yield coded(HAS_ACQ_CONTEXT, codes.IMAGE_LATERALITY, codes.SIDES[image.laterality])
    yield number(HAS_ACQ_CONTEXT, codes.PIXEL_ROWS, header.Rows, codes.PIXELS)
    yield number(HAS_ACQ_CONTEXT, codes.PIXEL_COLUMNS, header.Columns, codes.PIXELS)
    yield from view_and_orientation(header, image.view)
    if header.get("ImagerPixelSpacing"):
        vertical, horizontal = header.ImagerPixelSpacing
        for name, mm in ((codes.HORIZONTAL_SPACING, horizontal), (codes.VERTICAL_SPACING, vertical)):
            yield number(HAS_ACQ_CONTEXT, name, mm, codes.MM)
