"""Where things are on the page of a study: outlines on their lesions, and nothing over anything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import ImageDraw, ImageFont
from pydicom.dataset import Dataset
from scipy import ndimage
from support import mg
from support.pictures import write_page
from support.studies import Study

from ftmtl.findings import ImageResult, Outcome
from node.results.common.colours import COLOURS
from node.results.common.source import read_source
from node.results.sc import page
from node.results.sc.build import MORE, build_capture
from node.results.sc.contents import Page, Row
from node.results.sc.hanging import Hung, arrange, hanging_turns

ORIENTATIONS = [
    ("R", "PL", (False, False)),
    ("R", "AL", (True, False)),
    ("R", "PR", (False, True)),
    ("R", "AR", (True, True)),
    ("L", "AR", (False, False)),
    ("L", "PR", (True, False)),
    ("L", "AL", (False, True)),
    ("R", ["P", "FL"], (False, False)),
    ("L", "AF", (False, False)),
    ("L", "PH", (True, True)),
    ("L", "FA", None),
    ("L", None, None),
    (None, "AR", None),
]


@pytest.mark.parametrize(("laterality", "orientation", "turns"), ORIENTATIONS)
def test_turned_as_it_hangs(laterality: str | None, orientation: object, turns: tuple[bool, bool] | None) -> None:
    header = Dataset()
    header.PatientOrientation = list(orientation) if orientation else None  # type: ignore[call-overload]
    assert hanging_turns(header, laterality) == turns


@pytest.mark.parametrize(
    ("orientation", "across", "down", "factor"),
    [("AR", 1, 1, 1), ("PR", -1, 1, 1), ("AL", 1, -1, 3), ("PL", -1, -1, 2)],
)
def test_the_outline_surrounds_the_lesion_however_it_is_turned(
    orientation: str, across: int, down: int, factor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Picture and line are turned alike: what the line encloses is what is bright, but for the line's width."""
    monkeypatch.setattr(page, "_draw_labels", lambda picture, marks: None)
    source = mg.mg_header(size=(1000, 750))
    source.PatientOrientation = list(orientation)
    header = read_source(source)
    finding = mg.finding(120, 600, (241, 181))
    full = finding.mask.paste(1000, 750)
    rows, columns = 1000 // factor, 750 // factor
    blocks = full[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    pixels = {"2.25.20": blocks.mean(axis=(1, 3), dtype=np.float32)}
    ds = build_capture([header], mg.study_result([mg.image_result(header, [finding])]), pixels)
    view = ds.pixel_array[ds.Rows - 1064 : ds.Rows - 64, 24:774].astype(int)
    amber = np.abs(view - COLOURS[0]).max(axis=2) < 40
    enclosed = ndimage.binary_fill_holes(amber)
    expected = full[::down, ::across]
    assert enclosed[ndimage.binary_erosion(expected, iterations=4)].all()
    assert not enclosed[~ndimage.binary_dilation(expected, iterations=4)].any()
    bright = (view > 250).all(axis=2)
    assert bright[ndimage.binary_erosion(expected, iterations=6)].all()


CROWDS = {
    "four": [("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO")],
    "one": [("L", "MLO")],
    "two of a side": [("R", "CC"), ("R", "CC"), ("L", "CC")],
    "unknown": [(None, None), (None, "CC"), ("R", None)],
    "twelve": [("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO")] * 2
    + [("R", "XCCL"), ("L", "TAN"), (None, None), (None, "CC")],
    "twelve of one": [("R", "CC")] * 12,
    "thirty": [("R", "CC"), (None, None), ("L", "AT")] * 10,
}


@pytest.mark.parametrize("crowd", CROWDS.values(), ids=CROWDS)
def test_views_never_overlap_nor_leave_their_space(crowd: list[tuple[str | None, str | None]]) -> None:
    width, height = 1400, 1600
    grid = arrange([Hung(side, view, 0.75) for side, view in crowd], width, height)
    assert grid.width <= width
    assert grid.height <= height
    taken = np.zeros((height, width), dtype=int)
    for left, top, across, down in grid.cells:
        assert left >= 0
        assert top >= 14
        taken[top - 20 : top + down, left : left + across] += 1
    assert taken.max() == 1
    if len(crowd) <= 12:
        assert min(down for _, _, _, down in grid.cells) >= 300


def test_they_hang_as_mammograms_do() -> None:
    """Right breasts at the left, left ones at the right, back to back; CC above MLO."""
    grid = arrange([Hung(side, view, 0.75) for side, view in CROWDS["four"]], 1400, 1600)
    (rcc, lcc, rmlo, lmlo) = grid.cells
    assert rcc[0] + rcc[2] < lcc[0] <= rcc[0] + rcc[2] + 10
    assert rmlo[0] == rcc[0]
    assert lmlo[0] == lcc[0]
    assert rcc[1] == lcc[1] < rmlo[1] == lmlo[1]


@pytest.mark.parametrize("count", [1, 30, 120])
def test_the_panel_never_overflows(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long reasons and many findings: every word stays on the page, beside the views, and off the others."""
    boxes: list[tuple[float, float, float, float]] = []
    texts: list[str] = []
    original = ImageDraw.ImageDraw.text

    def record(
        pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, font: ImageFont.FreeTypeFont, **more: object
    ) -> None:
        texts.append(text)
        boxes.append(pen.textbbox(at, text, font=font, anchor=more.get("anchor")))  # type: ignore[arg-type]
        original(pen, at, text, font=font, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", record)
    rows = tuple(Row(f"R XCCL ({n})", n % 9 + 1, "architectural distortion", 1, 1, 100) for n in range(count))
    refused = tuple((f"R XCCL ({n}), L MLO", "word " * 20 + "x" * 300) for n in range(min(count, 11)))
    drawn = page.draw_page(
        Page((), rows, (("Right breast", "100"),), refused, (), (), (("Model", "m" * 200),), ("note",))
    )
    assert (drawn.width, drawn.height) <= (page.MAX_WIDTH, page.MAX_HEIGHT)
    told = texts.count("distortion")
    assert told == count or f"and {count - told} more: see the structured report" in texts
    panel = [box for box in boxes if box[3] < drawn.height - 40 and box[1] > 60]
    for left, _, right, bottom in panel:
        assert left >= 0
        assert right <= drawn.width
        assert bottom <= drawn.height - 40
    for n, a in enumerate(boxes):
        for b in boxes[n + 1 :]:
            assert min(a[2], b[2]) - max(a[0], b[0]) <= 1 or min(a[3], b[3]) - max(a[1], b[1]) <= 1


def test_very_much_to_tell_is_cut_and_said_to_be(tmp_path: Path) -> None:
    """Hundreds of findings and of refused images still make a page that passes its check."""
    header = read_source(mg.mg_header())
    image = mg.image_result(header, [mg.finding(n % 20 * 10, n // 20 * 20) for n in range(240)])
    refused = [ImageResult(f"2.25.5{n}", None, None, Outcome.FAILED, f"reason {n % 30}") for n in range(200)]
    ds = write_page(Study([], [header], 0.1), mg.study_result([image, *refused]), tmp_path / "page")
    assert len(ds.ImageComments) <= 10240
    assert ds.ImageComments.endswith(MORE)
