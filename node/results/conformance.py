"""Reads a result object back from the disk and compares it with what was found, before anything is sent.

The general rules of DICOM are the validators' business, in the tests. Here stands what a validator
can't know: that the masks are the findings' masks, that the boxes lie on the image, that every
reference leads somewhere, and that the object names the right patient and study.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from ftmtl.findings import ModelIdentity, StudyResult
from node.errors import ResultRejected
from node.results import codes
from node.results.cad_check import cad_faults
from node.results.classes import (
    LABEL_MAP_SEGMENTATION,
    MAMMOGRAPHY_CAD_SR,
    PRESENTATION_STATE,
    REPORTS,
    SECONDARY_CAPTURE,
    SEGMENTATION,
)
from node.results.identity import IMPLEMENTATION_CLASS_UID, Predecessor, device_uid
from node.results.picture_checks import (
    capture_faults,
    presentation_faults,
    referenced_images,
)
from node.results.report_check import report_faults
from node.results.segmentation_check import segmentation_faults
from node.results.stamp import equipment

PRESENT = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "Manufacturer",
    "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber", "SeriesNumber", "InstanceNumber",
    "InstanceCreationDate", "InstanceCreationTime", "SeriesDescription",
)  # fmt: skip
"""Attributes that every result has, with a value."""

MADE = ("ContentDate", "ContentTime")
"""Attributes with a value that say when a result was made; a presentation state has others."""

PRESENTATION_MADE = ("PresentationCreationDate", "PresentationCreationTime")

INHERITED = ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber",
             "StudyID", "StudyDate", "StudyTime")  # fmt: skip
"""Attributes that a result has from its source, with or without a value."""

EQUIPMENT = {
    "manufacturer": "Manufacturer", "manufacturer_model_name": "ManufacturerModelName",
    "software_versions": "SoftwareVersions", "device_serial_number": "DeviceSerialNumber",
}  # fmt: skip
"""Keywords of the General Equipment Module, by the names that :func:`node.results.stamp.equipment` gives them."""

FLAGS = {"CompletionFlag": "COMPLETE", "VerificationFlag": "UNVERIFIED", "PreliminaryFlag": "PRELIMINARY"}


def check_object(
    path: str | PathLike[str],
    result: StudyResult,
    sources: Mapping[str, Dataset],
    segmentations: Mapping[str, Dataset],
    missing: Mapping[str, Dataset] = {},
    predecessor: Predecessor | None = None,
) -> None:
    """Check one written object.

    Parameters
    ----------
    path
        A segmentation, a report, a CAD report, a presentation state or a page.
    result
        What was found.
    sources
        By SOP Instance UID: normalised headers of the images that were analysed.
    segmentations
        By SOP Instance UID of the source image: the segmentations made with it.
    missing
        By SOP Instance UID: normalised headers of images that reports name though they were not analysed.
    predecessor
        The report that a report replaces, if there is one.

    Raises
    ------
    ResultRejected
        If the object does not say what ``result`` says; it lists every fault.
    """
    try:
        ds = dcmread(path)
    except (InvalidDicomError, OSError, EOFError) as error:
        raise ResultRejected(str(path), [f"can't be read back: {error}"]) from error
    faults: list[str] = []
    try:
        for fault in _faults(ds, result, sources, segmentations, missing, predecessor):
            faults.append(fault)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        faults.append(f"is malformed: {error}")
    if faults:
        raise ResultRejected(f"{ds.get('Modality', 'object')} {ds.get('SOPInstanceUID', '?')}", faults)


def _faults(
    ds: Dataset,
    result: StudyResult,
    sources: Mapping[str, Dataset],
    segmentations: Mapping[str, Dataset],
    missing: Mapping[str, Dataset],
    predecessor: Predecessor | None,
) -> Iterator[str]:
    yield from _header_faults(ds, {**sources, **missing})
    yield from _equipment_faults(ds, result.model)
    if ds.get("SOPClassUID") in (SEGMENTATION, LABEL_MAP_SEGMENTATION):
        yield from segmentation_faults(ds, result, sources)
    elif ds.get("SOPClassUID") in REPORTS:
        masks = {seg.SOPInstanceUID: seg for seg in segmentations.values()}
        yield from _document_faults(ds, {**sources, **missing, **masks})
        yield from report_faults(ds, result, sources, segmentations, missing, predecessor)
    elif ds.get("SOPClassUID") == MAMMOGRAPHY_CAD_SR:
        yield from _document_faults(ds, {**sources, **missing})
        yield from cad_faults(ds, result, sources, missing)
    elif ds.get("SOPClassUID") == PRESENTATION_STATE:
        yield from _presentation_faults(ds, result, sources)
    elif ds.get("SOPClassUID") == SECONDARY_CAPTURE:
        yield from capture_faults(ds, result, list(sources.values()))
    else:
        yield f"unexpected SOP Class {ds.get('SOPClassUID')}"


def _header_faults(ds: Dataset, sources: Mapping[str, Dataset]) -> Iterator[str]:
    made = PRESENTATION_MADE if ds.get("SOPClassUID") == PRESENTATION_STATE else MADE
    for keyword in (*PRESENT, *made):
        if not ds.get(keyword):
            yield f"{keyword} is missing"
    if ds.get("ContentQualification") != "RESEARCH":
        yield "ContentQualification is not RESEARCH"
    if ds.file_meta.get("MediaStorageSOPInstanceUID") != ds.get("SOPInstanceUID"):
        yield "MediaStorageSOPInstanceUID differs from SOPInstanceUID"
    if ds.file_meta.get("ImplementationClassUID") != IMPLEMENTATION_CLASS_UID:
        yield "ImplementationClassUID is not ours"
    patients = list(sources.values())
    for keyword in INHERITED:
        if keyword not in ds:
            yield f"{keyword} is missing"
        elif patients and not any(str(ds.get(keyword) or "") == str(s.get(keyword) or "") for s in patients):
            yield f"{keyword} is not the source's"


def _equipment_faults(ds: Dataset, model: ModelIdentity) -> Iterator[str]:
    """Compare the equipment that made an object (PS3.3 C.7.5.1, C.12.1.1.5) with the model."""
    contributions = list(ds.get("ContributingEquipmentSequence") or ())
    purposes = [item.PurposeOfReferenceCodeSequence[0].CodeValue for item in contributions]
    if purposes != [codes.PROCESSING_EQUIPMENT.value]:
        yield "the contributing equipment is not the model alone"
        return
    due = equipment(model)
    for where in (ds, contributions[0]):
        told = [where.get(keyword) for keyword in EQUIPMENT.values()]
        if told != [due[name] for name in EQUIPMENT]:
            yield f"equipment is {told}, not the model's"
    if contributions[0].get("DeviceUID") != device_uid(model):
        yield f"DeviceUID is {contributions[0].get('DeviceUID')}, not that of the model"


def _presentation_faults(ds: Dataset, result: StudyResult, sources: Mapping[str, Dataset]) -> Iterator[str]:
    """Find the image that a presentation state is of, and compare the two."""
    uids = [str(item.ReferencedSOPInstanceUID) for item in referenced_images(ds)]
    image = next((i for i in result.images if [i.sop_instance_uid] == uids), None)
    if image is None or image.sop_instance_uid not in sources:
        yield f"references {', '.join(uids) or 'no image'}, which is no analysed source"
        return
    yield from presentation_faults(ds, image, sources[image.sop_instance_uid], result.model)


def _document_faults(ds: Dataset, known: Mapping[str, Dataset]) -> Iterator[str]:
    """Check what every structured report says of itself, and what it rests on (PS3.3 C.17.2)."""
    for keyword, value in FLAGS.items():
        if ds.get(keyword) != value:
            yield f"{keyword} is not {value}"
    evidence = set(_evidence(ds))
    for uid in sorted(known.keys() - evidence):
        yield f"{uid} is no evidence"
    for uid in sorted(evidence - known.keys()):
        yield f"evidence {uid} does not exist"


def _evidence(ds: Dataset) -> Iterator[str]:
    for study in ds.get("CurrentRequestedProcedureEvidenceSequence") or ():
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                yield str(item.ReferencedSOPInstanceUID)
