"""What the header of a received instance says: the instance, its patient and its study."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from ftmtl.decoding.files import read
from ftmtl.header.acquisition import HEADER_TAGS
from node.charsets import DEFAULT, Decoder
from node.domain import StudyFacts

_FACTS = {
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
    "patient_name": "PatientName",
    "accession_number": "AccessionNumber",
    "study_date": "StudyDate",
    "description": "StudyDescription",
}
_TAGS = [
    Tag(keyword)
    for keyword in (
        *HEADER_TAGS, "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality",
        "SpecificCharacterSet", *_FACTS.values(),
    )
]  # fmt: skip


def read_header(path: Path) -> Dataset:
    """Read the attributes that the node needs to know before it answers; pixels are not read."""
    return read(path, stop_before_pixels=True, specific_tags=_TAGS)


def is_uid(value: str) -> bool:
    """Return whether a value is a legal UID (PS3.5 9.1)."""
    return len(value) <= 64 and UID(value).is_valid


def facts_of(header: Dataset, charset: str = DEFAULT) -> StudyFacts:
    """Return what people search a study by, decoded; without pydicom's warnings, which quote the values.

    ``charset`` is the character set to try where the header declares none and its text is not UTF-8.
    """
    declared = header.get_item("SpecificCharacterSet")
    terms = b"" if declared is None else declared.value or b""
    names = terms.decode("ascii", "replace").split("\\") if isinstance(terms, bytes) else list(map(str, [terms]))
    decoder = Decoder(names, charset)
    found = {name: _text(header, keyword, decoder) for name, keyword in _FACTS.items()}
    date = found["study_date"].replace(".", "")
    found["study_date"] = date if len(date) == 8 and date.isdigit() else ""
    return StudyFacts(**found)


def identity_of(facts: StudyFacts) -> str:
    """Return a digest of Patient ID and issuer: two patients differ in it, two spellings of a name don't."""
    return hashlib.sha256(f"{facts.patient_id}\0{facts.issuer}".encode()).hexdigest()


def _text(header: Dataset, keyword: str, decoder: Decoder) -> str:
    element = header.get_item(keyword)
    value = None if element is None else element.value
    if isinstance(value, bytes):
        value = decoder.decode(value, frozenset({0x5C, 0x5E, 0x3D}))
    return "" if value is None else str(value).strip(" \0")[:1024]
