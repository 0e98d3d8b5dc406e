"""VinDr-Mammo (Nguyen et al. 2023): 20 000 full-field digital mammograms of 5000 examinations, with boxes.

The layout is that of PhysioNet: ``images/<study_id>/<image_id>.dicom``, ``breast-level_annotations.csv`` and
``finding_annotations.csv``.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ftmtl.datasets.annotated import AnnotatedImage, Lesion
from ftmtl.datasets.files import Faults, existing, number, read_dicom, read_table, stamp, tolerated
from ftmtl.errors import DatasetError
from ftmtl.findings import Box, FindingType
from ftmtl.mammogram.load import Mammogram

_TYPES = {
    "Mass": FindingType.MASS,
    "Suspicious Calcification": FindingType.CALCIFICATION,
    "Architectural Distortion": FindingType.DISTORTION,
    "Asymmetry": FindingType.ASYMMETRY,
    "Focal Asymmetry": FindingType.ASYMMETRY,
    "Global Asymmetry": FindingType.ASYMMETRY,
}
_SPLITS = {"training": "train", "test": "test"}
_BREASTS = ("study_id", "image_id", "laterality", "view_position", "height", "width", "split")
_FINDINGS = ("image_id", "finding_categories", "finding_birads", "xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class BoxedFinding:
    """One finding: box in stored pixels, kind, and whether its BI-RADS assessment is 4 or 5 (None if not assessed)."""

    box: Box
    type: FindingType
    malignant: bool | None


@dataclass(frozen=True, kw_only=True)
class VindrImage(AnnotatedImage):
    """One image of VinDr-Mammo.

    Attributes
    ----------
    path
        The DICOM file.
    rows, columns
        Size of the stored matrix according to the table; if the file differs, the boxes do not fit.
    """

    path: Path
    rows: int
    columns: int
    findings: tuple[BoxedFinding, ...]

    def load(self) -> tuple[Mammogram, tuple[Lesion, ...]]:
        """Decode the image; boxes are clipped to its matrix."""
        mammogram = read_dicom(self.path, self.laterality, self.view)
        if (mammogram.rows, mammogram.columns) != (self.rows, self.columns):
            size = f"{mammogram.columns} x {mammogram.rows}"
            raise DatasetError(f"{self.path} is {size} pixels, the table says {self.columns} x {self.rows}")
        return mammogram, tuple(Lesion(self._cut(f.box), f.type, f.malignant) for f in self.findings)

    def _cut(self, box: Box) -> Box:
        x0, y0, x1, y1 = box
        cut = (max(0.0, x0), max(0.0, y0), min(float(self.columns), x1), min(float(self.rows), y1))
        if cut[2] - cut[0] <= 0 or cut[3] - cut[1] <= 0:
            raise DatasetError(f"{self.path}: the finding {box} lies outside of the image")
        return cut

    @property
    def fingerprint(self) -> str:
        """Content of the tables, and the state of the file."""
        return f"{self!r} {stamp([self.path])}"


def read_vindr_mammo(folder: Path, *, faults: Faults = "refuse") -> list[VindrImage]:
    """List VinDr-Mammo.

    The data set has no pathology: findings of BI-RADS 4 or 5 are suspicious and count as malignant, others do not.
    A finding with several categories has the type of the first that is a lesion in this task. Skin thickening or
    retraction, nipple retraction and suspicious lymph nodes are not lesions in this task and are omitted, but an image
    with such a finding of BI-RADS 4 or 5 still counts as malignant. The data set does not identify patients, so each
    examination counts as one patient.

    Raises
    ------
    DatasetError
        If a table is missing or damaged; and for missing files, depending on `faults`.
    """
    breasts, table = folder / "breast-level_annotations.csv", folder / "finding_annotations.csv"
    rows = read_table(breasts, _BREASTS)
    findings: dict[str, list[dict[str, str]]] = {}
    for row in read_table(table, _FINDINGS):
        findings.setdefault(row["image_id"], []).append(row)
    if unknown := findings.keys() - {row["image_id"] for row in rows}:
        raise DatasetError(f"{table}: image {min(unknown)} is not in {breasts.name}")
    images = []
    for row in rows:
        with tolerated(faults):
            images.append(_image(folder, row, findings.get(row["image_id"], ()), table))
    return images


def _image(folder: Path, row: dict[str, str], findings: Sequence[dict[str, str]], table: Path) -> VindrImage:
    name = row["image_id"]
    if row["split"] not in _SPLITS:
        raise DatasetError(f"breast-level_annotations.csv: image {name} has the split {row['split']!r}")
    assessed = [_is_suspicious(finding["finding_birads"]) for finding in findings]
    return VindrImage(
        image_id=name,
        patient=row["study_id"],
        laterality=row["laterality"],
        view=row["view_position"],
        split=_SPLITS[row["split"]],
        malignant=any(assessed),
        path=existing(folder / "images" / row["study_id"] / f"{name}.dicom"),
        rows=int(number(row["height"], f"breast-level_annotations.csv: image {name}")),
        columns=int(number(row["width"], f"breast-level_annotations.csv: image {name}")),
        findings=tuple(found for finding in findings if (found := _finding(finding, table))),
    )


def _finding(row: dict[str, str], table: Path) -> BoxedFinding | None:
    place = f"{table}: image {row['image_id']}"
    try:
        categories = ast.literal_eval(row["finding_categories"])
    except (ValueError, SyntaxError) as error:
        raise DatasetError(f"{place} has the finding categories {row['finding_categories']!r}") from error
    kinds = [_TYPES[category] for category in categories if category in _TYPES]
    if not kinds:
        return None
    x0, y0, x1, y1 = (number(row[edge], place) for edge in ("xmin", "ymin", "xmax", "ymax"))
    return BoxedFinding((x0, y0, x1, y1), kinds[0], _is_suspicious(row["finding_birads"]))


def _is_suspicious(birads: str) -> bool | None:
    grade = birads.removeprefix("BI-RADS").strip()[:1]
    return grade in "456" if grade.isdigit() else None
