"""From a study's result to checked DICOM objects on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from ftmtl.acquisition import ODD_VALUE
from ftmtl.findings import ImageResult, StudyResult
from node.domain import DEFAULT_OBJECTS, ObjectKind, ResultObject
from node.results.identity import Predecessor
from node.results.outcome import ANALYSED
from node.results.source import read_source
from node.spool import sync_folder

if TYPE_CHECKING:
    from highdicom.seg import Segmentation

Display = Callable[[Path], NDArray[np.float32]]
"""Reads an image as it is displayed: float32, shape (rows, columns), 0 black to 1 white."""


def build_results(
    result: StudyResult,
    sources: Sequence[Path],
    folder: Path,
    kinds: Sequence[ObjectKind] = DEFAULT_OBJECTS,
    *,
    display: Display | None = None,
    predecessor: Predecessor | None = None,
) -> list[ResultObject]:
    """Write the objects that say what happened to a study.

    Parameters
    ----------
    result
        What was found.
    sources
        Files of the study's images, in any order; ones that ``result`` does not name are ignored, and of
        images that were not analysed also those whose header can't be read.
    folder
        Where to write; made if it does not exist. A file of the same name is replaced.
    kinds
        What to write. There is a segmentation or a presentation state for every image with findings; reports
        and the page say what happened to the study, whatever it was.
    display
        How to read an image for the page; needed for kind ``sc`` only.
    predecessor
        The report that this one replaces, if there is one.

    Returns
    -------
    list of ResultObject
        In the order of sending; empty if no image was analysed and no header can be read. Files appear
        under their names only after they have been read back and checked. A second call writes the same bytes.

    Raises
    ------
    ResultRejected
        If a written object is not what it should be; it is removed.
    ValueError
        If an analysed image has no file among ``sources``, or is of another study.
    """
    known = _headers(result, sources)
    pairs = _analysed(result, known)
    if not known:
        return []
    study = _Study(result, pairs, known, display, predecessor)
    folder.mkdir(parents=True, exist_ok=True)
    ordered = sorted(set(kinds), key=lambda kind: kind.place)
    objects = [_write(kind, made, folder) for kind in ordered for made in study.make(kind)]
    sync_folder(folder)
    return objects


class _Source(NamedTuple):
    """A header that could be read, and where it stands."""

    header: Dataset
    path: Path


@dataclass(frozen=True)
class _Made:
    """An object, and what it is to be compared with once it is written."""

    ds: Dataset
    result: StudyResult
    sources: Mapping[str, Dataset]
    segmentations: Mapping[str, Dataset] = field(default_factory=dict)
    missing: Mapping[str, Dataset] = field(default_factory=dict)
    predecessor: Predecessor | None = None


class _Study:
    """Everything that objects are made of; the builders are imported when they are needed."""

    def __init__(
        self,
        result: StudyResult,
        pairs: Sequence[tuple[Dataset, ImageResult]],
        known: Mapping[str, _Source],
        display: Display | None,
        predecessor: Predecessor | None,
    ) -> None:
        self.result, self.display, self.predecessor = result, display, predecessor
        self.found = [(header, image) for header, image in pairs if image.findings]
        self.headers = {image.sop_instance_uid: header for header, image in pairs}
        self.paths = {uid: known[uid].path for uid in self.headers}
        self.missing = {uid: source.header for uid, source in known.items() if uid not in self.headers}

    def make(self, kind: ObjectKind) -> Iterator[_Made]:
        """Yield the objects of one kind."""
        match kind:
            case ObjectKind.SEG:
                masks = self._masks
                yield from (_Made(seg, self.result, self.headers, masks) for seg in masks.values())
            case ObjectKind.SEG_OHIF:
                masks = self._masks_ohif
                yield from (_Made(seg, self.result, self.headers, masks) for seg in masks.values())
            case ObjectKind.SEG_FRACTIONAL | ObjectKind.SEG_LABELMAP:
                masks = self._segmentations(kind)
                yield from (_Made(seg, self.result, self.headers, masks) for seg in masks.values())
            case ObjectKind.SR | ObjectKind.SR_COMPREHENSIVE:
                yield self._report(comprehensive=kind is ObjectKind.SR_COMPREHENSIVE)
            case ObjectKind.SR_OHIF:
                yield from self._reports_ohif()
            case ObjectKind.CAD:
                yield self._cad_report()
            case ObjectKind.PR:
                yield from self._presentations()
            case ObjectKind.SC:
                yield self._page()

    @cached_property
    def _masks(self) -> dict[str, Segmentation]:
        return self._segmentations(ObjectKind.SEG)

    @cached_property
    def _masks_ohif(self) -> dict[str, Segmentation]:
        return self._segmentations(ObjectKind.SEG_OHIF)

    def _segmentations(self, kind: ObjectKind) -> dict[str, Segmentation]:
        """By SOP Instance UID of the image."""
        from node.results.segmentation import SERIES_NUMBERS, build_segmentation

        return {
            image.sop_instance_uid: build_segmentation(header, image, self.result.model, number, kind)
            for number, (header, image) in enumerate(self.found, start=SERIES_NUMBERS[kind])
        }

    def _report(self, *, comprehensive: bool) -> _Made:
        from node.results.report import build_report

        report = build_report(
            list(self.headers.values()),
            self.result,
            self._masks,
            self.missing,
            comprehensive=comprehensive,
            predecessor=self.predecessor,
        )
        return _Made(report, self.result, self.headers, self._masks, self.missing, self.predecessor)

    def _reports_ohif(self) -> Iterator[_Made]:
        """Yield a report an image; each is compared as if the study were this one image."""
        from node.results.ohif import build_reports_ohif

        images = {image.sop_instance_uid: image for _, image in self.found}
        for uid, report in build_reports_ohif(list(self.headers.values()), self.result, self._masks_ohif).items():
            alone = replace(self.result, images=(images[uid],))
            yield _Made(report, alone, {uid: self.headers[uid]}, {uid: self._masks_ohif[uid]})

    def _cad_report(self) -> _Made:
        from node.results.cad import build_cad_report

        report = build_cad_report(list(self.headers.values()), self.result, self.missing)
        return _Made(report, self.result, self.headers, missing=self.missing)

    def _presentations(self) -> Iterator[_Made]:
        from node.results.presentation import SERIES_NUMBER, build_presentation

        for number, (header, image) in enumerate(self.found, start=SERIES_NUMBER):
            yield _Made(build_presentation(header, image, self.result.model, number), self.result, self.headers)

    def _page(self) -> _Made:
        from node.results.capture import build_capture

        if self.display is None:
            raise ValueError("a page needs to know how its images are displayed")
        pixels = {uid: self.display(path) for uid, path in self.paths.items()}
        page = build_capture(list(self.headers.values()), self.result, pixels, self.missing)
        return _Made(page, self.result, self.headers, missing=self.missing)


def _headers(result: StudyResult, sources: Sequence[Path]) -> dict[str, _Source]:
    """Return the normalised header of each image of the result, as far as there is one that can be read."""
    images = {image.sop_instance_uid for image in result.images}
    known: dict[str, _Source] = {}
    for path in sources if images else ():
        try:
            header = read_source(path)
        except (InvalidDicomError, *ODD_VALUE, EOFError):
            continue
        if header.SOPInstanceUID in images:
            known[str(header.SOPInstanceUID)] = _Source(header, path)
    strays = [uid for uid, source in known.items() if source.header.StudyInstanceUID != result.study_uid]
    if strays:
        raise ValueError(f"not of study {result.study_uid}: {', '.join(sorted(strays))}")
    return known


def _analysed(result: StudyResult, known: Mapping[str, _Source]) -> list[tuple[Dataset, ImageResult]]:
    """Return header and result of each analysed image, in an order that does not hang on how they came."""
    images = {image.sop_instance_uid: image for image in result.images if image.outcome in ANALYSED}
    lost = images.keys() - known.keys()
    if lost:
        raise ValueError(f"no readable file of {', '.join(sorted(lost))}")
    pairs = [(known[uid].header, image) for uid, image in images.items()]
    return sorted(pairs, key=lambda pair: (pair[1].view or "", pair[1].laterality or "", pair[1].sop_instance_uid))


def _write(kind: ObjectKind, made: _Made, folder: Path) -> ResultObject:
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
        check_object(part, made.result, made.sources, made.segmentations, made.missing, made.predecessor)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return ResultObject(kind, str(ds.SOPClassUID), str(ds.SOPInstanceUID), str(ds.SeriesInstanceUID), path)
