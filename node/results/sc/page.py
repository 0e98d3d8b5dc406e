"""One page that shows a study's findings: drawn for a Secondary Capture, but it knows nothing of DICOM.

The views hang as mammograms do: right breasts at the left, left breasts at the right, chest walls back to
back in the middle, CC above MLO. At the side stands in words what was found, and what was not looked at.
The patient is not named on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ftmtl.findings import Box
from node.results.common.colours import COLOURS
from node.results.common.labels import place_labels
from node.results.common.stamp import NOTICE
from node.results.sc.hanging import Hung, arrange, title_size

MAX_WIDTH, MAX_HEIGHT = 2200, 1800

Colour = tuple[int, int, int]

_GROUND, _FRAME, _TEXT, _DIM, _WARNING = (14, 15, 18), (52, 54, 60), (238, 238, 238), (160, 163, 170), (255, 176, 64)
_BANNER, _BANNER_TEXT = (74, 50, 8), (255, 200, 84)
_BANNER_HEIGHT, _FOOTER_HEIGHT, _MARGIN, _PANEL_WIDTH = 60, 40, 24, 700
_MIN_BODY_HEIGHT, _SHARPER = 700, 3
_PANEL_SIZES = (24, 22, 20, 18, 16)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, eq=False)
class Mark:
    """A finding on a view.

    Attributes
    ----------
    points
        Closed outline, shape (points, 2) = column, row, from 0\\0 at the view's top-left corner to 1\\1 at its
        bottom-right one.
    score
        Probability of cancer, 0 to 1.
    """

    points: NDArray[np.float64]
    score: float


@dataclass(frozen=True, eq=False)
class View:
    """An image, turned as it hangs.

    Attributes
    ----------
    name
        What the table calls it, such as ``R CC``.
    laterality, view
        Where it hangs: ``R``, ``L`` or None, and an ACR code or None.
    pixels
        float32, 0 black to 1 white; None if it was not analysed, and only its place is shown.
    aspect
        Width by height, as it is to be shown.
    as_stored
        True if the header does not tell how it hangs.
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
    """A line of the table of findings; ``n`` is the number on the view. Sizes are in mm, None if unknown."""

    view: str
    n: int
    type: str
    lesion_probability: float
    cancer_probability: float
    size_mm: float | None


@dataclass(frozen=True)
class Page:
    """Everything that the page says.

    Attributes
    ----------
    views
        In the order of the table.
    rows
        The findings.
    scores
        What is scored, and the score in words.
    refused
        Images that were not analysed, and why.
    facts
        Names and values: model, version and so on.
    notes
        Small print.
    """

    views: tuple[View, ...]
    rows: tuple[Row, ...]
    scores: tuple[tuple[str, str], ...]
    refused: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def draw_page(page: Page) -> Image.Image:
    """Draw the page: RGB, as large as its content needs, at most 2200 x 1800.

    Text that does not fit is made smaller, then shortened; what had to be left out is said.
    """
    room = MAX_HEIGHT - _BANNER_HEIGHT - _FOOTER_HEIGHT - 2 * _MARGIN
    hung = [Hung(view.laterality, view.view, view.aspect) for view in page.views]
    grid = arrange(hung, MAX_WIDTH - _PANEL_WIDTH - 3 * _MARGIN, room)
    lines = _fitting(page, room)
    body = min(room, max(grid.height, _height(lines), _MIN_BODY_HEIGHT))
    width = grid.width + _PANEL_WIDTH + 3 * _MARGIN
    image = Image.new("RGB", (width, body + MAX_HEIGHT - room), _GROUND)
    image.paste(draw_banner(width), (0, 0))
    pen = ImageDraw.Draw(image)
    top = _BANNER_HEIGHT + _MARGIN
    for view, (left, below, across, down) in zip(page.views, grid.cells, strict=True):
        _draw_view(image, view, _MARGIN + left, top + below, across, down)
    if not page.views:
        _centred(pen, "No image was analysed.", (_MARGIN, top, _MARGIN + grid.width, top + body), 34, _WARNING)
    _draw_lines(pen, lines, _MARGIN * 2 + grid.width, top)
    footer = f"{NOTICE}   Made by software; not reviewed by a physician."
    pen.rectangle((0, image.height - _FOOTER_HEIGHT, width, image.height), fill=_FRAME)
    _centred(pen, footer, (0, image.height - _FOOTER_HEIGHT, width, image.height), 20, _TEXT)
    return image


