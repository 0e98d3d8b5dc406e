"""Headers as they are met in the wild."""

from __future__ import annotations

from pydicom.dataset import Dataset

from support import mg
from support.breasts import COLUMNS, ROWS, breast


def broken(**changes: object) -> Dataset:
    """Return a synthetic header with attributes replaced, or removed where the new value is None."""
    ds = mg.mg_header()
    for keyword, value in changes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            ds.add_new(keyword, ds[keyword].VR if keyword in ds else "LO", value)
    return ds


AWKWARD = {
    "type 2 missing": dict.fromkeys(
        ("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "PatientName", "PatientID", "PatientBirthDate",
         "PatientSex", "ReferringPhysicianName", "Manufacturer", "PatientOrientation")
    ),
    "sex unknown": {"PatientSex": "U"},
    "dates zero": {"PatientBirthDate": "00000000", "StudyDate": "00000000", "ContentDate": "", "StudyTime": "25"},
    "too long": {"PatientID": "9" * 80, "AccessionNumber": "A" * 40, "StudyID": "S" * 17},
    "orientation is a view": {"PatientOrientation": "CC"},
    "no dates at all": dict.fromkeys(
        ("StudyDate", "StudyTime", "ContentDate", "ContentTime", "AcquisitionDate", "AcquisitionTime")
    ),
}  # fmt: skip


def image(changes: dict[str, object], uid: str = "2.25.20", number: int = 1) -> Dataset:
    """Return a mammogram with a breast on it, with attributes replaced, or removed where the new value is None."""
    ds = mg.mg_header(rows=ROWS, columns=COLUMNS, uid=uid, number=number)
    ds.PixelData = breast().tobytes()
    for keyword, value in changes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


TOMOSYNTHESIS = "This is a tomosynthesis object; the model reads 2D mammograms only."
