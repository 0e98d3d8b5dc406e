"""Text on a picture: measured, shortened and wrapped, in the font that comes with Pillow."""

from __future__ import annotations

from functools import cache

from PIL import ImageDraw, ImageFont

from node.results.common.colours import Colour

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@cache
def font(size: int) -> Font:
    """Return the built-in font at a size in pixels."""
    return ImageFont.load_default(size)


def plain(text: str) -> str:
    """Return a text as ASCII, which the built-in font can show."""
    return text.encode("ascii", "replace").decode()


def length(text: str, size: int) -> float:
    """Return how wide a text is, in pixels."""
    return float(font(size).getlength(plain(text)))


def cut(text: str, size: int, width: float) -> str:
    """Return as much of a text as fits, with an ellipsis for the rest."""
    if length(text, size) <= width:
        return text
    return text[: _fits(text, size, width - length("...", size))] + "..."


def _fits(text: str, size: int, width: float) -> int:
    """Return how many letters of a text that is too long fit; at least one."""
    letters = int(len(text) * width / length(text, size))
    while letters > 1 and length(text[:letters], size) > width:
        letters -= 1
    return max(1, letters)


def wrap(text: str, size: int, width: float) -> list[str]:
    """Break a text into lines at its spaces; words that are longer than a line are broken anywhere."""
    lines = [""]
    for word in text.split():
        while len(word) > 1 and length(word, size) > width:
            letters = _fits(word, size, width)
            lines.append(word[:letters])
            word = word[letters:]
        joined = f"{lines[-1]} {word}".strip()
        if length(joined, size) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return [line for line in lines if line]


def centred(pen: ImageDraw.ImageDraw, text: str, box: tuple[int, int, int, int], size: int, colour: Colour) -> None:
    """Write a text in the middle of a box, in smaller letters if it does not fit."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    while size > 8 and length(text, size) > box[2] - box[0] - 8:
        size -= 1
    pen.text((x, y), text, fill=colour, font=font(size), anchor="mm")
