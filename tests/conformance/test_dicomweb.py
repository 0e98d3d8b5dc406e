"""Every kind of result object through DICOMweb: Orthanc gives back, bit by bit, what it was given."""

from __future__ import annotations

from pathlib import Path

import mg
import numpy as np
from peers import Orthanc
from pydicom import dcmread

from node.results import build_results
from node.results.cad import build_cad_report
from node.results.capture import build_capture
from node.results.ohif import build_reports_ohif
from node.results.presentation import build_presentation
from node.results.segmentation import KINDS, build_segmentation
from node.results.source import read_source

STORAGE = "1.2.840.10008.5.1.4.1.1."


def every_object(folder: Path) -> list[Path]:
    """Write a synthetic study with findings, what is built of it, and an object of each other kind."""
    (folder / "sources").mkdir()
    paths = mg.four_views(folder / "sources", 401, 299)
    headers = [read_source(path) for path in paths]
    images = [mg.image_result(headers[0], [mg.finding(), mg.finding(52, 66, 30, 30)])]
    images += map(mg.image_result, headers[1:])
    result, source, image = mg.study_result(images), headers[0], images[0]
    segs = {kind: build_segmentation(source, image, mg.MODEL, 910 + n, kind) for n, kind in enumerate(KINDS)}
    black = np.zeros((source.Rows, source.Columns), dtype=np.float32)
    more = [
        *(seg for kind, seg in segs.items() if kind != "seg"),
        *build_reports_ohif(headers, result, {source.SOPInstanceUID: segs["seg-ohif"]}).values(),
        build_cad_report(headers, result),
        build_presentation(source, image, mg.MODEL, 930),
        build_capture(headers, result, {header.SOPInstanceUID: black for header in headers}),
    ]
    built = {made.path for made in build_results(result, paths, folder / "results")}
    for ds in more:
        path = folder / "results" / f"{ds.SOPInstanceUID}.dcm"
        if path not in built:
            ds.save_as(path, enforce_file_format=True)
            built.add(path)
    return [*paths, *sorted(built)]


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
    kinds = {("66.4", "BINARY"), ("66.4", "FRACTIONAL"), ("66.7", "LABELMAP"), ("88.34", ""), ("88.50", "")}
    assert told == {("1.2", ""), ("11.1", ""), ("7", ""), *kinds}
