"""The panel at the side of the page: what was found, and what was not analysed, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from PIL import ImageDraw

from node.results.common.colours import Colour, colour_of
from node.results.sc import lettering
from node.results.sc.contents import Page
from node.results.sc.palette import DIM, FRAME, TEXT, WARNING

PANEL_WIDTH = 700
_SIZES = (24, 22, 20, 18, 16)


class Piece(NamedTuple):
    """A piece of text; ``x`` is where it begins, or ends if right-aligned, in pixels from the panel's left edge."""

    x: float
    text: str
    size: int
    colour: Colour = TEXT
    right: bool = False


@dataclass(frozen=True)
class Line:
    """A line of the panel: its height in pixels, and what is on it."""

    height: int
    pieces: tuple[Piece, ...] = ()
    rule: bool = False
    swatch: Colour | None = None


def fitting_lines(page: Page, room: int) -> list[Line]:
    """Return the panel's lines at the largest text size at which all of them fit.

    At the smallest size, reasons are cut to one line each. If that is not enough, the last findings are only counted.
    """
    for size in _SIZES:
        lines = list(_panel(page, size, len(page.rows)))
        if height_of(lines) <= room:
            return lines
    lines = list(_panel(page, size, len(page.rows), brief=True))
    if height_of(lines) > room:
        shown = len(page.rows) - 1 - -(-(height_of(lines) - room) // _row_height(size))
        lines = list(_panel(page, size, max(0, shown), brief=True))
    return lines


def height_of(lines: Sequence[Line]) -> int:
    """Return the height of some lines in pixels."""
    return sum(line.height for line in lines)


def _panel(page: Page, size: int, shown: int, brief: bool = False) -> Iterator[Line]:
    """Yield the panel's lines, from the title to the small print."""
    headline = round(size * 1.4)
    yield Line(round(headline * 1.4), (Piece(0, "AI mammography summary", headline),))
    column = max((lettering.length(name, size) for name, _ in page.facts), default=0.0) + size
    for name, value in page.facts:
        fact = Piece(column, lettering.cut(value, size, PANEL_WIDTH - column), size)
        yield Line(round(size * 1.35), (Piece(0, name, size, DIM), fact))
    yield from _heading("Cancer score, 0 to 100, not calibrated", size)
    for name, score in page.scores:
        large = round(size * 1.15)
        yield Line(round(size * 1.6), (Piece(0, name, large), Piece(PANEL_WIDTH, score, large, right=True)))
    for title, told in (
        ("Not analysed", page.refused),
        ("Left aside", page.left_aside),
        ("Remarks", page.remarks),
    ):
        if told:
            yield from _heading(title, size, WARNING)
        for name, said in told:
            text = f"{name}: {said}"
            yield from _paragraph(lettering.cut(text, size, PANEL_WIDTH - size) if brief else text, size, WARNING, size)
    yield from _heading("Findings", size)
    yield from _table(page, size, shown)
    yield Line(size)
    for note in page.notes:
        yield from _paragraph(note, max(14, round(size * 0.72)), DIM)


def _heading(text: str, size: int, colour: Colour = TEXT) -> Iterator[Line]:
    yield Line(size)
    yield Line(round(size * 1.5), (Piece(0, text, round(size * 1.1), colour),))
    yield Line(round(size * 0.4), rule=True)


def _paragraph(text: str, size: int, colour: Colour, indent: int = 0) -> Iterator[Line]:
    """Break a text into lines; all lines after the first are indented."""
    for n, line in enumerate(lettering.wrap(text, size, PANEL_WIDTH - indent)):
        yield Line(round(size * 1.35), (Piece(indent if n else 0, line, size, colour),))


def _table(page: Page, size: int, shown: int) -> Iterator[Line]:
    """Yield the table of findings: number, view, type, lesion and cancer score, size."""
    if not page.rows:
        count = sum(view.pixels is not None for view in page.views)
        text = (
            f"No findings on {count} analysed image{'s' * (count != 1)}." if count else "None: no image was analysed."
        )
        yield Line(round(size * 1.6), (Piece(0, text, round(size * 1.1)),))
        return
    yield _table_line(("No.", "View", "Type", "Lesion", "Cancer", "Size mm"), size, round(size * 0.85), DIM)
    for row in page.rows[:shown]:
        cells = (
            f" {row.n}",
            row.view,
            row.type.removeprefix("architectural "),
            f"{100 * row.lesion_score:.0f}",
            f"{100 * row.cancer_score:.0f}",
            "-" if row.size_mm is None else f"{row.size_mm:.0f}",
        )
        yield _table_line(cells, size, size, swatch=colour_of(row.n))
    if shown < len(page.rows):
        more = f"and {len(page.rows) - shown} more: see the structured report"
        yield Line(_row_height(size), (Piece(0, more, size, WARNING),))


def _row_height(size: int) -> int:
    return round(size * 1.5)


def _table_line(
    cells: Sequence[str], size: int, text_size: int, colour: Colour = TEXT, swatch: Colour | None = None
) -> Line:
    """Set cells in the table's columns: three aligned left, three aligned right."""
    edges = (0.0, *(PANEL_WIDTH * part for part in (0.09, 0.32, 0.66, 0.83, 1.0)))
    pieces = []
    for n, (x, cell) in enumerate(zip(edges, cells, strict=True)):
        room = (edges[3] - PANEL_WIDTH * 0.1 if n == 2 else edges[min(n + 1, 5)]) - x - 8
        text = lettering.cut(cell, text_size, room) if n in (1, 2) else cell
        pieces.append(Piece(x, text, text_size, (0, 0, 0) if swatch and n == 0 else colour, right=n > 2))
    return Line(_row_height(size), tuple(pieces), swatch=swatch)


def draw_lines(pen: ImageDraw.ImageDraw, lines: Sequence[Line], left: int, top: int) -> None:
    """Draw lines from a top-left corner downwards."""
    for line in lines:
        if line.rule:
            pen.line((left, top, left + PANEL_WIDTH, top), fill=FRAME, width=2)
        if line.swatch:
            pen.rounded_rectangle((left, top, left + line.height, top + line.height * 0.86), radius=4, fill=line.swatch)
        for x, text, size, colour, right in line.pieces:
            x = left + x - (lettering.length(text, size) if right else 0)
            pen.text((x, top), lettering.plain(text), fill=colour, font=lettering.font(size))
        top += line.height
