"""Pictures for human readers: mammograms with the boxes, masks and scores of their findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ftmtl.findings import Box

NOTICE = "RESEARCH USE ONLY"
_BOX = (255, 196, 61)
_MASK = (255, 92, 92)


@dataclass(frozen=True)
class Mark:
    """One finding to draw: box and mask in pixels of the image, and the label beside the box."""

    box: Box | None
    mask: NDArray[np.bool_] | None
    label: str


def draw(pixels: NDArray[np.float32], marks: Sequence[Mark], title: str = "", height: int = 1200) -> Image.Image:
    """Draw findings on an image.

    Parameters
    ----------
    pixels
        float32, shape (rows, columns), 0..1.
    marks
        Findings in pixels of the image.
    title
        Written at the bottom, after the research notice.
    height
        Height of the picture in pixels; the width follows from it.
    """
    rows, columns = pixels.shape
    scale = height / rows
    size = (round(columns * scale), height)
    grey = Image.fromarray(np.uint8(np.clip(pixels, 0, 1) * 255)).resize(size, Image.Resampling.BILINEAR)
    picture = np.repeat(np.asarray(grey)[:, :, None], 3, axis=2)
    for mark in marks:
        if mark.mask is not None:
            _outline(picture, mark.mask, size)
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(max(11, height // 60))
    for mark in marks:
        if mark.box is not None:
            _label(pen, tuple(edge * scale for edge in mark.box), mark.label, size, font)
    text = f"{NOTICE}   {title}".strip()
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    pen.rectangle((0, height - (bottom - top) - 18, right - left + 24, height), fill=(0, 0, 0))
    pen.text((12, height - (bottom - top) - 14), text, fill=(235, 235, 235), font=font)
    return image


def _outline(picture: NDArray[np.uint8], mask: NDArray[np.bool_], size: tuple[int, int]) -> None:
    small = np.asarray(Image.fromarray(np.uint8(mask) * 255).resize(size, Image.Resampling.BILINEAR)) > 127
    edge = ndimage.binary_dilation(small, iterations=1) & ~ndimage.binary_erosion(small, iterations=1)
    picture[edge] = _MASK


def _label(
    pen: ImageDraw.ImageDraw,
    box: tuple[float, ...],
    text: str,
    size: tuple[int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    grown = (box[0] - 4, box[1] - 4, box[2] + 4, box[3] + 4)
    pen.rectangle(grown, outline=_BOX, width=2)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    width, height = right - left, bottom - top
    x = min(max(2, grown[0]), size[0] - width - 8)
    y = grown[1] - height - 10 if grown[1] > height + 12 else grown[3] + 4
    pen.rectangle((x - 2, y - 1, x + width + 6, y + height + 7), fill=(0, 0, 0))
    pen.text((x + 2, y), text, fill=_BOX, font=font)


def sheet(tiles: Sequence[Image.Image], columns: int = 4, title: str = "", gap: int = 8) -> Image.Image:
    """Arrange pictures in rows on one sheet.

    Parameters
    ----------
    tiles
        Pictures of any size; they are not resized, and cells are as large as the largest picture.
    title
        Written at the top, after the research notice.
    """
    width = max((tile.width for tile in tiles), default=320) + gap
    height = max((tile.height for tile in tiles), default=0) + gap
    rows = -(-len(tiles) // columns)
    page = Image.new("RGB", (min(columns, max(1, len(tiles))) * width + gap, rows * height + gap + 34), (24, 24, 24))
    font = ImageFont.load_default(16)
    ImageDraw.Draw(page).text((gap, gap), f"{NOTICE}   {title}".strip(), fill=(235, 235, 235), font=font)
    for i, tile in enumerate(tiles):
        page.paste(tile, (gap + i % columns * width, 34 + gap + i // columns * height))
    return page
