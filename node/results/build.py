"""From a study's result to checked DICOM objects on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from ftmtl.decoding.files import ODD_VALUE
from ftmtl.findings import ImageResult, StudyResult
from node.charsets import DEFAULT
from node.domain import Predecessor, ResultObject
from node.kinds import DEFAULT_OBJECTS, ObjectKind
from node.results.common.finish import Clock, now
from node.results.common.source import read_source, with_patient_of
from node.results.study import Display, Made, Study
from node.store.spool import sync_folder


def build_results(
    result: StudyResult,
    sources: Sequence[Path],
    folder: Path,
    kinds: Sequence[ObjectKind] = DEFAULT_OBJECTS,
    *,
    display: Display | None = None,
    predecessors: Mapping[ObjectKind, Predecessor] = MappingProxyType({}),
    charset: str = DEFAULT,
    clock: Clock = now,
) -> list[ResultObject]:
    """Write the objects that report what happened to a study.

    Parameters
    ----------
    result
        What was found.
    sources
        Files of the study's images, in the order in which they were received: if they disagree about the patient's
        or the study's attributes, the study's reports carry those of the last one. Files of images that ``result``
        does not name are ignored, and so are files of images that were not analysed if their header cannot be read.
    folder
        Where to write; created if needed. A file of the same name is replaced.
    kinds
        What to write. There is one segmentation or presentation state per image with findings; reports and the
        page are written in any case, and say what happened to the study.
    display
        Reads an image for the page; needed for kind ``sc`` only.
    predecessors
        The reports that the new ones replace, by kind: ``sr`` for measurement reports, ``cad`` for CAD reports.
    charset
        The character set of text where none is declared, as a defined term.
    clock
        Tells when an object was first made; by default now.

    Returns
    -------
    list of ResultObject
        In sending order; empty if no image was analysed and no header can be read. Files appear under their
        final names only after they have been read back and checked. A second call writes the same bytes if the
        clock tells the same times.

    Raises
    ------
    ResultRejected
        If a written object fails its check; its file is removed.
    ValueError
        If an analysed image has no file among ``sources``, or an image belongs to another study.
    """
    known = _headers(result, sources, charset)
    study = replace(_study(result, known, display), predecessors=predecessors, clock=clock)
    if not known:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    ordered = sorted(set(kinds), key=lambda kind: kind.place)
    objects = [_write(kind, made, folder) for kind in ordered for made in study.make(kind)]
    sync_folder(folder)
    return objects


class _Source(NamedTuple):
    """A header that could be read, and its file."""

    header: Dataset
    path: Path


def _study(result: StudyResult, known: Mapping[str, _Source], display: Display | None) -> Study:
    pairs = _analysed(result, known)
    newest = [source.header for source in known.values()][-1:]
    common = {uid: with_patient_of(source.header, *newest) for uid, source in known.items()}
    headers = {image.sop_instance_uid: common[image.sop_instance_uid] for _, image in pairs}
    return Study(
        result=result,
        found=[(header, image) for header, image in pairs if image.findings],
        headers=headers,
        missing={uid: header for uid, header in common.items() if uid not in headers},
        paths={uid: known[uid].path for uid in headers},
        display=display,
    )


def _headers(result: StudyResult, sources: Sequence[Path], charset: str) -> dict[str, _Source]:
    """Return the normalised header of each image of the result whose header can be read."""
    images = {image.sop_instance_uid for image in result.images}
    known: dict[str, _Source] = {}
    for path in sources if images else ():
        try:
            header = read_source(path, charset)
        except (InvalidDicomError, *ODD_VALUE, EOFError):
            continue
        if header.SOPInstanceUID in images:
            known[str(header.SOPInstanceUID)] = _Source(header, path)
    strays = [uid for uid, source in known.items() if source.header.StudyInstanceUID != result.study_uid]
    if strays:
        raise ValueError(f"not in study {result.study_uid}: {', '.join(sorted(strays))}")
    return known


def _analysed(result: StudyResult, known: Mapping[str, _Source]) -> list[tuple[Dataset, ImageResult]]:
    """Return header and result of each analysed image, in an order that does not depend on how they arrived."""
    images = [image for image in result.hung if image.was_read]
    lost = {image.sop_instance_uid for image in images} - known.keys()
    if lost:
        raise ValueError(f"no readable file for {', '.join(sorted(lost))}")
    return [(known[image.sop_instance_uid].header, image) for image in images]


def _write(kind: ObjectKind, made: Made, folder: Path) -> ResultObject:
    """Write to a temporary name, sync, read back, check, and only then rename."""
    from node.results.conformance import check_object

    ds = made.ds
    path = folder / f"{ds.SOPInstanceUID}.dcm"
    part = folder / f".{ds.SOPInstanceUID}.{os.getpid()}.part"
    try:
        with part.open("wb") as file:
            ds.save_as(file, enforce_file_format=True)
            file.flush()
            os.fsync(file.fileno())
        check_object(part, made.expected)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return ResultObject(kind, str(ds.SOPClassUID), str(ds.SOPInstanceUID), str(ds.SeriesInstanceUID), path)
