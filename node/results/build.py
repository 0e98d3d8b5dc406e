"""From a study's result to checked DICOM objects on the disk."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from ftmtl.acquisition import ODD_VALUE
from ftmtl.findings import ImageResult, Outcome, StudyResult
from node.domain import ResultObject
from node.results.source import read_source
from node.spool import sync_folder

ANALYSED = (Outcome.FINDINGS, Outcome.NO_FINDINGS)
"""Outcomes of the images that results speak of."""


def build_results(result: StudyResult, sources: Sequence[Path], folder: Path) -> list[ResultObject]:
    """Write a segmentation for every image with findings and one report of what happened to the study.

    Parameters
    ----------
    result
        What was found.
    sources
        Files of the study's images, in any order; ones that ``result`` does not name are ignored, and of
        images that were not analysed also those whose header can't be read.
    folder
        Where to write; made if it does not exist. A file of the same name is replaced.

    Returns
    -------
    list of ResultObject
        Segmentations, then the report; empty if no image was analysed and no header can be read. Files appear
        under their names only after they have been read back and checked. A second call writes the same bytes.

    Raises
    ------
    ResultRejected
        If a written object is not what it should be; it is removed.
    ValueError
        If an analysed image has no file among ``sources``, or is of another study.
    """
    from node.results.report import build_report
    from node.results.segmentation import SERIES_NUMBER, build_segmentation

    known = _headers(result, sources)
    pairs = _analysed(result, known)
    headers = {image.sop_instance_uid: header for header, image in pairs}
    missing = {uid: header for uid, header in known.items() if uid not in headers}
    if not known:
        return []
    segmentations = {
        image.sop_instance_uid: build_segmentation(header, image, result.model, SERIES_NUMBER + index)
        for index, (header, image) in enumerate(pairs)
        if image.findings
    }
    report = build_report(list(headers.values()), result, segmentations, missing)
    folder.mkdir(parents=True, exist_ok=True)
    objects = [_write("seg", seg, folder, result, headers, segmentations, {}) for seg in segmentations.values()]
    objects.append(_write("sr", report, folder, result, headers, segmentations, missing))
    sync_folder(folder)
    return objects


def _headers(result: StudyResult, sources: Sequence[Path]) -> dict[str, Dataset]:
    """Return the normalised header of each image of the result, as far as there is one that can be read."""
    images = {image.sop_instance_uid for image in result.images}
    headers: dict[str, Dataset] = {}
    for path in sources if images else ():
        try:
            header = read_source(path)
        except (InvalidDicomError, *ODD_VALUE, EOFError):
            continue
        if header.SOPInstanceUID in images:
            headers[str(header.SOPInstanceUID)] = header
    strays = [uid for uid, header in headers.items() if header.StudyInstanceUID != result.study_uid]
    if strays:
        raise ValueError(f"not of study {result.study_uid}: {', '.join(sorted(strays))}")
    return headers


def _analysed(result: StudyResult, headers: Mapping[str, Dataset]) -> list[tuple[Dataset, ImageResult]]:
    """Return header and result of each analysed image, in an order that does not hang on how they came."""
    images = {image.sop_instance_uid: image for image in result.images if image.outcome in ANALYSED}
    lost = images.keys() - headers.keys()
    if lost:
        raise ValueError(f"no readable file of {', '.join(sorted(lost))}")
    pairs = [(headers[uid], image) for uid, image in images.items()]
    return sorted(pairs, key=lambda pair: (pair[1].view or "", pair[1].laterality or "", pair[1].sop_instance_uid))


def _write(
    kind: str,
    ds: Dataset,
    folder: Path,
    result: StudyResult,
    headers: Mapping[str, Dataset],
    segmentations: Mapping[str, Dataset],
    missing: Mapping[str, Dataset],
) -> ResultObject:
    """Write to a temporary name, sync, read back, check, and only then rename."""
    from node.results.conformance import check_object

    path = folder / f"{ds.SOPInstanceUID}.dcm"
    part = folder / f".{ds.SOPInstanceUID}.{os.getpid()}.part"
    try:
        with part.open("wb") as file:
            ds.save_as(file, enforce_file_format=True)
            file.flush()
            os.fsync(file.fileno())
        check_object(part, result, headers, segmentations, missing)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return ResultObject(kind, str(ds.SOPClassUID), str(ds.SOPInstanceUID), str(ds.SeriesInstanceUID), path)
