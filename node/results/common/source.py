"""The header of a source image, cleaned up so that result objects can inherit from it.

Headers in the wild lack mandatory attributes, contain values that are too long or illegal, and declare
character sets that writers refuse. A result must carry the same patient and study nevertheless:
:func:`read_source` copies what results need into a clean data set and leaves the source unchanged.
Private attributes, pixels and free text about the patient are not copied. Everything about the image's display
that :mod:`node.results.common.display` repeats is copied; if there are several VOI LUTs, only the first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from pydicom.datadict import dictionary_description, dictionary_VM, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, ExplicitVRLittleEndian

from ftmtl.decoding.files import read
from ftmtl.header.frames import GROUPS, flattened
from ftmtl.header.sizes import plausible_spacing
from node.charsets import DEFAULT, Decoder
from node.results.common import display
from node.results.common.dates import parse_date, parse_time

TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
    "Manufacturer", "SeriesNumber", "InstanceNumber", "PatientOrientation",
)  # fmt: skip
"""Attributes that results inherit and that may be empty but not absent (PS3.3 C.7)."""

TRIAL_TYPE_1 = ("ClinicalTrialSponsorName", "ClinicalTrialProtocolID")
TRIAL_TYPE_2 = ("ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName")
TRIAL_SUBJECT = ("ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID")
"""Attributes of the Clinical Trial Subject Module (PS3.3 C.7.1.3), which is present as a whole or not at all:
mandatory ones, ones that may be empty, and two of which at least one is required."""

PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "PatientAge", "PatientSize", "PatientWeight",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
    *TRIAL_TYPE_1, *TRIAL_TYPE_2, *TRIAL_SUBJECT, "ClinicalTrialTimePointID", "ClinicalTrialTimePointDescription",
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
    "StudyDescription", "IssuerOfAccessionNumberSequence",
)  # fmt: skip
"""Attributes of the patient and the study, which a result has as its source has them (PS3.3 C.7.1, C.7.2)."""

_ORDER = ("RequestAttributesSequence", "ProcedureCodeSequence", "RequestedProcedureCodeSequence")

COPIED = (
    *TYPE_2,
    *PATIENT_AND_STUDY,
    # The order
    *_ORDER, "PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest",
    # Series and equipment
    "Modality", "SeriesInstanceUID", "SeriesDate", "SeriesTime", "ManufacturerModelName", "DeviceSerialNumber",
    "SoftwareVersions", "InstitutionName", "StationName",
    # Image
    "SOPClassUID", "SOPInstanceUID", "TimezoneOffsetFromUTC", "AcquisitionDate", "AcquisitionTime",
    "ContentDate", "ContentTime", "FrameOfReferenceUID", "PositionReferenceIndicator", "Laterality",
    "ImageLaterality", "ViewPosition", "ViewCodeSequence", "ViewModifierCodeSequence",
    "Rows", "Columns", "PixelSpacing", "ImagerPixelSpacing", "BurnedInAnnotation",
    "EstimatedRadiographicMagnificationFactor", "LossyImageCompression", "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    # How it is displayed
    *display.ATTRIBUTES, *display.LUTS,
)  # fmt: skip
"""Keywords of everything that :func:`read_source` may copy."""

_TAGS = {keyword: Tag(tag_for_keyword(keyword) or 0) for keyword in COPIED}
_PATIENT_AND_STUDY_TAGS = frozenset(_TAGS[keyword] for keyword in PATIENT_AND_STUDY)
_CHARSET = Tag("SpecificCharacterSet")
_READ = [*_TAGS.values(), _CHARSET, *map(Tag, GROUPS)]

UTF8 = "ISO_IR 192"

IDENTITY = {
    "PatientID": "Patient ID",
    "IssuerOfPatientID": "Issuer of Patient ID",
    "PatientName": "Patient's Name",
    "AccessionNumber": "Accession Number",
}
"""Attributes that identify a patient or an examination, by name: results have them whole, or there are no results."""

MAX_LENGTH = {"SH": 16, "LO": 64, "PN": 64, "CS": 16, "ST": 1024, "UT": 10240, "UC": 10240, "DS": 16, "IS": 12}
"""Longest value in characters (PS3.5 6.2); for PN, the longest component group."""

_ALL_OR_NONE = frozenset({"PatientOrientation", "PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"})
"""Pairs: one bad value invalidates both."""

_INNER_SEQUENCES = frozenset({"ViewModifierCodeSequence", "RequestedProcedureCodeSequence"})
"""Sequences that are kept inside another sequence."""

_OF_AN_ORDER = frozenset(
    ("StudyInstanceUID", "AccessionNumber", "RequestedProcedureID", "RequestedProcedureDescription",
     "RequestedProcedureCodeSequence", "ScheduledProcedureStepID", "ScheduledProcedureStepDescription")
)  # fmt: skip
"""What is copied of an item of Request Attributes; reasons for an examination are left to its order."""

_PROCEDURES = ("ProcedureCodeSequence", "RequestedProcedureCodeSequence")
_CODE = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")

METHOD_NOT_STATED = "Not stated by the source image"
"""De-identification Method if an image says that the patient's identity was removed, but not how (PS3.3 C.7.1.1)."""

