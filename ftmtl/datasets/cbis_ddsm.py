"""CBIS-DDSM (Lee et al. 2017): digitised film with pathology and outlines of masses and calcifications.

The layout is that of The Cancer Imaging Archive. Four tables ``<mass|calc>_case_description_<train|test>_set.csv`` lie
beside folders named like ``Mass-Training_P_00001_LEFT_CC`` (the whole image) and ``Mass-Training_P_00001_LEFT_CC_1``
(crop and mask of abnormality 1). These folders may also lie in a subfolder ``CBIS-DDSM``, or in one below a
``manifest-…`` folder. The structure inside them depends on the download (series UIDs and ``000000.dcm``, or dates,
descriptions and ``1-1.dcm``) and is ignored, as are the tables' paths of masks and crops, some of which are swapped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ftmtl.datasets.annotated import AnnotatedImage, Lesion
from ftmtl.datasets.files import (
    Faults,
    lesion_of_mask,
    read_dicom,
    read_dicom_header,
    read_dicom_pixels,
    read_table,
    stamp,
    tolerated,
)
from ftmtl.errors import DatasetError
from ftmtl.findings import FindingType
from ftmtl.mammogram.load import Mammogram

_SIDES = {"LEFT": "L", "RIGHT": "R"}
_MALIGNANT = {"MALIGNANT": True, "BENIGN": False, "BENIGN_WITHOUT_CALLBACK": False}
_SHAPES = {
    "ARCHITECTURAL_DISTORTION": FindingType.DISTORTION,
    "ASYMMETRIC_BREAST_TISSUE": FindingType.ASYMMETRY,
    "FOCAL_ASYMMETRIC_DENSITY": FindingType.ASYMMETRY,
}
_COLUMNS = ("patient_id", "left or right breast", "image view", "pathology", "image file path", "ROI mask file path")


@dataclass(frozen=True)
class Abnormality:
    """One row of a table: kind, pathology, and the name of the folder with crop and mask."""

    type: FindingType
    malignant: bool
    folder: str


@dataclass(frozen=True)
class Film:
    """One image as the tables describe it.

    Attributes
    ----------
    laterality, view
        ``L`` or ``R``; ``CC`` or ``MLO``.
    split
        ``train`` or ``test``.
    folders
        Names of the folders that hold the image: one from each table that lists it.
    """

    patient: str
    laterality: str
    view: str
    split: str
    folders: tuple[str, ...]
    abnormalities: tuple[Abnormality, ...]


@dataclass(frozen=True, kw_only=True)
class CbisImage(AnnotatedImage):
    """One image of CBIS-DDSM.

    Attributes
    ----------
    path
        The DICOM file of the whole image.
    abnormalities
        Each abnormality with the files of its folder, a mask and a crop.
    """

    path: Path
    abnormalities: tuple[tuple[Abnormality, tuple[Path, ...]], ...]

    def load(self) -> tuple[Mammogram, tuple[Lesion, ...]]:
        """Decode the image and the mask of each abnormality."""
        mammogram = read_dicom(self.path, self.laterality, self.view)
        shape = (mammogram.rows, mammogram.columns)
        lesions = []
        for abnormality, files in self.abnormalities:
            path = _mask_file(files, shape)
            mask = read_dicom_pixels(path) > 0
            if mask.shape != shape:
                raise DatasetError(f"{path}: the mask is {mask.shape}, the image {self.path} is {shape}")
            lesions.append(lesion_of_mask(path, mask, abnormality.type, abnormality.malignant))
        return mammogram, tuple(lesions)

    @property
    def fingerprint(self) -> str:
        """Content of the tables, and the state of all files."""
        return f"{self!r} {stamp([self.path, *(path for _, files in self.abnormalities for path in files)])}"


def read_cbis_ddsm(folder: Path, *, faults: Faults = "refuse") -> list[CbisImage]:
    """List CBIS-DDSM; `read_films` describes how rows are combined into images.

    Raises
    ------
    DatasetError
        If a table is missing or damaged; and for missing images or mask folders, depending on `faults`.
    """
    roots = [folder, folder / "CBIS-DDSM", *sorted(folder.glob("*/CBIS-DDSM"))]
    images = []
    for film in read_films(folder):
        with tolerated(faults):
            images.append(_image(film, roots))
    return images


def read_films(folder: Path) -> list[Film]:
    """Read the four tables, without looking for images, and combine all abnormalities of a film.

    The publishers split masses and calcifications separately, so some patients, and even films, are in the training
    table of one and in the test table of the other. Here all images of such a patient are test images.

    Raises
    ------
    DatasetError
        If a table is missing or damaged.
    """
    rows = [row for kind in ("mass", "calc") for split in ("train", "test") for row in _rows(folder, kind, split)]
    tested = {row["patient_id"] for row in rows if row["split"] == "test"}
    films: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in rows:
        films.setdefault((row["patient_id"], row["left or right breast"], row["image view"]), []).append(row)
    return [_film(key, group, "test" if key[0] in tested else "train") for key, group in films.items()]


def _rows(folder: Path, kind: str, split: str) -> list[dict[str, str]]:
    path = folder / f"{kind}_case_description_{split}_set.csv"
    rows = read_table(path, (*_COLUMNS, *(("mass shape",) if kind == "mass" else ())))
    for row in rows:
        if row["left or right breast"] not in _SIDES or row["pathology"] not in _MALIGNANT:
            raise DatasetError(f"{path}: patient {row['patient_id']} has an unknown side or pathology")
    return [{**row, "split": split} for row in rows]


def _film(key: tuple[str, str, str], rows: Sequence[dict[str, str]], split: str) -> Film:
    patient, side, view = key
    return Film(
        patient,
        _SIDES[side],
        view,
        split,
        tuple(dict.fromkeys(_first(row["image file path"]) for row in rows)),
        tuple(Abnormality(_type(row), _MALIGNANT[row["pathology"]], _first(row["ROI mask file path"])) for row in rows),
    )


def _first(path: str) -> str:
    return path.strip().split("/")[0]


def _type(row: dict[str, str]) -> FindingType:
    """Return the kind of an abnormality; a mass with architectural distortion counts as a mass."""
    if "mass shape" not in row:
        return FindingType.CALCIFICATION
    return _SHAPES.get(row["mass shape"], FindingType.MASS)


def _image(film: Film, roots: Sequence[Path]) -> CbisImage:
    return CbisImage(
        image_id=f"{film.patient}_{film.laterality}_{film.view}",
        patient=film.patient,
        laterality=film.laterality,
        view=film.view,
        split=film.split,
        malignant=any(abnormality.malignant for abnormality in film.abnormalities),
        path=_only(film.folders, roots),
        abnormalities=tuple((each, _files([each.folder], roots)) for each in film.abnormalities),
    )


def _files(names: Iterable[str], roots: Sequence[Path]) -> tuple[Path, ...]:
    """Return the DICOM files in the first folder with one of these names that has any."""
    for name in (names := list(names)):
        for root in roots:
            if files := tuple(sorted((root / name).rglob("*.dcm"))):
                return files
    raise DatasetError(f"{roots[0] / names[0]} is missing, or holds no DICOM file")


def _only(names: Sequence[str], roots: Sequence[Path]) -> Path:
    files = _files(names, roots)
    if len(files) > 1:
        raise DatasetError(f"{files[0].parent} and its neighbours hold {len(files)} images where one was expected")
    return files[0]


def _mask_file(files: Sequence[Path], shape: tuple[int, int]) -> Path:
    """Find the mask: the file that is as large as the image or, if that is not conclusive, is described as a mask."""
    headers = {path: read_dicom_header(path) for path in files}
    large = [path for path, ds in headers.items() if (ds.get("Rows"), ds.get("Columns")) == shape]
    if len(large) == 1:
        return large[0]
    candidates = large or list(files)
    called = [path for path in candidates if "roi mask" in str(headers[path].get("SeriesDescription", "")).lower()]
    if len(called) == 1 or (called and not large):
        return called[0]
    raise DatasetError(f"{files[0].parent}: none of {len(files)} files is clearly the mask of an image of {shape}")
