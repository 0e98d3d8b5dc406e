"""Writes docs/reading-results.md, a walk through the results of four studies, and its pictures, from real objects.

    python docs/reading_results.py

It needs the extra `worker` (torch), and dcmtk's dcmp2pgm for the picture of a presentation state. A test keeps files
and code the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from reading.page import page, shown_state
from reading.pictures import page_picture, state_picture
from reading.studies import Results, make_studies

from node.kinds import ObjectKind

FILE = Path(__file__).with_name("reading-results.md")


def pages(studies: Mapping[str, Results]) -> dict[str, Image.Image]:
    """Return the summary page of each study, by the name of its file."""
    return {picture_file(name): page_picture(results.only(ObjectKind.SC)) for name, results in studies.items()}


def shown(results: Results) -> dict[str, Image.Image]:
    """Return an image through its presentation state, by the name of its file.

    Raises
    ------
    NoViewer
        If dcmp2pgm is not installed.
    """
    uid, place = shown_state(results)
    return {picture_file("state"): state_picture(results.images[uid], results.objects[ObjectKind.PR][place])}


def picture_file(name: str) -> str:
    """Return the name of a picture's file, beside the page."""
    return f"reading-{name}.jpg"


def main() -> None:
    """Write the page and its pictures."""
    with tempfile.TemporaryDirectory() as folder:
        studies = make_studies(Path(folder))
        FILE.write_text(page(studies))
        for name, picture in (pages(studies) | shown(studies["findings"])).items():
            picture.save(FILE.with_name(name), quality=85, optimize=True)
    print(FILE)


if __name__ == "__main__":
    main()
