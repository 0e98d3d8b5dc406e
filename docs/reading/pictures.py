"""The pictures: pages as they lie in Secondary Captures, and an image as a viewer shows it through its state."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from highdicom.color import CIELabColor
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

PAGE_WIDTH = 1500
VIEWER = "dcmp2pgm"
_Point = tuple[float, float]


class NoViewer(Exception):  # noqa: N818 - it says what is missing
    """dcmtk's dcmp2pgm is not installed."""


def page_picture(capture: Dataset) -> Image.Image:
    """Return the page of a Secondary Capture, RGB, at most 1500 pixels wide."""
    page = Image.fromarray(capture.pixel_array)
    page.thumbnail((PAGE_WIDTH, PAGE_WIDTH), Image.Resampling.LANCZOS)
    return page


def state_picture(image: Path, state: Dataset) -> Image.Image:
    """Return an image as dcmtk shows it through a presentation state, with the lines and texts of the state.

    dcmp2pgm applies the state's grey scale, shutter and displayed area, and draws no annotations. They are drawn here,
    at the coordinates of the file, in the colour of its layer.

    Raises
    ------
    NoViewer
        If dcmp2pgm is not installed.
    """
    picture = _shown(image, state).convert("RGB")
    pen = ImageDraw.Draw(picture)
    colours = {layer.GraphicLayer: _colour(layer) for layer in state.GraphicLayerSequence}
    for annotation in state.GraphicAnnotationSequence:
        colour = colours[annotation.GraphicLayer]
        for line in annotation.get("GraphicObjectSequence", []):
            pen.line([tuple(point) for point in np.reshape(line.GraphicData, (-1, 2))], fill=colour, width=2)
        for text in annotation.get("TextObjectSequence", []):
            _write(pen, text, colour, picture.size)
    return picture


def _shown(image: Path, state: Dataset) -> Image.Image:
    """Return what dcmp2pgm makes of an image and a state."""
    viewer = shutil.which(VIEWER)
    if viewer is None:
        raise NoViewer(f"{VIEWER} is not installed; it comes with dcmtk")
    with tempfile.TemporaryDirectory() as folder:
        given, shown = Path(folder) / "state.dcm", Path(folder) / "shown.pgm"
        state.save_as(given)
        subprocess.run([viewer, "-p", str(given), str(image), str(shown)], check=True, capture_output=True)
        with Image.open(shown) as picture:
            return picture.copy()


def _colour(layer: Dataset) -> tuple[int, int, int]:
    value = tuple(layer.GraphicLayerRecommendedDisplayCIELabValue)
    red, green, blue = CIELabColor.from_dicom_value(value).to_rgb(clip=True)
    return red, green, blue


def _write(pen: ImageDraw.ImageDraw, text: Dataset, colour: tuple[int, int, int], size: tuple[int, int]) -> None:
    """Write a text into its box, as large as it fits; boxes in units of the display are relative to all of it."""
    corners = (text.BoundingBoxTopLeftHandCorner, text.BoundingBoxBottomRightHandCorner)
    scale = size if text.BoundingBoxAnnotationUnits == "DISPLAY" else (1, 1)
    (left, top), (right, bottom) = ([float(at) * by for at, by in zip(c, scale, strict=True)] for c in corners)
    lines = text.UnformattedTextValue.splitlines()
    height = _letter_height(lines, right - left, (bottom - top) / len(lines))
    font = ImageFont.load_default(height)
    for n, line in enumerate(lines):
        width = font.getlength(line)
        x = right - width if text.BoundingBoxTextHorizontalJustification == "RIGHT" else left
        y = top + n * (bottom - top) / len(lines)
        pen.text((x, y), line, fill=colour, font=font, stroke_width=2, stroke_fill=(0, 0, 0))


def _letter_height(lines: list[str], width: float, height: float) -> int:
    """Return the size of the letters with which the longest line fills a box."""
    size = round(height)
    while size > 8 and max(ImageFont.load_default(size).getlength(line) for line in lines) > width:
        size -= 1
    return size
