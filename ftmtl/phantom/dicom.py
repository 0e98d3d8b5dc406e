"""Synthetic mammograms as complete DICOM instances: Digital Mammography X-Ray Image, For Presentation (PS3.3 A.27)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

from ftmtl.phantom.make import MAX_VALUE, LesionSpec, Phantom, make_phantom

STANDARD_VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
_NAMESPACE = uuid.UUID("5a0d3ce5-7b5e-4a34-9ad5-0d9ac24b6a0f")
_VIEW_CODES = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}
_DOWNWARD = {("L", "CC"): "R", ("R", "CC"): "L", ("L", "MLO"): "F", ("R", "MLO"): "F"}


def phantom_dataset(phantom: Phantom, study: str | None = None) -> Dataset:
    """Wrap a phantom as a DICOM instance.

    Parameters
    ----------
    phantom
        A mammogram with 12 stored bits.
    study
        Text that makes the study's UIDs differ from others of the same seed; with None they depend on the seed alone.

    Returns
    -------
    Dataset
        With File Meta Information, in Explicit VR Little Endian. The UIDs are derived from the seed, so the
        same phantom is always the same instance.
    """
    key = f"{phantom.seed}" if study is None else f"{phantom.seed}|{study}"
    number = 1 + STANDARD_VIEWS.index((phantom.laterality, phantom.view))
    content = hashlib.sha256(phantom.pixels.tobytes()).hexdigest()
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.SOPInstanceUID = _uid(key, phantom.laterality, phantom.view, content)
    _add_patient_and_study(ds, phantom, key)
    _add_series(ds, phantom, key, number)
    _add_image(ds, phantom, number)
    ds.PixelData = phantom.pixels.astype("<u2").tobytes()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def write_study(  # noqa: PLR0913 - a builder of DICOM objects
    folder: Path,
    seed: int,
    *,
    spacing_mm: float = 0.1,
    study: str | None = None,
    views: Sequence[tuple[str, str]] = STANDARD_VIEWS,
    lesions: Sequence[LesionSpec] | None = None,
) -> list[tuple[Path, Phantom]]:
    """Draw the views of one patient and write them as ``folder/R_CC.dcm`` and so on.

    Returns
    -------
    list of tuple
        Each file, with the phantom that it holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for laterality, view in views:
        phantom = make_phantom(seed, laterality=laterality, view=view, spacing_mm=spacing_mm, lesions=lesions)
        path = folder / f"{laterality}_{view}.dcm"
        phantom_dataset(phantom, study).save_as(path, enforce_file_format=True)
        written.append((path, phantom))
    return written


def _add_patient_and_study(ds: Dataset, phantom: Phantom, key: str) -> None:
    ds.PatientName, ds.PatientID = f"PHANTOM^{phantom.seed}", f"PHANTOM-{phantom.seed}"
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = "19650101", "F", "060Y"
    ds.StudyInstanceUID = _uid(key, "study")
    ds.StudyDate, ds.StudyTime = "20250102", "101500"
    ds.StudyID, ds.AccessionNumber = "1", f"PH{phantom.seed}"[:16]
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "Synthetic mammography"


def _add_series(ds: Dataset, phantom: Phantom, key: str, number: int) -> None:
    ds.Modality, ds.PresentationIntentType = "MG", "FOR PRESENTATION"
    ds.SeriesInstanceUID = _uid(key, phantom.laterality, phantom.view, "series")
    ds.SeriesNumber, ds.SeriesDescription = number, f"{phantom.laterality} {phantom.view}"
    ds.SeriesDate, ds.SeriesTime = "20250102", "101500"
    ds.Manufacturer, ds.ManufacturerModelName = "ftmtl-node", "Synthetic mammogram"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "0", "1"


def _add_image(ds: Dataset, phantom: Phantom, number: int) -> None:
    rows, columns = phantom.pixels.shape
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.InstanceNumber, ds.AcquisitionNumber = number, 1
    anterior = "A" if phantom.laterality == "L" else "P"
    ds.PatientOrientation = [anterior, _DOWNWARD[phantom.laterality, phantom.view]]
    ds.AcquisitionDate, ds.AcquisitionTime = "20250102", "101500"
    ds.ContentDate, ds.ContentTime = "20250102", "101500"
    ds.LossyImageCompression, ds.BurnedInAnnotation = "00", "NO"
    ds.PresentationLUTShape = "IDENTITY"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.ImageLaterality, ds.OrganExposed = phantom.laterality, "BREAST"
    ds.AnatomicRegionSequence = [_code("76752008", "Breast")]
    ds.PositionerType, ds.ViewPosition = "MAMMOGRAPHIC", phantom.view
    view = _code(*_VIEW_CODES[phantom.view])
    view.ViewModifierCodeSequence = []
    ds.ViewCodeSequence = [view]
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.WindowCenter, ds.WindowWidth = (MAX_VALUE + 1) // 2, MAX_VALUE + 1
    ds.ImagerPixelSpacing = [phantom.spacing_mm, phantom.spacing_mm]
    ds.DetectorType, ds.DetectorConfiguration, ds.DetectorID = "DIRECT", "AREA", "0"
    ds.DateOfLastDetectorCalibration, ds.TimeOfLastDetectorCalibration = "20250101", "080000"
    ds.EstimatedRadiographicMagnificationFactor = 1
    ds.BodyPartExamined, ds.BreastImplantPresent = "BREAST", "NO"
    ds.AcquisitionContextSequence = []


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def _uid(*parts: str) -> UID:
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, '|'.join(parts)).int}")
