"""Studies that results are made for: synthetic and real."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from ftmtl.findings import StudyResult
from ftmtl.phantom.dicom import write_study
from node.results.common.source import read_source
from support import mg
from support.realdata import real_data

NAMES = ("synthetic", "GH133", "CBIS pair")
WITH_PIXELS = ("GH133", "CBIS pair", "phantoms")
"""Studies that a page can be drawn of."""
GH133 = "mg/GH133_ge_senographe_essential_RMLO_jpegll.dcm"
CBIS = ("mg/cbis_P_00173_LEFT_CC.dcm", "mg/cbis_P_00173_LEFT_MLO.dcm")

Headers = dict[str, Dataset]
"""Headers of images by SOP Instance UID."""


def by_uid(headers: Iterable[Dataset]) -> Headers:
    """Return headers by SOP Instance UID."""
    return {header.SOPInstanceUID: header for header in headers}


@dataclass(frozen=True)
class Study:
    """Images of one study: their files, and their headers in the same order."""

    paths: list[Path]
    headers: list[Dataset]
    spacing: float | None

    def result(self, *, findings: bool) -> StudyResult:
        """Return two lesions on the first image, one on the last of several, or nothing anywhere."""
        first, last, mm = self.headers[0], self.headers[-1], self.spacing
        lesions = {header.SOPInstanceUID: [] for header in self.headers}
        if findings:
            lesions[last.SOPInstanceUID] = [mg.finding(0, 0, (20, 20), 0.5, mm)]
            lesions[first.SOPInstanceUID] = [mg.finding(mm=mm), mg.finding(150, 200, (50, 41), 0.2, mm)]
        images = [mg.image_result(header, lesions[header.SOPInstanceUID], mm) for header in self.headers]
        return mg.study_result(images, first.StudyInstanceUID)


def _in_one_study(names: Iterable[str], folder: Path, *, pixels: bool) -> list[Path]:
    """Copy films that were filed under separate patients into one study, or their headers only."""
    paths: list[Path] = []
    for name in names:
        ds = dcmread(real_data(name), stop_before_pixels=not pixels)
        if paths:
            first = dcmread(paths[0], stop_before_pixels=True)
            for keyword in ("StudyInstanceUID", "StudyTime", "PatientID", "PatientName", "SeriesInstanceUID"):
                setattr(ds, keyword, first[keyword].value)
        paths.append(folder / Path(name).name)
        ds.save_as(paths[-1])
    return paths


def make_study(name: str, folder: Path, *, pixels: bool = False) -> Study:
    """Return a synthetic study of four views, phantoms of one, a real digital mammogram, or two real digitised films.

    The synthetic images are black; the films come as headers only, unless their pixels are asked for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spacing: float | None = 0.1
    if name == "synthetic":
        paths = mg.four_views(folder)
    elif name == "phantoms":
        paths, spacing = [path for path, _ in write_study(folder, 3, spacing_mm=0.4)], 0.4
    elif name == "GH133":
        paths = [real_data(GH133)]
    else:
        paths, spacing = _in_one_study(CBIS, folder, pixels=pixels), None
    return Study(paths, [read_source(path) for path in paths], spacing)
