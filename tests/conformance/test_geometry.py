"""Where a lesion lies: on the same pixels in the stored image and in every object, however the image is stored.

A breast with an L-shaped lesion, the brightest thing on it, is stored in every way that Patient Orientation allows
(PS3.3 C.7.6.1.1.1), with either photometric interpretation, and read by a reader that marks what is bright.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from pydicom import dcmread
from support import mg
from support.breasts import COLUMNS, MAXIMUM, ROWS, Pixels, breast
from support.objects import enclosed, source_of
from support.reader import L_SHAPE, Mask, Reader, bounds

from ftmtl.mammogram.load import Mammogram
from node.kinds import ObjectKind as Kind
from node.results.readback import ReadFinding, read_cad_findings, read_findings
from workers.analyse import Order, analyse_study

VIEWS = tuple(product("LR", ("CC", "MLO", "ML")))
KINDS = (Kind.SEG, Kind.SR, Kind.CAD, Kind.PR)
BRIGHT = 3500
"""Above all tissue, below the lesion."""


class Way(NamedTuple):
    """A way to store an image: Patient Orientation, what to do with pixels that hang, and how they are shown."""

    row: str
    column: str
    transposed: bool
    upside_down: bool
    mirrored: bool
    photometric: str

    def store(self, hanging: Pixels) -> Pixels:
        """Turn pixels that hang with the chest wall on the left into stored ones."""
        turned = hanging[:: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1]
        turned = turned.T if self.transposed else turned
        return np.ascontiguousarray(MAXIMUM - turned if self.photometric == "MONOCHROME1" else turned)


def ways(laterality: str, view: str) -> Iterator[Way]:
    """Yield every legal way: each direction either way round, and the two exchanged."""
    medial = "R" if laterality == "L" else "L"
    downs = {"CC": (medial,), "ML": ("F",), "MLO": ("F", f"F{medial}", f"{medial}F")}[view]
    for down, *turn, photometric in product(downs, *[(False, True)] * 3, ("MONOCHROME1", "MONOCHROME2")):
        transposed, upside_down, mirrored = turn
        along = "P" if mirrored else "A"
        down = down.translate(str.maketrans("LRHF", "RLFH")) if upside_down else down
        row, column = (down, along) if transposed else (along, down)
        yield Way(row, column, *turn, photometric)


def write_image(folder: Path, laterality: str, view: str, number: int, way: Way) -> Path:
    pixels = way.store(breast())
    ds = mg.mg_header(laterality, view, pixels.shape, uid=f"2.25.{100 + number}", number=number)
    ds.PatientOrientation = [way.row, way.column]
    ds.PhotometricInterpretation = way.photometric
    ds.PresentationLUTShape = "INVERSE" if way.photometric == "MONOCHROME1" else "IDENTITY"
    ds.PixelData = pixels.tobytes()
    return mg.write(ds, folder)


def what_is_bright(mammogram: Mammogram) -> Mask:
    """Return what a perfect network would find."""
    return mammogram.pixels > BRIGHT / MAXIMUM


class Stored(NamedTuple):
    """An image in one of the ways, as it was read, and all that was written about it."""

    way: Way
    lesion: Mask
    mammogram: Mammogram
    mask: Mask
    findings: dict[Kind, ReadFinding]


Read = Callable[[str, str], list[Stored]]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Analyse a study of one view stored in all ways, once, and read what was written."""

    @cache
    def read(laterality: str, view: str) -> list[Stored]:
        folder, reader = tmp_path_factory.mktemp("study"), Reader(what_is_bright)
        chosen = list(ways(laterality, view))
        paths = [write_image(folder, laterality, view, n, way) for n, way in enumerate(chosen, start=1)]
        analysis = analyse_study(paths, reader, folder / "results", Order(KINDS))
        written = {kind: [made.path for made in analysis.objects if made.kind is kind] for kind in KINDS}
        segmentations = [dcmread(path) for path in written[Kind.SEG]]
        masks = {source_of(seg): seg.pixel_array.astype(bool) for seg in segmentations}
        told = {
            Kind.SR: by_image(read_findings(written[Kind.SR])),
            Kind.CAD: by_image(read_cad_findings(dcmread(written[Kind.CAD][0]))),
            Kind.PR: by_image(read_findings([*written[Kind.SR], *written[Kind.PR]])),
        }
        return [
            Stored(way, bright(path), mammogram, masks[path.stem], {kind: of[path.stem] for kind, of in told.items()})
            for way, path, mammogram in zip(chosen, paths, reader.seen, strict=True)
        ]

    return read


def by_image(findings: list[ReadFinding]) -> dict[str, ReadFinding]:
    """Return the only finding of each image."""
    found = {finding.source_uid: finding for finding in findings}
    assert len(found) == len(findings)
    return found


def bright(path: Path) -> Mask:
    """Return the lesion's pixels in a stored matrix; nothing else in the file is looked at."""
    ds = dcmread(path)
    shown = MAXIMUM - ds.pixel_array if ds.PhotometricInterpretation == "MONOCHROME1" else ds.pixel_array
    return np.asarray(shown > BRIGHT)


OF_EACH = pytest.mark.parametrize(("laterality", "view"), VIEWS, ids=[" ".join(words) for words in VIEWS])


@OF_EACH
def test_no_two_ways_put_the_lesion_in_the_same_place(laterality: str, view: str, read: Read) -> None:
    """There are eight different cases, or what follows would prove little."""
    images = read(laterality, view)
    assert len(images) == (48 if view == "MLO" else 16)
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        lesions = [image.lesion for image in images if image.way.photometric == photometric]
        assert {lesion.shape for lesion in lesions} == {(ROWS, COLUMNS), (COLUMNS, ROWS)}
        assert len({(lesion.shape, lesion.tobytes()) for lesion in lesions}) == 8
        assert {int(lesion.sum()) for lesion in lesions} == {int(L_SHAPE.sum())}


@OF_EACH
def test_it_hangs_upright_and_cropped(laterality: str, view: str, read: Read) -> None:
    """The network sees the chest wall on the left, the lateral side or the head at the top, and less than the whole."""
    for way, _, mammogram, *_ in read(laterality, view):
        seen = what_is_bright(mammogram)
        top, left, bottom, right = bounds(seen)
        assert np.array_equal(seen[top:bottom, left:right], L_SHAPE), way
        assert seen.shape[0] < ROWS, way
        assert seen.shape[1] < COLUMNS, way
        assert all("or of an image that is turned round" in note for note in mammogram.notes), way


@OF_EACH
def test_masks_are_what_is_bright_in_the_stored_image(laterality: str, view: str, read: Read) -> None:
    for way, lesion, _, mask, _ in read(laterality, view):
        assert mask.shape == lesion.shape, way
        assert 2 * (mask & lesion).sum() / (mask.sum() + lesion.sum()) == 1.0, way


@OF_EACH
def test_boxes_and_outlines_lie_exactly_around_it(laterality: str, view: str, read: Read) -> None:
    """Not half a pixel off: a line from the first corner of the first pixel to the last corner of the last."""
    for way, lesion, _, _, findings in read(laterality, view):
        top, left, bottom, right = bounds(lesion)
        for kind, finding in findings.items():
            assert finding.box == (left, top, right, bottom), (way, kind)
        for kind in (Kind.PR, Kind.CAD):
            line = findings[kind].outline
            assert line is not None
            assert len(line) == 7, "an L has six corners, and the line is closed"
            assert np.array_equal(line, np.rint(line)), (way, kind)
            assert np.array_equal(enclosed(line, *lesion.shape), lesion), (way, kind)
