"""What a viewer shows, judged by the pixels of its window: is the lesion where the image has it?

Each test image has a ring burned in around its lesion: a white frame with a white block at its top-left corner;
nothing else is white. Where the ring appears tells how the image lies on the screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ftmtl.findings import LesionMask

GAP, LINE, BLOCK = 12, 4, 16
"""Pixels of the image between a lesion's box and its ring, the width of the ring, the side of its block."""

WHITE, GREY, COLOURED = 0.8, 24, 40
"""A white pixel is at least so bright and at most so colourful; a pixel of a mark is at least so colourful."""

FRAME = 3
"""Pixels at a viewport's edges that the viewer draws its own frame on."""


class Rectangle(NamedTuple):
    """Columns and rows, half-open."""

    left: float
    top: float
    right: float
    bottom: float


class Misplaced(AssertionError):  # noqa: N818 - it is what happened
    """A mark is not where it ought to be; the message says what was seen."""


@dataclass(frozen=True)
class Screen:
    """A viewport of one image.

    Attributes
    ----------
    pixels
        uint8, shape (height, width, 3): what lies inside the viewport's frame.
    scale, offset
        Along columns and rows: a point of the image lies at ``offset + scale * point`` of ``pixels``.
    """

    pixels: NDArray[np.uint8]
    scale: tuple[float, float]
    offset: tuple[float, float]

    def grid(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the image's column and row in the middle of each pixel of the screen."""
        rows, columns = np.mgrid[: self.pixels.shape[0], : self.pixels.shape[1]] + 0.5
        return (columns - self.offset[0]) / self.scale[0], (rows - self.offset[1]) / self.scale[1]


def ring_of(mask: LesionMask) -> Rectangle:
    """Return the inner border of the ring around a mask, in pixels of the image."""
    height, width = mask.pixels.shape
    return Rectangle(mask.column - GAP, mask.row - GAP, mask.column + width + GAP, mask.row + height + GAP)


def burn_ring(pixels: NDArray[np.uint16], mask: LesionMask, white: int) -> None:
    """Draw the ring into an image."""
    left, top, right, bottom = map(int, ring_of(mask))
    outer = (slice(top - LINE, bottom + LINE), slice(left - LINE, right + LINE))
    inside = pixels[top:bottom, left:right].copy()
    pixels[outer] = white
    pixels[top:bottom, left:right] = inside
    pixels[top - LINE - BLOCK : top - LINE, left - LINE - BLOCK : left - LINE + LINE] = white
    pixels[top - LINE - BLOCK : top, left - LINE - BLOCK : left - LINE] = white


def read_screen(path: Path, viewport: Rectangle, mask: LesionMask) -> Screen:
    """Cut a viewport out of a picture of the window, and find the ring of a mask in it.

    Raises
    ------
    Misplaced
        If there is no ring, or the image is flipped or distorted.
    """
    corners = (viewport.left + FRAME, viewport.top + FRAME, viewport.right - FRAME, viewport.bottom - FRAME)
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB").crop(tuple(map(round, corners))))
    white = (pixels.min(axis=2) >= WHITE * 255) & (_colour(pixels) <= GREY)
    pieces, count = ndimage.label(white, structure=np.ones((3, 3)))
    if not count:
        raise Misplaced("there is no ring on the screen")
    largest = int(np.bincount(pieces.ravel())[1:].argmax()) + 1
    rows, columns = ndimage.find_objects(pieces)[largest - 1]
    left, top, right, bottom = ring_of(mask)
    width = right - left + 2 * LINE + BLOCK
    height = bottom - top + 2 * LINE + BLOCK
    scale = (columns.stop - columns.start) / width, (rows.stop - rows.start) / height
    if not 0.97 < scale[0] / scale[1] < 1.03:
        raise Misplaced(f"the ring is drawn by {scale[0]:.2f} along columns and by {scale[1]:.2f} along rows")
    corner = white[rows, columns][: int(scale[1] * BLOCK), : int(scale[0] * BLOCK)]
    if corner.mean() < 0.9:
        raise Misplaced("the ring's block is not at its top left: the image is flipped")
    offset = (
        columns.start - scale[0] * (left - LINE - BLOCK),
        rows.start - scale[1] * (top - LINE - BLOCK),
    )
    return Screen(pixels, scale, offset)


def _colour(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return how colourful each pixel is: the largest of red, green and blue less the smallest."""
    colour: NDArray[np.uint8] = pixels.max(axis=2) - pixels.min(axis=2)
    return colour


def check_filled(screen: Screen, mask: LesionMask, rows: int, columns: int) -> None:
    """Tell whether the coloured pixels over an image are those of a mask.

    Parameters
    ----------
    screen
        The viewport, with the segmentation drawn.
    mask
        Where the lesion is.
    rows, columns
        Size of the image.

    Raises
    ------
    Misplaced
        If a coloured pixel lies outside the ring or more than two pixels off the mask, or a tenth of the mask has none.
    """
    column, row = screen.grid()
    image = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    ring = ring_of(mask)
    inside = (column > ring.left) & (column < ring.right) & (row > ring.top) & (row < ring.bottom)
    seen = image & (_colour(screen.pixels) >= COLOURED)
    due = np.zeros(seen.shape, dtype=bool)
    due[image] = mask.paste(rows, columns)[row[image].astype(int), column[image].astype(int)]
    around = ndimage.binary_dilation(due, iterations=2)
    covered = (seen & due).sum() / due.sum()
    said = (
        f"{seen.sum()} coloured pixels, {(seen & ~inside).sum()} outside the ring, "
        f"{(seen & ~around).sum()} off the mask, {covered:.0%} of the mask covered"
    )
    if (seen & ~inside).any() or (seen & ~around).any() or covered < 0.9:
        raise Misplaced(said)


def check_outlined(screen: Screen, points: NDArray[np.float64]) -> None:
    """Tell whether a coloured line runs along a polygon.

    Parameters
    ----------
    screen
        The viewport, with the polygon drawn.
    points
        Closed, shape (points, 2) = column, row of the image.

    Raises
    ------
    Misplaced
        If a tenth of the polygon has no coloured pixel within two pixels.
    """
    corners = points * screen.scale + screen.offset
    near = ndimage.binary_dilation(_colour(screen.pixels) >= COLOURED, iterations=2)
    hits: list[bool] = []
    for start, end in pairwise(corners):
        steps = np.linspace(start, end, max(2, int(np.hypot(*(end - start)))))
        hits += near[steps[:, 1].astype(int), steps[:, 0].astype(int)].tolist()
    if np.mean(hits) < 0.9:
        raise Misplaced(f"{np.mean(hits):.0%} of the polygon is drawn")