def draw_banner(width: int) -> Image.Image:
    """Draw what stands at the top of every page: what it may be used for."""
    banner = Image.new("RGB", (width, _BANNER_HEIGHT), _BANNER)
    _centred(ImageDraw.Draw(banner), NOTICE, (0, 0, width, _BANNER_HEIGHT), 34, _BANNER_TEXT)
    return banner


# --- a view ------------------------------------------------------------------------------------------------


def _draw_view(page: Image.Image, view: View, left: int, top: int, width: int, height: int) -> None:
    """Draw the picture with its outlines, and the title above it; or its empty place, and why it is empty."""
    pen = ImageDraw.Draw(page)
    size = title_size(height)
    if view.pixels is None:
        told, colour = "not analysed", _WARNING
        text = _wrap(view.reason, size, width - 2 * size)[: max(0, int(height / size / 1.35) - 2)]
        for n, line in enumerate(text):
            pen.text((left + size, top + size * (1 + n * 1.35)), _plain(line), fill=_WARNING, font=_font(size))
    else:
        page.paste(_picture(view.pixels, view.marks, width, height), (left, top))
        told, colour = "no findings", _DIM
        if view.marks:
            told, colour = f"cancer {max(mark.score for mark in view.marks):.0%}", COLOURS[0]
    pen.rectangle((left - 1, top - 1, left + width, top + height), outline=_FRAME)
    name = _cut(f"{view.name} (as stored)" if view.as_stored else view.name, size, width)
    y, x = top - round(size * 1.3), left + _length(name, size) + size
    pen.text((left, y), _plain(name), fill=_TEXT, font=_font(size))
    if x + _length(told, size) < left + width:
        pen.text((x, y), told, fill=colour, font=_font(size))


def _picture(pixels: NDArray[np.float32], marks: Sequence[Mark], width: int, height: int) -> Image.Image:
    grey = Image.fromarray(np.uint8(np.clip(np.rint(pixels * 255), 0, 255)))
    picture = grey.resize((width, height), Image.Resampling.BICUBIC).convert("RGB")
    for n, mark in enumerate(marks):
        _draw_outline(picture, mark.points * (width, height), COLOURS[n % len(COLOURS)])
    _draw_labels(picture, marks)
    return picture


def _draw_outline(picture: Image.Image, points: NDArray[np.float64], colour: Colour) -> None:
    """Draw a smooth line with a dark rim, so that it is seen on dark and on bright tissue."""
    x0, y0 = (max(0, int(edge) - 8) for edge in points.min(axis=0))
    x1, y1 = (min(limit, int(edge) + 9) for edge, limit in zip(points.max(axis=0), picture.size, strict=True))
    size = (x1 - x0, y1 - y0)
    path = [(float(x), float(y)) for x, y in (points - (x0, y0)) * _SHARPER]
    for width, fill in ((5, (0, 0, 0)), (2, colour)):
        stencil = Image.new("L", (size[0] * _SHARPER, size[1] * _SHARPER))
        ImageDraw.Draw(stencil).line(path, fill=255, width=width * _SHARPER, joint="curve")
        picture.paste(fill, (x0, y0, x1, y1), stencil.resize(size, Image.Resampling.BOX))


