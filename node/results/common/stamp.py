"""What every result object says about itself: what made it, and that it is for research only."""

from __future__ import annotations

from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation

from ftmtl.findings import ModelIdentity
from node.identity import MANUFACTURER, software_version

RESEARCH = "RESEARCH"
RESEARCH_NOTICE = "Research use only. Not a medical device, not for diagnosis."

NOTICE = "RESEARCH USE ONLY - NOT FOR DIAGNOSIS"
"""The notice on every picture with findings."""

SCORES = "Scores from 0 to 100 are not calibrated: they are no probabilities."
"""What has to be said wherever a score stands."""


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
    added by :func:`node.results.common.finish.finish`.
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
