"""The studies that the statement is derived from: images, pretended findings, and the objects of each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from ftmtl.findings import (
    Finding,
    FindingType,
    ImageResult,
    LesionMask,
    ModelIdentity,
    OperatingPoint,
    Outcome,
    StudyResult,
)
from ftmtl.mammogram.pixels import display_pixels
from ftmtl.phantom.dicom import write_study
from node.kinds import ObjectKind
from node.results.build import build_results


@dataclass(frozen=True)
class Sample:
    """A study made for the sake of this document: its images, and the objects of each kind."""

    images: Sequence[Dataset]
    objects: Mapping[ObjectKind, Sequence[Dataset]]


def make_sample(folder: Path, number: int) -> Sample:
    """Write a study, pretend to have found something on it, and make every kind of object."""
    written = write_study(folder, number, spacing_mm=0.9 + number / 10, lesions=[])
    paths = []
    for path, _ in written:
        ds = dcmread(path)
        ds.PatientID, ds.PatientName = f"ID{number}", f"Name^{number}"
        ds.PatientBirthDate, ds.PatientSex = f"196{number}0101", "FM"[number - 1]
        ds.AccessionNumber, ds.StudyID, ds.StudyDescription = f"A{number}", f"S{number}", f"Study {number}"
        ds.StudyDate = ds.ContentDate = f"2025010{number}"
        ds.StudyTime = ds.ContentTime = f"10000{number}"
        ds.ReferringPhysicianName, ds.Manufacturer = f"Referrer^{number}", f"Manufacturer {number}"
        ds.PatientAge, ds.InstitutionName = f"06{number}Y", f"Institution {number}"
        ds.LossyImageCompression = f"0{number - 1}"
        if number == 2:
            ds.LossyImageCompressionRatio, ds.LossyImageCompressionMethod = "5", "ISO_10918_1"
        ds.save_as(path)
        paths.append(path)
    images = [dcmread(path, stop_before_pixels=True) for path in paths]
    model = ModelIdentity(
        "FT-MTL-Net" if number == 1 else "Other",
        str(number),
        f"{number}" * 64,
        f"c{number}",
        looks_for=(FindingType.MASS, FindingType.CALCIFICATION, FindingType.DISTORTION)[: number + 1],
        operating_points=tuple(OperatingPoint(cut, 1 - cut / number, 1 - cut) for cut in (0.9, 0.5, 0.1)),
        measured_on=f"test {number}",
    )
    found = [_image(ds, number, findings=number) for ds in images[:-1]]
    last = images[-1]
    found.append(
        ImageResult(
            last.SOPInstanceUID, last.ImageLaterality, last.ViewPosition, Outcome.NOT_PROCESSED, f"why {number}"
        )
    )
    result = StudyResult(images[0].StudyInstanceUID, model, tuple(found))
    made = build_results(result, paths, folder / "results", tuple(ObjectKind), display=display_pixels)
    objects = {kind: [dcmread(m.path) for m in made if m.kind is kind] for kind in ObjectKind}
    return Sample(images, objects)


def _image(ds: Dataset, number: int, findings: int) -> ImageResult:
    """Return the result of an image with one or two findings, whose numbers depend on the sample's."""
    side = 8 + number
    found = []
    for n, kind in enumerate((FindingType.MASS, FindingType.CALCIFICATION)[:findings]):
        column, row = 10 + 20 * n + number, 40 + number
        mask = LesionMask(np.ones((side, side), dtype=bool), column, row)
        probability = np.full((side, side), 100 + number, np.uint8)
        box = (float(column), float(row), float(column + side), float(row + side))
        area = float(side * side)
        found.append(Finding(box, mask, 0.9 - number / 100, 0.6 + number / 100, kind, area, side, probability))
    return ImageResult(
        ds.SOPInstanceUID,
        ds.ImageLaterality,
        ds.ViewPosition,
        Outcome.FINDINGS,
        findings=tuple(found),
        spacing_mm=(1.0, 1.0),
        spacing_source="detector plane",
    )
