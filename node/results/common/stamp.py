"""What every result object says about itself: what made it, when, and that it is for research only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import UID, DigitalMammographyXRayImageStorageForPresentation

from ftmtl.findings import ModelIdentity
from node.identity import IMPLEMENTATION_CLASS_UID, MANUFACTURER, implementation_version_name, software_version
from node.results.common import codes
from node.results.common.content import code_items
from node.results.common.dates import derived_datetime
from node.results.common.naming import device_uid

RESEARCH = "RESEARCH"
RESEARCH_NOTICE = "Research use only. Not a medical device, not for diagnosis."

NOTICE = "RESEARCH USE ONLY - NOT FOR DIAGNOSIS"
"""The notice on every picture with findings."""

_PATIENT_NAME = Tag("PatientName")


def equipment(model: ModelIdentity) -> dict[str, Any]:
    """Return the keyword arguments of a highdicom constructor that identify the equipment (PS3.3 C.7.5.2)."""
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": model.name[:64],
        "software_versions": [software_version()[:64], model.version[:64]],
        "device_serial_number": model.weights_sha256[:16],
        "content_qualification": RESEARCH,
    }


def algorithm_parameters(model: ModelIdentity) -> str:
    """Return what a reader has to know about the algorithm besides its name and version (PS3.16 TID 4019)."""
    configuration = f"; configuration {model.configuration}" if model.configuration else ""
    return f"{RESEARCH_NOTICE} Weights sha256 {model.weights_sha256}{configuration}"


def nameless(source: Dataset) -> Dataset:
    """Return a copy without the patient's name, which shares no elements with the source.

    highdicom warns about unusual names and quotes them, and names do not belong in logs. The name is
    added to the finished object by :func:`stamp`.
    """
    copy = Dataset()
    copy.update({element.tag: DataElement(element.tag, element.VR, element.value) for element in source})
    copy.PatientName = None
    copy.file_meta = source.file_meta
    return copy


def patient_of(source: Dataset) -> Dataset:
    """Return a nameless copy for highdicom to take patient and study from, and to refer to.

    It is labelled a mammogram, whatever it is: highdicom copies nothing from classes that it does not know, and wants
    volumes of tomosynthesis. `name_class` puts the references right.
    """
    copy = nameless(source)
    copy.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    return copy


def name_class(ds: Dataset, source: Dataset) -> None:
    """Give an object's references to its source the class that the source has."""

    def name(item: Dataset, element: DataElement) -> None:
        if element.keyword == "ReferencedSOPClassUID" and item.ReferencedSOPInstanceUID == source.SOPInstanceUID:
            element.value = source.SOPClassUID

    ds.walk(name)


def stamp(ds: Dataset, sources: list[Dataset], model: ModelIdentity) -> None:
    """Add to a new object the patient's name, times derived from its sources, and the model that made it.

    Parameters
    ----------
    ds
        The object; changed in place.
    sources
        Normalised headers of the images that it was made from; patient and study come from the first.
    model
        The model that made it.
    """
    made = derived_datetime(sources)
    ds.add(DataElement(_PATIENT_NAME, "PN", sources[0].get("PatientName")))
    ds.InstanceCreationDate = ds.ContentDate = f"{made:%Y%m%d}"
    ds.InstanceCreationTime = ds.ContentTime = f"{made:%H%M%S}"
    if sources[0].get("TimezoneOffsetFromUTC"):
        ds.TimezoneOffsetFromUTC = sources[0].TimezoneOffsetFromUTC
    ds.ContributingEquipmentSequence = Items([_contribution(model, made)])
    ds.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    ds.file_meta.ImplementationVersionName = implementation_version_name()


def _contribution(model: ModelIdentity, made: datetime) -> Dataset:
    """Return the model as the equipment that made an object (PS3.3 C.12.1.1.5).

    It replaces what highdicom enters: the modality that acquired one image out of several, and the library itself,
    whose version would change the bytes with every update.
    """
    device = equipment(model)
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = code_items(codes.PROCESSING_EQUIPMENT)
    item.Manufacturer, item.ManufacturerModelName = device["manufacturer"], device["manufacturer_model_name"]
    item.SoftwareVersions, item.DeviceSerialNumber = device["software_versions"], device["device_serial_number"]
    item.DeviceUID = device_uid(model)
    item.ContributionDateTime = f"{made:%Y%m%d%H%M%S}"
    item.ContributionDescription = f"Reader of mammograms. {RESEARCH_NOTICE}"
    return item
