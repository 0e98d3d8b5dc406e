"""Mini-MIAS (Suckling et al. 1994): digitised film, oblique views, 1024 × 1024 at 0.2 mm, with circles.

The layout is ``labels.csv`` (columns image, abnormality, severity, x, ``y_from_top``, radius_px, laterality; one row
per lesion) beside ``png/<image>.png``. The licence is for research only, not for sale: weights trained on these images
must not be distributed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ftmtl.datasets.annotated import AnnotatedImage, Lesion
from ftmtl.datasets.files import Faults, existing, number, read_grey, read_table, stamp, tolerated
from ftmtl.errors import DatasetError, NotAnalysable
from ftmtl.findings import Box, FindingType
from ftmtl.mammogram.load import Mammogram, from_array

log = logging.getLogger(__name__)

SPACING_MM = 0.2
MISPLACED = frozenset({"mdb212", "mdb214"})
"""Images whose circle lies in the air beside the breast, whether rows are counted from the top or the bottom."""
_TYPES = {
    "CIRC": FindingType.MASS,
    "SPIC": FindingType.MASS,
    "MISC": FindingType.MASS,
    "CALC": FindingType.CALCIFICATION,
    "ARCH": FindingType.DISTORTION,
    "ASYM": FindingType.ASYMMETRY,
}
_NORMAL = "NORM"
_SEVERITIES = {"M": True, "B": False}
_COLUMNS = ("image", "abnormality", "severity", "x", "y_from_top", "radius_px", "laterality")


@dataclass(frozen=True, kw_only=True)
class MiasImage(AnnotatedImage):
    """One image of MIAS.

    Attributes
    ----------
    path
        The picture.
    boxes
        Bounding boxes of the publisher's circles, in stored pixels, half-open.
    classes
        The publisher's class of each circle: CIRC (well-defined mass), SPIC (spiculated), MISC (ill-defined), ARCH,
        ASYM, CALC.
    severities
        Whether each lesion is malignant.
    """

    path: Path
    boxes: tuple[Box, ...]
    classes: tuple[str, ...]
    severities: tuple[bool, ...]

    def load(self) -> tuple[Mammogram, tuple[Lesion, ...]]:
        """Decode the picture; as a circle is not an outline, the lesions have no masks."""
        picture = read_grey(self.path)
        rows, columns = picture.shape
        for x0, y0, x1, y1 in self.boxes:
            if x0 >= columns or y0 >= rows or x1 <= 0 or y1 <= 0:
                raise DatasetError(f"{self.path}: the lesion {(x0, y0, x1, y1)} lies outside of the image")
        try:
            pixels = picture.astype(np.float32) / 255
            mammogram = from_array(pixels, self.laterality, (SPACING_MM, SPACING_MM), view=self.view)
        except NotAnalysable as error:
            raise DatasetError(f"{self.path}: {error}") from error
        lesions = zip(self.boxes, self.classes, self.severities, strict=True)
        return mammogram, tuple(Lesion(box, _TYPES[name], malignant, label=name) for box, name, malignant in lesions)

    @property
    def fingerprint(self) -> str:
        """Content of the table, and the state of the file."""
        return f"{self!r} {stamp([self.path])}"


def read_mias(folder: Path, *, faults: Faults = "refuse") -> list[MiasImage]:
    """List MIAS.

    Images with a lesion whose position is missing or wrong (`MISPLACED`) are not normal, but are useless for training
    and evaluation. They are omitted, and a log line names them. The images 2n - 1 and 2n are the two breasts of
    patient n.

    Raises
    ------
    DatasetError
        If the table is missing or damaged; and for missing pictures, depending on `faults`.
    """
    table = folder / "labels.csv"
    groups: dict[str, list[dict[str, str]]] = {}
    for row in read_table(table, _COLUMNS):
        groups.setdefault(row["image"], []).append(row)
    placeless = [name for name, rows in groups.items() if name in MISPLACED or not all(map(_is_placed, rows))]
    if placeless:
        log.info("left out, because the position of a lesion is unknown: %s", ", ".join(placeless))
    images = []
    for name in (name for name in groups if name not in placeless):
        with tolerated(faults):
            images.append(_image(folder, name, groups[name], table))
    return images


def _is_placed(row: dict[str, str]) -> bool:
    return row["abnormality"] == _NORMAL or all(row[column] for column in ("x", "y_from_top", "radius_px"))


def _image(folder: Path, name: str, rows: Sequence[dict[str, str]], table: Path) -> MiasImage:
    place = f"{table}: image {name}"
    lesions = [row for row in rows if row["abnormality"] != _NORMAL]
    if odd := [row for row in lesions if row["abnormality"] not in _TYPES or row["severity"] not in _SEVERITIES]:
        raise DatasetError(f"{place} has the class {odd[0]['abnormality']!r} and the severity {odd[0]['severity']!r}")
    severities = tuple(_SEVERITIES[row["severity"]] for row in lesions)
    return MiasImage(
        image_id=name,
        patient=str((int(number(name.removeprefix("mdb"), place)) + 1) // 2),
        laterality=rows[0]["laterality"],
        view="MLO",
        malignant=any(severities),
        path=existing(folder / "png" / f"{name}.png"),
        boxes=tuple(_box(row, place) for row in lesions),
        classes=tuple(row["abnormality"] for row in lesions),
        severities=severities,
    )


def _box(row: dict[str, str], place: str) -> Box:
    x, y, radius = (number(row[column], place) for column in ("x", "y_from_top", "radius_px"))
    return x - radius, y - radius, x + radius, y + radius