_ENDS_OF_NAMES, _ENDS_OF_LINES = frozenset({0x5E, 0x3D}), frozenset({0x0A, 0x0C, 0x0D})

_LOCALISED = frozenset({"SH", "LO", "PN", "ST", "LT", "UT", "UC"})


class SourceUnusable(ValueError):  # noqa: N818 - it names the image's state
    """An image that results can't refer to, or whose identity they can't carry; the message says why."""


def read_source(source: str | PathLike[str] | Dataset, charset: str = DEFAULT) -> Dataset:
    """Return the normalised header copy of a source image, without pixels.

    Parameters
    ----------
    source
        A DICOM file, or its data set, which is left as it is.
    charset
        The character set to try where the header declares none and its text is not UTF-8, as a defined term.

    Returns
    -------
    Dataset
        The attributes in :data:`COPIED` that the source has, legal and decoded; those in
        :data:`TYPE_2` even if it lacks them. Rows, Columns and the four UIDs are as in the source.

    Raises
    ------
    pydicom.errors.InvalidDicomError, OSError
        If the file cannot be read.
    SourceUnusable
        If the source has no SOP Class, SOP Instance, Study or Series Instance UID, or no size, or if a result cannot
        carry an attribute that identifies the patient or the examination as the source has it.
    """
    return _normalised(source, charset)[0]


def source_notes(source: str | PathLike[str] | Dataset, charset: str = DEFAULT) -> tuple[str, ...]:
    """Return sentences about what was unusual about a header's text; raises what :func:`read_source` raises."""
    return _normalised(source, charset)[1]


def _normalised(source: str | PathLike[str] | Dataset, charset: str) -> tuple[Dataset, tuple[str, ...]]:
    if not isinstance(source, Dataset):
        source = read(Path(source), stop_before_pixels=True, specific_tags=_READ)
    source = flattened(source)
    decoder = Decoder(_declared(source), charset)
    header = Dataset()
    for keyword, tag in _TAGS.items():
        _copy(source, header, keyword, tag, decoder)
    for keyword in TYPE_2:
        if keyword not in header:
            setattr(header, keyword, None)
    _drop_implausible_spacing(header)
    _complete_patient(header)
    _check_identity(header)
    header.SpecificCharacterSet = UTF8
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return header, tuple(decoder.notes)


def _drop_implausible_spacing(header: Dataset) -> None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        if keyword in header and plausible_spacing(header, keyword) is None:
            delattr(header, keyword)


def with_patient_of(header: Dataset, other: Dataset) -> Dataset:
    """Return a normalised header with the patient and study attributes of another one of the same study.

    The images of a study may spell the patient's name differently. Its reports carry one header (PS3.3 C.7.1, C.7.2).
    """
    copy = Dataset()
    copy.update({element.tag: element for element in header if element.tag not in _PATIENT_AND_STUDY_TAGS})
    copy.update({element.tag: element for element in other if element.tag in _PATIENT_AND_STUDY_TAGS})
    copy.file_meta = header.file_meta
    return copy


