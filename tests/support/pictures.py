"""What pages and presentation states say alike, and the page of a study: made of grey images, written, checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from ftmtl.findings import StudyResult
from node.kinds import ObjectKind
from node.results.conformance import check_object
from node.results.sc.build import build_capture
from node.results.study import Expected
from support.studies import Study

NOTICE = "RESEARCH USE ONLY - NOT FOR DIAGNOSIS"


def displayed(headers: Sequence[Dataset]) -> dict[str, NDArray[np.float32]]:
    """Return something grey for each image, reduced to at most a thousand rows."""
    pixels = {}
    for header in headers:
        factor = -(-header.Rows // 1000)
        rows, columns = header.Rows // factor, header.Columns // factor
        pixels[str(header.SOPInstanceUID)] = np.tile(np.linspace(0.1, 0.6, columns, dtype=np.float32), (rows, 1))
    return pixels


def write_page(study: Study, result: StudyResult, path: Path) -> Dataset:
    """Write a study's page, check it as everything is checked before it is sent, and read it back."""
    analysed = {image.sop_instance_uid for image in result.images if image.score is not None}
    sources = {str(h.SOPInstanceUID): h for h in study.headers if h.SOPInstanceUID in analysed}
    missing = {str(h.SOPInstanceUID): h for h in study.headers if h.SOPInstanceUID not in analysed}
    ds = build_capture(list(sources.values()), result, displayed(list(sources.values())), missing)
    ds.save_as(path, enforce_file_format=True)
    check_object(path, Expected(ObjectKind.SC, result, sources, {}))
    return dcmread(path)
