"""Reads a result object back from disk and compares it with what was found, before anything is sent.

The general rules of DICOM are left to the validators in the tests. This module, and the ``check`` module of each kind
of object, check what a validator cannot know: that the masks are those of the findings, that the boxes lie on the
image, that every reference leads somewhere, and that the object names the right patient and study.

The checks prove that what was computed is what was written. They share with the builders how a finding is put into
words and how its outline is drawn, so they cannot prove that this is right. The tests do: they compare the objects
with the findings by other means.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from importlib import import_module
from os import PathLike

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from ftmtl.decoding.files import ODD_VALUE
from ftmtl.findings import ModelIdentity
from node.errors import ResultRejected
from node.identity import IMPLEMENTATION_CLASS_UID
from node.kinds import ObjectKind, room_of
from node.results.common import codes
from node.results.common.finish import content_uid, series_uid
from node.results.common.naming import device_uid
from node.results.common.stamp import equipment
from node.results.study import Expected

PRESENT = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "Manufacturer",
    "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber", "SeriesNumber", "InstanceNumber",
    "InstanceCreationDate", "InstanceCreationTime", "SeriesDescription",
)  # fmt: skip
"""Attributes that every result must have, with a value."""

INHERITED = ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber",
             "StudyID", "StudyDate", "StudyTime")  # fmt: skip
"""Attributes that a result inherits from its source, with or without a value."""

EQUIPMENT = {
    "manufacturer": "Manufacturer", "manufacturer_model_name": "ManufacturerModelName",
    "software_versions": "SoftwareVersions", "device_serial_number": "DeviceSerialNumber",
}  # fmt: skip
"""Keywords of the General Equipment Module, by the names in :func:`node.results.common.stamp.equipment`."""


def check_object(path: str | PathLike[str], expected: Expected) -> None:
    """Check one written object.

    Parameters
    ----------
    path
        An object of any kind (`node.kinds`).
    expected
        What it should contain.

    Raises
    ------
    ResultRejected
        If the object contains anything else; it lists every fault.
    """
    try:
        ds = dcmread(path)
    except (InvalidDicomError, OSError, EOFError, struct.error) as error:
        raise ResultRejected(str(path), [f"cannot be read back: {error}"]) from error
    faults: list[str] = []
    try:
        for fault in _faults(ds, expected):
            faults.append(fault)
    except (*ODD_VALUE, struct.error) as error:
        faults.append(f"is malformed: {error}")
    if faults:
        raise ResultRejected(f"{ds.get('Modality', 'object')} {ds.get('SOPInstanceUID', '?')}", faults)


def _faults(ds: Dataset, expected: Expected) -> Iterator[str]:
    yield from _header_faults(ds, {**expected.sources, **expected.missing})
    yield from _equipment_faults(ds, expected.result.model)
    if ds.get("SOPInstanceUID") != content_uid(ds, expected.kind, expected.images):
        yield "SOPInstanceUID is not that of its content"
    if expected.kind is not ObjectKind.PR and ds.get("SeriesInstanceUID") != series_uid([ds]):
        yield "SeriesInstanceUID is not that of this object alone"
    room = room_of(str(ds.get("SOPClassUID")))
    if room is None:
        yield f"unexpected SOP Class {ds.get('SOPClassUID')}"
    else:
        yield from import_module(f"{room}.check").faults(ds, expected)


def _header_faults(ds: Dataset, sources: Mapping[str, Dataset]) -> Iterator[str]:
    for keyword in PRESENT:
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
            yield f"{keyword} differs from the source's"


def _equipment_faults(ds: Dataset, model: ModelIdentity) -> Iterator[str]:
    """Compare the equipment that made an object (PS3.3 C.7.5.1, C.12.1.1.5) with the model."""
    contributions = list(ds.get("ContributingEquipmentSequence") or ())
    purposes = [item.PurposeOfReferenceCodeSequence[0].CodeValue for item in contributions]
    if purposes != [codes.PROCESSING_EQUIPMENT.value]:
        yield "the model is not the only contributing equipment"
        return
    due = equipment(model)
    for where in (ds, contributions[0]):
        told = [where.get(keyword) for keyword in EQUIPMENT.values()]
        if told != [due[name] for name in EQUIPMENT]:
            yield f"equipment is {told}, not the model's"
    if contributions[0].get("DeviceUID") != device_uid(model):
        yield f"DeviceUID is {contributions[0].get('DeviceUID')}, not that of the model"