def _draw_labels(picture: Image.Image, marks: Sequence[Mark]) -> None:
    """Write number and score beside each outline."""
    size = max(13, min(22, picture.height // 34))
    texts = [f"{n}  {mark.score:.0%}" for n, mark in enumerate(marks, start=1)]
    sizes = [(_length(text, size) + size * 0.7, size * 1.35) for text in texts]
    lesions = [_bounds(mark.points * picture.size) for mark in marks]
    pen = ImageDraw.Draw(picture)
    boxes = place_labels(sizes, lesions, picture.width - 1, picture.height - 1)
    for n, (text, box) in enumerate(zip(texts, boxes, strict=True)):
        pen.rounded_rectangle(box, radius=4, fill=COLOURS[n % len(COLOURS)])
        pen.text((box[0] + size * 0.35, box[1] + size * 0.1), text, fill=(0, 0, 0), font=_font(size))


def _bounds(points: NDArray[np.float64]) -> Box:
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


# --- the panel ---------------------------------------------------------------------------------------------


class _Piece(NamedTuple):
    """A piece of text: where it begins, or ends if it is right-aligned, in pixels from the panel's left edge."""

    x: float
    text: str
    size: int
    colour: Colour = _TEXT
    right: bool = False


@dataclass(frozen=True)
class _Line:
    """A line of the panel: its height, and what is on it."""

    height: int
    pieces: tuple[_Piece, ...] = ()
    rule: bool = False
    swatch: Colour | None = None


def _fitting(page: Page, room: int) -> list[_Line]:
    """Return the panel's lines at the largest size at which all fit.

    At the smallest, reasons are cut to a line each, and if that is not enough the last findings are only counted.
    """
    for size in _PANEL_SIZES:
        lines = list(_panel(page, size, len(page.rows)))
        if _height(lines) <= room:
            return lines
    lines = list(_panel(page, size, len(page.rows), brief=True))
    if _height(lines) > room:
        shown = len(page.rows) - 1 - -(-(_height(lines) - room) // _row_height(size))
        lines = list(_panel(page, size, max(0, shown), brief=True))
    return lines


def _height(lines: Sequence[_Line]) -> int:
    return sum(line.height for line in lines)


def _panel(page: Page, size: int, shown: int, brief: bool = False) -> Iterator[_Line]:
    """Yield the panel's lines, from the title to the small print."""
    title = round(size * 1.4)
    yield _Line(round(title * 1.4), (_Piece(0, "AI mammography summary", title),))
    column = max((_length(name, size) for name, _ in page.facts), default=0.0) + size
    for name, value in page.facts:
        fact = _Piece(column, _cut(value, size, _PANEL_WIDTH - column), size)
        yield _Line(round(size * 1.35), (_Piece(0, name, size, _DIM), fact))
    yield from _heading("Probability of cancer", size)
    for name, score in page.scores:
        large = round(size * 1.15)
        yield _Line(round(size * 1.6), (_Piece(0, name, large), _Piece(_PANEL_WIDTH, score, large, right=True)))
    if page.refused:
        yield from _heading("Not analysed", size, _WARNING)
        for name, reason in page.refused:
            text = f"{name}: {reason}"
            yield from _paragraph(_cut(text, size, _PANEL_WIDTH - size) if brief else text, size, _WARNING, size)
    yield from _heading("Findings", size)
    yield from _table(page, size, shown)
    yield _Line(size)
    for note in page.notes:
        yield from _paragraph(note, max(14, round(size * 0.72)), _DIM)


def _heading(text: str, size: int, colour: Colour = _TEXT) -> Iterator[_Line]:
    yield _Line(size)
    yield _Line(round(size * 1.5), (_Piece(0, text, round(size * 1.1), colour),))
    yield _Line(round(size * 0.4), rule=True)


def _paragraph(text: str, size: int, colour: Colour, indent: int = 0) -> Iterator[_Line]:
    """Break text into lines; those after the first are indented."""
    for n, line in enumerate(_wrap(text, size, _PANEL_WIDTH - indent)):
        yield _Line(round(size * 1.35), (_Piece(indent if n else 0, line, size, colour),))


def _table(page: Page, size: int, shown: int) -> Iterator[_Line]:
    """Yield the table of findings: number, view, type, lesion and cancer probability, size."""
    if not page.rows:
        count = sum(view.pixels is not None for view in page.views)
        text = (
            f"No findings on {count} analysed image{'s' * (count != 1)}." if count else "None: no image was analysed."
        )
        yield _Line(round(size * 1.6), (_Piece(0, text, round(size * 1.1)),))
        return
    yield _table_line(("No.", "View", "Type", "Lesion", "Cancer", "Size mm"), size, round(size * 0.85), _DIM)
    for row in page.rows[:shown]:
        cells = (
            f" {row.n}",
            row.view,
            row.type.removeprefix("architectural "),
            f"{row.lesion_probability:.0%}",
            f"{row.cancer_probability:.0%}",
            "-" if row.size_mm is None else f"{row.size_mm:.0f}",
        )
        yield _table_line(cells, size, size, swatch=COLOURS[(row.n - 1) % len(COLOURS)])
    if shown < len(page.rows):
        more = f"and {len(page.rows) - shown} more: see the structured report"
        yield _Line(_row_height(size), (_Piece(0, more, size, _WARNING),))


def _row_height(size: int) -> int:
    return round(size * 1.5)


def _table_line(
    cells: Sequence[str], size: int, text_size: int, colour: Colour = _TEXT, swatch: Colour | None = None
) -> _Line:
    """Set cells into the table's columns: three from the left, three that end at a line."""
    edges = (0.0, *(_PANEL_WIDTH * part for part in (0.09, 0.32, 0.66, 0.83, 1.0)))
    pieces = []
    for n, (x, cell) in enumerate(zip(edges, cells, strict=True)):
        room = (edges[3] - _PANEL_WIDTH * 0.1 if n == 2 else edges[min(n + 1, 5)]) - x - 8
        text = _cut(cell, text_size, room) if n in (1, 2) else cell
        pieces.append(_Piece(x, text, text_size, (0, 0, 0) if swatch and n == 0 else colour, right=n > 2))
    return _Line(_row_height(size), tuple(pieces), swatch=swatch)


def _draw_lines(pen: ImageDraw.ImageDraw, lines: Sequence[_Line], left: int, top: int) -> None:
    for line in lines:
        if line.rule:
            pen.line((left, top, left + _PANEL_WIDTH, top), fill=_FRAME, width=2)
        if line.swatch:
            pen.rounded_rectangle((left, top, left + line.height, top + line.height * 0.86), radius=4, fill=line.swatch)
        for x, text, size, colour, right in line.pieces:
            x = left + x - (_length(text, size) if right else 0)
            pen.text((x, top), _plain(text), fill=colour, font=_font(size))
        top += line.height


# --- text --------------------------------------------------------------------------------------------------


@cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _plain(text: str) -> str:
    """Return what the built-in font can show: ASCII."""
    return text.encode("ascii", "replace").decode()


def _length(text: str, size: int) -> float:
    return float(_font(size).getlength(_plain(text)))


def _cut(text: str, size: int, width: float) -> str:
    """Return as much of a text as fits, with dots for the rest."""
    if _length(text, size) <= width:
        return text
    return text[: _fits(text, size, width - _length("...", size))] + "..."


def _fits(text: str, size: int, width: float) -> int:
    """Return how many letters of a text that is too long fit, but one at least."""
    letters = int(len(text) * width / _length(text, size))
    while letters > 1 and _length(text[:letters], size) > width:
        letters -= 1
    return max(1, letters)


def _wrap(text: str, size: int, width: float) -> list[str]:
    """Break a text into lines at its blanks, and words that are longer than a line anywhere."""
    lines = [""]
    for word in text.split():
        while len(word) > 1 and _length(word, size) > width:
            letters = _fits(word, size, width)
            lines.append(word[:letters])
            word = word[letters:]
        joined = f"{lines[-1]} {word}".strip()
        if _length(joined, size) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return [line for line in lines if line]


def _centred(pen: ImageDraw.ImageDraw, text: str, box: tuple[int, int, int, int], size: int, colour: Colour) -> None:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    while size > 8 and _length(text, size) > box[2] - box[0] - 8:
        size -= 1
    pen.text((x, y), text, fill=colour, font=_font(size), anchor="mm")