def _complete_patient(header: Dataset) -> None:
    """Add what the copied patient attributes require, or remove what cannot stand alone."""
    if header.get("PatientIdentityRemoved") == "YES" and "DeidentificationMethodCodeSequence" not in header:
        header.setdefault("DeidentificationMethod", METHOD_NOT_STATED)
    whole = any(keyword in header for keyword in TRIAL_SUBJECT) and all(keyword in header for keyword in TRIAL_TYPE_1)
    for keyword in (*TRIAL_SUBJECT, *TRIAL_TYPE_1, *TRIAL_TYPE_2):
        if not whole and keyword in header:
            delattr(header, keyword)
        elif whole and keyword in TRIAL_TYPE_2 and keyword not in header:
            setattr(header, keyword, None)


def _check_identity(header: Dataset) -> None:
    needed = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns")
    missing = [keyword for keyword in needed if not header.get(keyword)]
    if missing:
        raise SourceUnusable(f"source image without {', '.join(missing)}")
    for keyword in ("SOPInstanceUID", "StudyInstanceUID"):
        if not UID(header[keyword].value).is_valid:
            raise SourceUnusable(f"its {dictionary_description(keyword)} is not a legal UID")


def _declared(source: Dataset) -> list[str]:
    """Return the Specific Character Set of the source, one term per value; [''] if it has none."""
    element = source.get_item(_CHARSET)
    value = element.value if element is not None else None
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    terms = value.split("\\") if isinstance(value, str) else list(value or [""])
    return [str(term).strip(" \0") for term in terms] or [""]


def _copy(source: Dataset, target: Dataset, keyword: str, tag: BaseTag, decoder: Decoder) -> None:
    """Copy one attribute, normalised; leave it out if nothing legal remains of it."""
    if tag not in source:
        return
    vr = dictionary_VR(tag)
    if keyword in display.LUTS:
        lut = display.usable_lut(source, keyword)
        if lut is not None:
            setattr(target, keyword, Items([lut]))
        return
    if vr == "SQ":
        items = _items(source, tag, decoder)
        if items:
            setattr(target, keyword, Items(items))
        return
    if vr == "US":
        value = source[tag].value
        if isinstance(value, int):
            setattr(target, keyword, value)
        return
    found = _values(source, tag, vr, decoder)
    values = [_legal(keyword, vr, value) for value in found]
    if keyword in IDENTITY:
        _check_whole(IDENTITY[keyword], found, values[0])
    elif keyword == "StudyID" and values[0] != found[0].strip(" \0"):
        return  # a part of it would be another one
    if dictionary_VM(tag) == "1":
        values = values[:1]
    if any(values) and not (keyword in _ALL_OR_NONE and (len(values) != 2 or not all(values))):
        setattr(target, keyword, values if len(values) > 1 else values[0])


def _check_whole(name: str, found: Sequence[str], legal: str) -> None:
    """Check that a result can carry an identifying attribute as the source has it.

    Raises
    ------
    SourceUnusable
        If it cannot.
    """
    if len(found) > 1:
        raise SourceUnusable(f"the {name} contains a backslash")
    if legal.rstrip("^= ") != found[0].strip(" \0\t\r\n").rstrip("^= "):
        raise SourceUnusable(f"the {name} is too long, or contains what the standard does not allow")


def _items(source: Dataset, tag: BaseTag, decoder: Decoder) -> list[Dataset]:
    """Return a sequence's items, normalised in the same way, without private attributes and most nested sequences."""
    items = []
    keyword, value = keyword_for_tag(tag), source[tag].value
    of_an_order, is_of_codes = keyword == "RequestAttributesSequence", keyword in _PROCEDURES
    for item in value if isinstance(value, Items) else ():
        copy = Dataset()
        for inner in item:
            if inner.tag.is_private or not inner.keyword or (of_an_order and inner.keyword not in _OF_AN_ORDER):
                continue
            if inner.VR != "SQ" or inner.keyword in _INNER_SEQUENCES:
                _copy(item, copy, inner.keyword, inner.tag, decoder)
        if "UniversalEntityID" in copy and "UniversalEntityIDType" not in copy:  # PS3.3 10.17: useless without its type
            del copy.UniversalEntityID
        if len(copy) and (not is_of_codes or all(part in copy for part in _CODE)):
            items.append(copy)
    return items


