"""Synthetic mammograms and findings for the tests: small, and valid to the last attribute."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)

from ftmtl.findings import Finding, FindingType, ImageResult, LesionMask, ModelIdentity, Outcome, StudyResult

MODEL = ModelIdentity("FT-MTL-Net", "1.2.0", "ab12" * 16, "op=0.5;size=1024")

VIEW_CODES = {
    "CC": ("399162004", "cranio-caudal"),
    "MLO": ("399368009", "medio-lateral oblique"),
    "ML": ("399260004", "medio-lateral"),
}
ORIENTATIONS = {
    ("L", "CC"): "AR", ("R", "CC"): "PL", ("L", "MLO"): "AF", ("R", "MLO"): "PF", ("L", "ML"): "AF", ("R", "ML"): "PF",
}  # fmt: skip


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return a code item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def mg_header(
    laterality: str = "L",
    view: str = "CC",
    size: tuple[int, int] = (400, 300),
    uid: str = "2.25.20",
    number: int = 1,
) -> Dataset:
    """Return a For Presentation mammogram without pixels, in which dciodvfy finds no error (PS3.3 A.26).

    MLO views have a frame of reference of their own and the others none: both occur.

    Parameters
    ----------
    laterality, view
        Image Laterality and View Position.
    size
        Rows and columns.
    uid
        SOP Instance UID; that of the series is derived from it.
    number
        Series and Instance Number.
    """
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.file_meta.MediaStorageSOPInstanceUID = uid
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = DigitalMammographyXRayImageStorageForPresentation, uid
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "PHANTOM^ONE", "PH-1", "19600101", "F"
    ds.StudyInstanceUID, ds.StudyDate, ds.StudyTime = "2.25.10", "20250102", "101500"
    ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "1", "ACC1", ""
    ds.Modality, ds.PresentationIntentType = "MG", "FOR PRESENTATION"
    ds.SeriesInstanceUID, ds.SeriesNumber = f"{uid}.1", number
    ds.Manufacturer, ds.ManufacturerModelName = "ftmtl-node", "phantom"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "0", "0.1.0"
    if view == "MLO":
        ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = f"{uid}.2", ""
    ds.Rows, ds.Columns = size
    _image_modules(ds, laterality, view, number)
    return ds


def _image_modules(ds: Dataset, laterality: str, view: str, number: int) -> None:
    """General Image, Image Pixel, DX Anatomy, DX Image, DX Detector, Mammography Image."""
    ds.ImageType, ds.InstanceNumber = ["ORIGINAL", "PRIMARY", ""], number
    ds.PatientOrientation = list(ORIENTATIONS[laterality, view])
    ds.AcquisitionDate, ds.AcquisitionTime = "20250102", "101600"
    ds.ContentDate, ds.ContentTime = "20250102", f"1017{number:02d}"
    ds.LossyImageCompression, ds.BurnedInAnnotation, ds.PresentationLUTShape = "00", "NO", "IDENTITY"
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.ImageLaterality, ds.OrganExposed, ds.BodyPartExamined = laterality, "BREAST", "BREAST"
    ds.AnatomicRegionSequence = Items([code("76752008", "SCT", "Breast")])
    ds.PositionerType, ds.ViewPosition = "MAMMOGRAPHIC", view
    ds.ViewCodeSequence = Items([code(VIEW_CODES[view][0], "SCT", VIEW_CODES[view][1])])
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = Items()
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.WindowCenter, ds.WindowWidth = 2048, 4096
    ds.ImagerPixelSpacing, ds.EstimatedRadiographicMagnificationFactor = [0.1, 0.1], 1
    ds.DetectorType, ds.DetectorConfiguration, ds.DetectorID = "DIRECT", "AREA", "D1"
    ds.DateOfLastDetectorCalibration, ds.TimeOfLastDetectorCalibration = "20250101", "080000"
    ds.BreastImplantPresent = "NO"
    ds.AcquisitionContextSequence = Items()


PROJECTION_ONLY = (
    "PresentationIntentType", "ImageLaterality", "PatientOrientation", "AcquisitionDate", "AcquisitionTime",
    "OrganExposed", "AnatomicRegionSequence", "PositionerType", "ViewPosition", "PixelIntensityRelationship",
    "PixelIntensityRelationshipSign", "RescaleIntercept", "RescaleSlope", "RescaleType", "WindowCenter",
    "WindowWidth", "ImagerPixelSpacing", "EstimatedRadiographicMagnificationFactor", "DetectorType",
    "DetectorConfiguration", "DetectorID", "DateOfLastDetectorCalibration", "TimeOfLastDetectorCalibration",
)  # fmt: skip
"""Attributes of a mammogram that a tomosynthesis volume has in functional groups, or not at all."""


def tomosynthesis(laterality: str = "L", view: str = "MLO", uid: str = "2.25.40", frames: int = 3) -> Dataset:
    """Return a small Breast Tomosynthesis Image of black frames, in which dciodvfy finds no error (PS3.3 A.55)."""
    ds = mg_header(laterality, view, (64, 48), uid, 5)
    for keyword in PROJECTION_ONLY:
        delattr(ds, keyword)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = BreastTomosynthesisImageStorage
    ds.ContentQualification, ds.NumberOfFrames = "RESEARCH", frames
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = f"{uid}.2", ""
    kind = Dataset()
    kind.PixelPresentation, kind.VolumetricProperties = "MONOCHROME", "VOLUME"
    kind.VolumeBasedCalculationTechnique = "TOMOSYNTHESIS"
    ds.update(kind)
    ds.ImageType = kind.FrameType = ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"]
    ds.SharedFunctionalGroupsSequence = Items([_shared_groups(laterality)])
    ds.PerFrameFunctionalGroupsSequence = Items([_frame_groups(n, kind) for n in range(1, frames + 1)])
    ds.PixelData = bytes(2 * ds.Rows * ds.Columns * frames)
    return ds


def _shared_groups(laterality: str) -> Dataset:
    """Functional groups that are the same for all frames (PS3.3 C.7.6.16.2)."""
    shared, anatomy, measures, orientation, grey, window = (Dataset() for _ in range(6))
    anatomy.FrameLaterality = laterality
    anatomy.AnatomicRegionSequence = Items([code("76752008", "SCT", "Breast")])
    measures.PixelSpacing, measures.SliceThickness = [0.1, 0.1], 1
    orientation.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    grey.RescaleIntercept, grey.RescaleSlope, grey.RescaleType = 0, 1, "US"
    window.WindowCenter, window.WindowWidth = 2048, 4096
    shared.FrameAnatomySequence, shared.PixelMeasuresSequence = Items([anatomy]), Items([measures])
    shared.PlaneOrientationSequence, shared.PixelValueTransformationSequence = Items([orientation]), Items([grey])
    shared.FrameVOILUTSequence = Items([window])
    return shared


def _frame_groups(n: int, kind: Dataset) -> Dataset:
    """Functional groups of frame ``n``."""
    groups, content, position = (Dataset() for _ in range(3))
    content.FrameAcquisitionDateTime = content.FrameReferenceDateTime = "20250102101600"
    content.FrameAcquisitionDuration, content.StackID, content.InStackPositionNumber = 1.0, "1", n
    position.ImagePositionPatient = [n, 0, 0]
    groups.FrameContentSequence, groups.PlanePositionSequence = Items([content]), Items([position])
    groups.XRay3DFrameTypeSequence = Items([kind])
    return groups


def write(ds: Dataset, folder: Path) -> Path:
    """Write an image, with black pixels if it has none, and return its path."""
    if "PixelData" not in ds:
        ds.PixelData = bytes(2 * ds.Rows * ds.Columns)
    path = folder / f"{ds.SOPInstanceUID}.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def four_views(folder: Path, size: tuple[int, int] = (400, 300)) -> list[Path]:
    """Write R CC, L CC, R MLO and L MLO of one study; their size is rows and columns."""
    views = [("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO")]
    return [write(mg_header(side, view, size, f"2.25.2{n}", n), folder) for n, (side, view) in enumerate(views, 1)]


def finding(
    column: int = 40,
    row: int = 60,
    size: tuple[int, int] = (31, 23),
    malignancy: float = 0.8,
    mm: float | None = 0.1,
) -> Finding:
    """Return an elliptic lesion whose mask is asymmetric, so that flips and shifts show.

    Parameters
    ----------
    column, row
        Top-left corner of its box.
    size
        Width and height of its box.
    malignancy
        Its probability; above one half the lesion is a mass, else a calcification.
    mm
        Pixel spacing, or None where lengths are not known.
    """
    width, height = size
    y, x = np.mgrid[:height, :width]
    mask = ((x - width / 2 + 0.5) / (width / 2)) ** 2 + ((y - height / 2 + 0.5) / (height / 2)) ** 2 <= 1
    mask[: height // 2, : width // 3] = False
    mask[height // 2, 0] = True
    return Finding(
        box=(float(column), float(row), float(column + width), float(row + height)),
        mask=LesionMask(mask, column, row),
        lesion_score=0.9,
        malignancy_score=malignancy,
        type=FindingType.MASS if malignancy > 0.5 else FindingType.CALCIFICATION,
        area_mm2=None if mm is None else float(mask.sum()) * mm * mm,
        long_axis_mm=None if mm is None else width * mm,
    )


def image_result(header: Dataset, findings: Sequence[Finding] = (), spacing: float | None = 0.1) -> ImageResult:
    """Return what was found on the image of a header."""
    return ImageResult(
        sop_instance_uid=str(header.SOPInstanceUID),
        laterality=header.get("ImageLaterality") or header.get("Laterality") or None,
        view=header.get("ViewPosition") or None,
        outcome=Outcome.FINDINGS if findings else Outcome.NO_FINDINGS,
        findings=tuple(findings),
        spacing_mm=None if spacing is None else (spacing, spacing),
        spacing_source="" if spacing is None else "detector plane",
    )


def study_result(images: Sequence[ImageResult], study_uid: str = "2.25.10") -> StudyResult:
    """Return the result of a study."""
    return StudyResult(study_uid, MODEL, tuple(images))
