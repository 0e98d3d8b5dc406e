"""Draws one page with a study's findings, for a Secondary Capture. Nothing here depends on DICOM.

The views are hung as usual for mammograms: right breasts on the left, left breasts on the right, chest walls back
to back in the middle, CC above MLO. A panel at the side says what was found, and what was not analysed.
The patient is not named on the page.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ftmtl.findings import Box
from node.results.common.colours import Colour, colour_of
from node.results.common.labels import place_labels
from node.results.common.stamp import NOTICE
from node.results.sc import lettering
from node.results.sc.contents import Mark, Page, View
from node.results.sc.hanging import Hung, arrange, title_size
from node.results.sc.palette import BANNER, BANNER_TEXT, DIM, FRAME, GROUND, TEXT, WARNING
from node.results.sc.panel import PANEL_WIDTH, draw_lines, fitting_lines, height_of

MAX_WIDTH, MAX_HEIGHT = 2200, 1800
_BANNER_HEIGHT, _FOOTER_HEIGHT, _MARGIN = 60, 40, 24
_MIN_BODY_HEIGHT, _SHARPER = 700, 3


def draw_page(page: Page) -> Image.Image:
    """Draw the page: RGB, as large as its content needs, at most 2200 x 1800 pixels.

    Text that does not fit is made smaller, then shortened; the page says if something had to be left out.
    """
    room = MAX_HEIGHT - _BANNER_HEIGHT - _FOOTER_HEIGHT - 2 * _MARGIN
    hung = [Hung(view.laterality, view.view, view.aspect) for view in page.views]
    grid = arrange(hung, MAX_WIDTH - PANEL_WIDTH - 3 * _MARGIN, room)
    lines = fitting_lines(page, room)
    body = min(room, max(grid.height, height_of(lines), _MIN_BODY_HEIGHT))
    width = grid.width + PANEL_WIDTH + 3 * _MARGIN
    image = Image.new("RGB", (width, body + MAX_HEIGHT - room), GROUND)
    image.paste(draw_banner(width), (0, 0))
    pen = ImageDraw.Draw(image)
    top = _BANNER_HEIGHT + _MARGIN
    for view, (left, below, across, down) in zip(page.views, grid.cells, strict=True):
        _draw_view(image, view, (_MARGIN + left, top + below), (across, down))
    if not page.views:
        lettering.centred(pen, "No image was analysed.", (_MARGIN, top, _MARGIN + grid.width, top + body), 34, WARNING)
    draw_lines(pen, lines, _MARGIN * 2 + grid.width, top)
    footer = f"{NOTICE}   Made by software; not reviewed by a physician."
    pen.rectangle((0, image.height - _FOOTER_HEIGHT, width, image.height), fill=FRAME)
    lettering.centred(pen, footer, (0, image.height - _FOOTER_HEIGHT, width, image.height), 20, TEXT)
    return image


def draw_banner(width: int) -> Image.Image:
    """Draw the banner at the top of every page: what the page may be used for."""
    banner = Image.new("RGB", (width, _BANNER_HEIGHT), BANNER)
    lettering.centred(ImageDraw.Draw(banner), NOTICE, (0, 0, width, _BANNER_HEIGHT), 34, BANNER_TEXT)
    return banner


# --- a view ------------------------------------------------------------------------------------------------


def _draw_view(page: Image.Image, view: View, corner: tuple[int, int], extent: tuple[int, int]) -> None:
    """Draw a picture with its outlines, and its title above it; or its empty place, and why it is empty."""
    (left, top), (width, height) = corner, extent
    pen = ImageDraw.Draw(page)
    size = title_size(height)
    if view.pixels is None:
        told, colour = "not analysed", WARNING
        lines = lettering.wrap(view.reason, size, width - 2 * size)
        for n, line in enumerate(lines[: max(0, int(height / size / 1.35) - 2)]):
            pen.text(
                (left + size, top + size * (1 + n * 1.35)),
                lettering.plain(line),
                fill=WARNING,
                font=lettering.font(size),
            )
    else:
        page.paste(_picture(view.pixels, view.marks, width, height), (left, top))
        told, colour = "no findings", DIM
        if view.marks:
            highest = max(view.marks, key=lambda mark: mark.score)
            told, colour = f"cancer score {100 * highest.score:.0f}", colour_of(highest.number)
    pen.rectangle((left - 1, top - 1, left + width, top + height), outline=FRAME)
    name = lettering.cut(f"{view.name} (as stored)" if view.as_stored else view.name, size, width)
    y, x = top - round(size * 1.3), left + lettering.length(name, size) + size
    pen.text((left, y), lettering.plain(name), fill=TEXT, font=lettering.font(size))
    if x + lettering.length(told, size) < left + width:
        pen.text((x, y), told, fill=colour, font=lettering.font(size))


def _picture(pixels: NDArray[np.float32], marks: Sequence[Mark], width: int, height: int) -> Image.Image:
    grey = Image.fromarray(np.uint8(np.clip(np.rint(pixels * 255), 0, 255)))
    picture = grey.resize((width, height), Image.Resampling.BICUBIC).convert("RGB")
    for mark in marks:
        _draw_outline(picture, mark.points * (width, height), colour_of(mark.number))
    _draw_labels(picture, marks)
    return picture


def _draw_outline(picture: Image.Image, points: NDArray[np.float64], colour: Colour) -> None:
    """Draw a smooth line with a dark rim, so that it is visible on dark and on bright tissue."""
    x0, y0 = (max(0, int(edge) - 8) for edge in points.min(axis=0))
    x1, y1 = (min(limit, int(edge) + 9) for edge, limit in zip(points.max(axis=0), picture.size, strict=True))
    size = (x1 - x0, y1 - y0)
    path = [(float(x), float(y)) for x, y in (points - (x0, y0)) * _SHARPER]
    for width, fill in ((5, (0, 0, 0)), (2, colour)):
        stencil = Image.new("L", (size[0] * _SHARPER, size[1] * _SHARPER))
        ImageDraw.Draw(stencil).line(path, fill=255, width=width * _SHARPER, joint="curve")
        picture.paste(fill, (x0, y0, x1, y1), stencil.resize(size, Image.Resampling.BOX))


def _draw_labels(picture: Image.Image, marks: Sequence[Mark]) -> None:
    """Write the number and the score next to each outline."""
    size = max(13, min(22, picture.height // 34))
    texts = [f"{mark.number}: {100 * mark.score:.0f}" for mark in marks]
    sizes = [(lettering.length(text, size) + size * 0.7, size * 1.35) for text in texts]
    lesions = [_bounds(mark.points * picture.size) for mark in marks]
    pen = ImageDraw.Draw(picture)
    boxes = place_labels(sizes, lesions, picture.width - 1, picture.height - 1)
    for mark, text, box in zip(marks, texts, boxes, strict=True):
        pen.rounded_rectangle(box, radius=4, fill=colour_of(mark.number))
        pen.text((box[0] + size * 0.35, box[1] + size * 0.1), text, fill=(0, 0, 0), font=lettering.font(size))


def _bounds(points: NDArray[np.float64]) -> Box:
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)
