"""What result objects say, read back from the objects alone, as a PACS or a viewer sees them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    MammographyCADSRStorage,
    SegmentationStorage,
)

from ftmtl.decoding.files import DamagedFile, read
from ftmtl.findings import Box
from node.domain import Predecessor
from node.errors import ReportUnusable
from node.kinds import ObjectKind
from node.results.common import codes
from node.results.common.content import children, item_at, points_of, value_of, walk

REPORTS = (Comprehensive3DSRStorage, ComprehensiveSRStorage)
"""SOP classes of measurement reports."""

_KINDS = {**dict.fromkeys(map(str, REPORTS), ObjectKind.SR), str(MammographyCADSRStorage): ObjectKind.CAD}
"""The kinds of reports that may be replaced, by SOP class."""

_GROUP = "125007"


@dataclass(frozen=True)
class ReadFinding:
    """A finding as read from the objects.

    Attributes
    ----------
    source_uid
        SOP Instance UID of the image that it is on.
    mask
        bool, shape (rows, columns), or None if no segmentation of this lesion was given.
    box
        Bounding box of the report's region in source pixels, or None.
    cancer_score, lesion_score
        0 to 1, or None if the report does not say.
    outline
        Closed line of a presentation state or, without one, of a report; shape (points, 2) = column, row.
    """

    tracking_uid: str
    source_uid: str
    mask: NDArray[np.bool_] | None
    box: Box | None
    cancer_score: float | None
    lesion_score: float | None
    outline: NDArray[np.float64] | None = None


def read_predecessor(path: Path) -> tuple[ObjectKind, Predecessor]:
    """Read a report as the predecessor of a new one; the kind is ``sr`` or ``cad``.

    Raises
    ------
    ReportUnusable
        If it cannot be read, or is not a report of a study.
    """
    try:
        ds = read(path, stop_before_pixels=True)
    except (InvalidDicomError, OSError, DamagedFile) as error:
        raise ReportUnusable(f"{path}: cannot be read: {error}") from error
    uids = [str(ds.get(k, "")) for k in ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")]
    kind = _KINDS.get(uids[2])
    if kind is None or not all(uids):
        raise ReportUnusable(f"{path}: is not a Comprehensive 3D SR, Comprehensive SR or Mammography CAD SR")
    return kind, Predecessor(*uids)


def read_findings(paths: Iterable[Path]) -> list[ReadFinding]:
    """Read segmentations, reports and presentation states, in any order, and join them by Tracking UID.

    A finding that no report mentions is left out. Masks are read from BINARY segmentations only.
    """
    found: dict[str, ReadFinding] = {}
    segments: dict[str, NDArray[np.bool_]] = {}
    outlines: dict[str, NDArray[np.float64]] = {}
    for path in paths:
        ds = dcmread(path)
        if ds.SOPClassUID == SegmentationStorage and ds.SegmentationType == "BINARY":
            segments |= dict(_segments(ds))
        elif ds.SOPClassUID in REPORTS:
            found |= {f.tracking_uid: f for f in _regions(ds)}
        elif ds.SOPClassUID == GrayscaleSoftcopyPresentationStateStorage:
            outlines |= dict(_outlines(ds))
    return [replace(f, mask=segments.get(uid), outline=outlines.get(uid, f.outline)) for uid, f in found.items()]


def _segments(ds: Dataset) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    frames = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
    uids = {segment.SegmentNumber: segment.TrackingUID for segment in ds.SegmentSequence}
    shared = ds.SharedFunctionalGroupsSequence[0]
    for frame, groups in zip(frames, ds.PerFrameFunctionalGroupsSequence, strict=True):
        identified = groups if "SegmentIdentificationSequence" in groups else shared
        number = identified.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        yield str(uids[number]), frame.astype(bool)


def _outlines(ds: Dataset) -> Iterator[tuple[str, NDArray[np.float64]]]:
    for annotation in ds.GraphicAnnotationSequence:
        for line in annotation.get("GraphicObjectSequence", []):
            yield str(line.TrackingUID), np.asarray(line.GraphicData, dtype=float).reshape(-1, 2)


def _regions(ds: Dataset) -> Iterator[ReadFinding]:
    for name, _, group in walk(ds):
        if name != _GROUP:
            continue
        items = {item.name: item.ds for item in children(group)}
        region = items.get(codes.IMAGE_REGION.value)
        if region is None:
            continue
        yield ReadFinding(
            str(items[codes.TRACKING_UID.value].UID),
            str(region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID),
            None,
            _box(region),
            _fraction(items.get(codes.CANCER_SCORE.value)),
            _fraction(items.get(codes.LESION_SCORE.value)),
            points_of(region),
        )


def read_cad_findings(ds: Dataset) -> list[ReadFinding]:
    """Read the findings of a Mammography CAD SR (PS3.16 TID 4006); the box is the outline's bounding box."""
    return [_single_image_finding(ds, item.ds) for item in walk(ds) if item.name == codes.SINGLE_IMAGE_FINDING.value]


def _single_image_finding(ds: Dataset, group: Dataset) -> ReadFinding:
    items = {item.name: item.ds for item in children(group)}
    outline = items[codes.OUTLINE.value]
    image = item_at(ds, outline.ContentSequence[0].ReferencedContentItemIdentifier)
    return ReadFinding(
        str(value_of(items[codes.TRACKING_UID.value])),
        "" if image is None else str(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID),
        None,
        _box(outline),
        _fraction(items.get(codes.CANCER_SCORE.value)),
        _fraction(items.get(codes.CERTAINTY_OF_FINDING.value)),
        points_of(outline),
    )


def _box(region: Dataset) -> Box:
    """Return the bounding box of the points of an SCOORD."""
    points = points_of(region)
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def _fraction(item: Dataset | None) -> float | None:
    return None if item is None else value_of(item) / 100
