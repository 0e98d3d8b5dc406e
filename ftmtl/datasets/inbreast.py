"""INbreast (Moreira et al. 2012): 410 full-field digital mammograms of 115 patients, outlined by a radiologist.

The layout is that of the publishers: ``INbreast.csv``, ``AllDICOMs/<number>_<patient>_MG_<side>_<view>_ANON.dcm`` and
``AllXML/<number>.xml``, an OsiriX property list of outlines.
"""

from __future__ import annotations

import plistlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ftmtl.datasets.annotated import AnnotatedImage, Lesion
from ftmtl.datasets.files import Faults, existing, lesion_of_mask, read_dicom, read_table, stamp, tolerated
from ftmtl.errors import DatasetError
from ftmtl.findings import FindingType
from ftmtl.mammogram.load import Mammogram

SINGLE_MM = 2.0
"""Individually outlined calcifications are smaller than this, clusters are larger."""
_DETECTOR_MM = 0.07
_COLUMNS = ("Laterality", "View", "File Name", "Bi-Rads")
_FILE = re.compile(r"(\d+)_([0-9a-f]+)_MG_([LR])_(CC|MLO|ML)_ANON\.dcm", re.IGNORECASE)
_KINDS = (  # parts of ROI names, including misspellings
    ("spiculated", FindingType.MASS),
    ("mass", FindingType.MASS),
    ("calcification", FindingType.CALCIFICATION),
    ("cluster", FindingType.CALCIFICATION),
    ("distortion", FindingType.DISTORTION),
    ("asymmetr", FindingType.ASYMMETRY),
    ("assymetr", FindingType.ASYMMETRY),
)

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Outline:
    """One region of interest: its name, and its vertices (column, row) in stored pixels."""

    name: str
    points: Points

    @property
    def type(self) -> FindingType:
        """Kind of lesion by the region's name; ``LESION`` for names that do not tell."""
        return next((kind for word, kind in _KINDS if word in self.name.lower()), FindingType.LESION)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Smallest and largest column and row of the vertices: ``(x0, y0, x1, y1)``."""
        columns, rows = zip(*self.points, strict=True)
        return min(columns), min(rows), max(columns), max(rows)


@dataclass(frozen=True, kw_only=True)
class InbreastImage(AnnotatedImage):
    """One image of INbreast.

    Attributes
    ----------
    path, outlines
        The DICOM file, and its property list of outlines; None for an image without annotations.
    birads
        Assessment of the image, such as ``2`` or ``4a``.
    """

    path: Path
    outlines: Path | None
    birads: str

    def load(self) -> tuple[Mammogram, tuple[Lesion, ...]]:
        """Decode the image and fill its outlines; `chosen_outlines` selects those that are lesions."""
        mammogram = read_dicom(self.path, self.laterality, self.view)
        if self.outlines is None:
            return mammogram, ()
        spacing = mammogram.spacing_mm or (_DETECTOR_MM, _DETECTOR_MM)
        chosen = chosen_outlines(read_outlines(self.outlines), min(spacing))
        shape = (mammogram.rows, mammogram.columns)
        return mammogram, tuple(
            lesion_of_mask(self.outlines, _filled(outline.points, shape), outline.type, self.malignant)
            for outline in chosen
        )

    @property
    def fingerprint(self) -> str:
        """Content of the table, and the state of the two files."""
        return f"{self!r} {stamp([self.path, *([self.outlines] if self.outlines else [])])}"


def read_inbreast(folder: Path, *, faults: Faults = "refuse") -> list[InbreastImage]:
    """List INbreast.

    The data set has no pathology. As is customary (Ribli et al. 2018), an image and all its lesions count as malignant
    if the BI-RADS assessment is 4 to 6, and as not malignant if it is 1 to 3. Files named ``ML`` are oblique views.

    Parameters
    ----------
    folder
        Contains ``INbreast.csv``, ``AllDICOMs`` and ``AllXML``.
    faults
        Whether an image with missing files raises an error or is omitted with a warning. Images of BI-RADS 1 are
        normal and need no XML file.

    Raises
    ------
    DatasetError
        If the table is missing or damaged; and for missing files, depending on `faults`.
    """
    table = folder / "INbreast.csv"
    rows = read_table(table, _COLUMNS, delimiter=";")
    files = {match[1]: match for path in folder.glob("AllDICOMs/*.dcm") if (match := _FILE.fullmatch(path.name))}
    images = []
    for row in rows:
        with tolerated(faults):
            images.append(_image(folder, table, row, files))
    return images


def _image(folder: Path, table: Path, row: dict[str, str], files: dict[str, re.Match[str]]) -> InbreastImage:
    name, birads = row["File Name"].removesuffix(".dcm"), row["Bi-Rads"]
    if name not in files:
        raise DatasetError(f"{folder / 'AllDICOMs' / name}_*.dcm is missing")
    if birads[:1] not in tuple("123456"):
        raise DatasetError(f"{table}: image {name} has the BI-RADS assessment {birads!r}")
    _, patient, side, view = files[name].groups()
    if row["Laterality"] != side:
        raise DatasetError(f"{table}: image {name} is of side {row['Laterality']}, its file's name says {side}")
    outlines = folder / "AllXML" / f"{name}.xml"
    return InbreastImage(
        image_id=name,
        patient=patient,
        laterality=side,
        view="CC" if view == "CC" else "MLO",
        malignant=birads[0] in "456",
        path=folder / "AllDICOMs" / files[name][0],
        outlines=None if birads[0] == "1" and not outlines.is_file() else existing(outlines),
        birads=birads,
    )


def read_outlines(path: Path) -> list[Outline]:
    """Read all regions of interest in an XML file, whether they are lesions or not.

    Raises
    ------
    DatasetError
        If the file is not a property list of outlines.
    """
    try:
        with existing(path).open("rb") as file:
            content: dict[str, Any] = plistlib.load(file)
        regions = [region for image in content["Images"] for region in image["ROIs"]]
        return [
            Outline(str(region.get("Name", "")).strip(), tuple(_point(text) for text in region["Point_px"]))
            for region in regions
        ]
    except (OSError, ExpatError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path} is not a property list of outlines: {error}") from error


def _point(text: str) -> tuple[float, float]:
    column, row, *_ = (float(part) for part in text.strip("() ").split(","))
    return column, row


def chosen_outlines(outlines: Sequence[Outline], spacing_mm: float) -> list[Outline]:
    """Choose the outlines that are separate lesions.

    Points and lines (fewer than three vertices: single calcifications) are omitted, as are calcifications that are
    smaller than `SINGLE_MM` or lie in an outlined cluster, and spiculated regions around a mass with its own outline.
    """
    areas = [outline for outline in outlines if len(outline.points) >= 3]
    clusters = [outline for outline in areas if "cluster" in outline.name.lower()]
    masses = [outline for outline in areas if "mass" in outline.name.lower()]
    chosen = []
    for outline in areas:
        name = outline.name.lower()
        x0, y0, x1, y1 = outline.bounds
        if "calcification" in name and max(x1 - x0, y1 - y0) * spacing_mm < SINGLE_MM:
            continue
        if "calcification" in name and any(_overlap(outline, cluster) for cluster in clusters):
            continue
        if "spiculated" in name and any(_overlap(outline, mass) for mass in masses):
            continue
        chosen.append(outline)
    return chosen


def _overlap(one: Outline, other: Outline) -> bool:
    a, b = one.bounds, other.bounds
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def _filled(points: Points, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill a polygon including its border; vertices are rounded to whole columns and rows."""
    canvas = Image.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(canvas).polygon([(round(x), round(y)) for x, y in points], fill=1, outline=1)
    return np.asarray(canvas, dtype=bool)