def _values(source: Dataset, tag: BaseTag, vr: str, decoder: Decoder) -> list[str]:
    """Return an attribute's values as decoded text, without pydicom's warnings, which quote the value."""
    element = source.get_item(tag)
    value = element.value if element is not None else None
    if value is None:
        return [""]
    if isinstance(element, RawDataElement) or isinstance(value, bytes):
        if vr in _LOCALISED:
            text = decoder.decode(bytes(value), _ENDS_OF_NAMES if vr == "PN" else _ENDS_OF_LINES)
        else:
            text = bytes(value).decode("ascii", "replace")
        return text.split("\\") if vr not in ("ST", "LT", "UT") else [text]
    if isinstance(value, (MultiValue, list, tuple)):
        return [str(part) for part in value] or [""]
    return [str(value)]


def _legal(keyword: str, vr: str, text: str) -> str:
    """Return a value in a form that PS3.5 6.2 and the attribute's own terms allow, or an empty string."""
    text = text.strip(" \0\t\r\n")
    if not text:
        return ""
    if keyword in _TERMS:
        text = _SEXES.get(text.upper(), text.upper()) if keyword == "PatientSex" else text.upper()
        return text if re.fullmatch(_TERMS[keyword], text) else ""
    if keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        return text[:16] if _positive(text) else ""
    if vr == "DS" and len(text) > MAX_LENGTH["DS"]:
        text = _rounded(text)
    if vr in _FORMS:
        return text if re.fullmatch(_FORMS[vr], text) else ""
    if vr == "DA":
        day = parse_date(text)
        return f"{day:%Y%m%d}" if day else ""
    if vr == "TM":
        return text.replace(":", "") if parse_time(text) else ""
    if vr == "PN":
        return _person_name(text)
    keep = "\t\n\f\r" if vr in ("ST", "LT", "UT") else ""
    text = "".join(c for c in text if c in keep or not (c < " " or "\x7f" <= c < "\xa0"))
    return text[: MAX_LENGTH.get(vr, 64)].strip()


_TERMS = {
    "PatientSex": "[MFO]",
    "PatientIdentityRemoved": "YES|NO",
    "LongitudinalTemporalInformationModified": "UNMODIFIED|MODIFIED|REMOVED",
    "PatientOrientation": "[ALRHFP]{1,3}",
    "LossyImageCompression": "0[01]",
    "TimezoneOffsetFromUTC": r"[+-](0\d|1[0-4])[0-5]\d",
    "Laterality": "[LRB]",
    "ImageLaterality": "[LRB]",
    "BurnedInAnnotation": "YES|NO",
}
_SEXES = {"FEMALE": "F", "MALE": "M", "OTHER": "O"}
_FORMS = {
    "UI": "[0-9.]{1,64}",
    "AS": r"\d{3}[DWMY]",
    "CS": r"[A-Z0-9 _]{1,16}",
    "IS": r"[+-]?\d{1,11}",
    "DS": r"(?=.{1,16}$)[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?",
}


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < 100
    except ValueError:
        return False


def _rounded(text: str) -> str:
    try:
        return f"{float(text):.9g}"
    except ValueError:
        return ""


def _person_name(text: str) -> str:
    """Return a PN of at most three groups, each of at most five components and 64 characters."""
    text = "".join(c for c in text if not (c < " " or "\x7f" <= c < "\xa0"))
    groups = ["^".join(group.split("^")[:5])[: MAX_LENGTH["PN"]].strip() for group in text.split("=")[:3]]
    return "=".join(groups).rstrip("=")
