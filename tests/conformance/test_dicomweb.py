"""Every kind of result object through DICOMweb: Orthanc gives back, bit by bit, what it was given."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread
from support.every_kind import every_object
from support.peers import Orthanc

STORAGE = "1.2.840.10008.5.1.4.1.1."
"""How the UIDs of Storage SOP classes begin."""


def data_set(file: bytes) -> bytes:
    """Return what follows the File Meta Information (PS3.10 7.1)."""
    assert file[128:136] == b"DICM\x02\x00\x00\x00"
    return file[144 + int.from_bytes(file[140:144], "little") :]


def test_every_object_comes_back_as_it_was(dicomweb: Orthanc, tmp_path: Path) -> None:
    told = set()
    for path in every_object(tmp_path):
        dicomweb.stow(path)
        ds = dcmread(path)
        told.add((str(ds.SOPClassUID).removeprefix(STORAGE), ds.get("SegmentationType", "")))
        assert data_set(dicomweb.wado(ds)) == data_set(path.read_bytes()), ds.SOPClassUID
    segmentations = {("66.4", "BINARY"), ("66.4", "FRACTIONAL"), ("66.7", "LABELMAP")}
    others = {(number, "") for number in ("1.2", "11.1", "7", "88.33", "88.34", "88.50")}
    assert told == segmentations | others
