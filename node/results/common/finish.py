"""The last step of every object: what made it, UIDs derived from its content, and the time of its creation.

The same content has the same UIDs, whenever and wherever it is made; any other content has others, so that a PACS
that drops what it already has cannot keep the wrong one (PS3.4 O.3). Content is everything but the patient and study
attributes, which a result only repeats, the UIDs themselves, and the times of creation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import UID, MammographyCADSRStorage

from ftmtl.findings import ImageResult, ModelIdentity
from node.identity import IMPLEMENTATION_CLASS_UID, derived_uid, implementation_version_name
from node.kinds import ObjectKind
from node.results.common import codes
from node.results.common.content import code_items
from node.results.common.naming import device_uid, versions_of
from node.results.common.source import PATIENT_AND_STUDY, UTF8
from node.results.common.stamp import RESEARCH_NOTICE, equipment

Clock = Callable[[str], datetime]
"""Returns when the object with a SOP Instance UID was first made: date and time with a time zone."""

PENDING = derived_uid("pending")
"""Stands for a UID that depends on the content of the object, until :func:`finish` has derived it."""

_INSTANCE = ("InstanceCreationDate", "InstanceCreationTime")
_CONTENT = ("ContentDate", "ContentTime")
_PRESENTATION = ("PresentationCreationDate", "PresentationCreationTime")
_REPORTS = ("1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.33", MammographyCADSRStorage)
_NOT_CONTENT = frozenset(
    Tag(keyword)
    for keyword in (
        *(set(PATIENT_AND_STUDY) - {"StudyInstanceUID"}),
        *_INSTANCE,
        *_CONTENT,
        *_PRESENTATION,
        "SOPInstanceUID",
        "SeriesInstanceUID",
    )
)


def now(uid: str) -> datetime:
    """Return the present time: of an object that was never made before."""
    return datetime.now(UTC)


class Origin(NamedTuple):
    """What an object was made from, and by what.

    Attributes
    ----------
    headers
        Normalised headers of the images; patient and study come from the first.
    images
        What was found on them. Digests of corrected images are part of the object's UIDs.
    model
        The model that made it.
    """

    headers: Sequence[Dataset]
    images: Sequence[ImageResult]
    model: ModelIdentity


def finish(ds: Dataset, kind: ObjectKind, origin: Origin, clock: Clock = now) -> None:
    """Complete an object of a kind; it is changed in place.

    Parameters
    ----------
    ds
        The object, with :data:`PENDING` wherever its own UIDs belong.
    clock
        Tells when it was first made.
    """
    source, model = origin.headers[0], origin.model
    ds.SpecificCharacterSet = UTF8
    ds.ContributingEquipmentSequence = Items([_contribution(model)])
    ds.DeviceUID = device_uid(model)
    if source.get("TimezoneOffsetFromUTC"):
        ds.TimezoneOffsetFromUTC = source.TimezoneOffsetFromUTC
    if ds.SOPClassUID not in _REPORTS:
        ds.BodyPartExamined = "BREAST"
    ds.SOPInstanceUID = UID(content_uid(ds, kind, origin.images))
    ds.SeriesInstanceUID = series_uid([ds])
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    ds.file_meta.ImplementationVersionName = implementation_version_name()
    ds.PatientName = source.get("PatientName")
    _date(ds, clock(str(ds.SOPInstanceUID)))


def content_uid(ds: Dataset, kind: ObjectKind, images: Iterable[ImageResult]) -> str:
    """Return the SOP Instance UID that an object's content demands, of an object in memory or read from a file."""
    content = Dataset()
    for element in ds:
        if element.tag in _NOT_CONTENT:
            continue
        content.add(_undated(element) if element.keyword == "ContributingEquipmentSequence" else element)
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = False, True
    write_dataset(file, content)
    return derived_uid(kind, *versions_of(images), hashlib.sha256(file.getvalue()).hexdigest())


def share_series(objects: Sequence[Dataset]) -> None:
    """Put objects into one series, whose UID depends on all of them."""
    uid = series_uid(objects)
    for ds in objects:
        ds.SeriesInstanceUID = uid


def series_uid(objects: Sequence[Dataset]) -> str:
    """Return the Series Instance UID of objects that make up a series."""
    return derived_uid("series", *(str(ds.SOPInstanceUID) for ds in objects))


def _undated(element: DataElement) -> DataElement:
    """Return a sequence without the times of contribution in its items."""
    items = []
    for item in element.value:
        copy = Dataset()
        copy.update({inner.tag: inner for inner in item if inner.keyword != "ContributionDateTime"})
        items.append(copy)
    return DataElement(element.tag, "SQ", Items(items))


def _date(ds: Dataset, made: datetime) -> None:
    """Enter the time of creation, in the time zone that the object states, or else in that of this machine."""
    offset = ds.get("TimezoneOffsetFromUTC")
    local = made.astimezone(_zone(offset) if offset else None)
    content = _PRESENTATION if "PresentationCreationDate" in ds else _CONTENT
    for day, time in (_INSTANCE, content):
        setattr(ds, day, f"{local:%Y%m%d}")
        setattr(ds, time, f"{local:%H%M%S}")
    ds.ContributingEquipmentSequence[0].ContributionDateTime = f"{local:%Y%m%d%H%M%S}"


def _zone(offset: str) -> timezone:
    """Return the time zone of a TimezoneOffsetFromUTC, such as ``+0100`` (PS3.3 C.12.1.1.8)."""
    away = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))
    return timezone(-away if offset[0] == "-" else away)


def _contribution(model: ModelIdentity) -> Dataset:
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
    item.ContributionDescription = f"Reader of mammograms. {RESEARCH_NOTICE}"
    return item
