"""Headers as they are met in the wild."""

from __future__ import annotations

from collections.abc import Mapping

from pydicom.dataset import Dataset

from support import mg
from support.breasts import COLUMNS, ROWS, breast

AWKWARD: dict[str, dict[str, object]] = {
    "type 2 missing": dict.fromkeys(
        ("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "PatientName", "PatientID", "PatientBirthDate",
         "PatientSex", "ReferringPhysicianName", "Manufacturer", "PatientOrientation")
    ),
    "sex unknown": {"PatientSex": "U"},
    "dates zero": {"PatientBirthDate": "00000000", "StudyDate": "00000000", "ContentDate": "", "StudyTime": "25"},
    "too long": {"StudyID": "S" * 17, "PatientComments": "long " * 3000},
    "orientation is a view": {"PatientOrientation": "CC"},
    "no dates at all": dict.fromkeys(
        ("StudyDate", "StudyTime", "ContentDate", "ContentTime", "AcquisitionDate", "AcquisitionTime")
    ),
}  # fmt: skip
"""What the header of a mammogram is changed to before reports and masks are made of it; None removes an attribute."""

AWKWARD_FOR_PICTURES: dict[str, dict[str, object]] = {
    "type 2 missing": dict.fromkeys(
        ("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "PatientName", "PatientID", "PatientBirthDate",
         "PatientSex", "ReferringPhysicianName", "Manufacturer", "PatientOrientation")
    ),
    "nothing is known of the image": dict.fromkeys(
        ("ImageLaterality", "ViewPosition", "ViewCodeSequence", "PatientOrientation", "ImagerPixelSpacing",
         "ContentDate", "AcquisitionDate", "StudyDate")
    ),
    "sex unknown": {"PatientSex": "U"},
    "a name in Cyrillic": {"SpecificCharacterSet": "ISO_IR 144", "PatientName": "Люкceмбypг"},
    "a name in Chinese": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Wang^XiaoDong=王^小東"},
    "For Processing": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2.1"},
}  # fmt: skip
"""The same for what is drawn: pages and presentation states."""


def header_with(**changes: object) -> Dataset:
    """Return a synthetic header with attributes replaced, or removed where the new value is None."""
    return _changed(mg.mg_header(), changes)


def image_with(changes: Mapping[str, object], uid: str = "2.25.20", number: int = 1) -> Dataset:
    """Return a mammogram with a breast on it, its header changed in the same way."""
    ds = mg.mg_header(size=(ROWS, COLUMNS), uid=uid, number=number)
    ds.PixelData = breast().tobytes()
    return _changed(ds, changes)


def _changed(ds: Dataset, changes: Mapping[str, object]) -> Dataset:
    for keyword, value in changes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds
