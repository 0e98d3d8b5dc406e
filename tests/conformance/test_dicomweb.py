"""Every kind of result object through DICOMweb: Orthanc gives back, bit by bit, what it was given."""

from __future__ import annotations

from pathlib import Path

import mg
import numpy as np
from peers import Orthanc
from pydicom import dcmread

from node.domain import ObjectKind
from node.results import build_results
from node.results.source import read_source

STORAGE = "1.2.840.10008.5.1.4.1.1."


def every_object(folder: Path) -> list[Path]:
    """Write a synthetic study with findings, and objects of every kind."""
    (folder / "sources").mkdir()
    paths = mg.four_views(folder / "sources", 401, 299)
    headers = [read_source(path) for path in paths]
    images = [mg.image_result(headers[0], [mg.finding(), mg.finding(52, 66, 30, 30)])]
    images += map(mg.image_result, headers[1:])
    made = build_results(
        mg.study_result(images), paths, folder / "results", tuple(ObjectKind), display=lambda _: np.zeros((401, 299))
    )
    assert {result.kind for result in made} == set(ObjectKind)
    return [*paths, *(result.path for result in made)]


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
