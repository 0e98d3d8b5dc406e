"""Reads a result object back from the disk and compares it with what was found, before anything is sent.

The general rules of DICOM are the validators' business, in the tests. Here stands what a validator
can't know: that the masks are the findings' masks, that the boxes lie on the image, that every
reference leads somewhere, and that the object names the right patient and study.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from ftmtl.findings import Finding, ImageResult, ModelIdentity, StudyResult
from node.errors import ResultRejected
from node.results import codes
from node.results.cad_check import cad_faults
from node.results.content import ROUNDING, TOLERANCE, Item, children, points_of, walk
from node.results.identity import IMPLEMENTATION_CLASS_UID, tracking_uid
from node.results.picture_checks import (
    PRESENTATION_STATE,
    SECONDARY_CAPTURE,
    capture_faults,
    presentation_faults,
    referenced_images,
)

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
MAMMOGRAPHY_CAD_SR = "1.2.840.10008.5.1.4.1.1.88.50"

PRESENT = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "Manufacturer",
    "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber", "SeriesNumber", "InstanceNumber",
    "InstanceCreationDate", "InstanceCreationTime", "SeriesDescription",
)  # fmt: skip
"""Attributes that every result has, with a value."""

MADE = ("ContentDate", "ContentTime")
"""Attributes with a value that say when a result was made; a presentation state has others."""

PRESENTATION_MADE = ("PresentationCreationDate", "PresentationCreationTime")

INHERITED = ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber",
             "StudyID", "StudyDate", "StudyTime")  # fmt: skip
"""Attributes that a result has from its source, with or without a value."""

FLAGS = {"CompletionFlag": "COMPLETE", "VerificationFlag": "UNVERIFIED", "PreliminaryFlag": "PRELIMINARY"}

IMAGING_MEASUREMENTS, TRACKING_UID, SEGMENTATION_FRAME = "126010", "112040", "121214"
"""Concept names (DCM): the container of the groups, a group's tracking UID, its segment."""


def check_object(
    path: str | PathLike[str],
    result: StudyResult,
    sources: Mapping[str, Dataset],
    segmentations: Mapping[str, Dataset],
    missing: Mapping[str, Dataset] = {},
) -> None:
    """Check one written object.

    Parameters
    ----------
    path
        A segmentation, a report, a CAD report, a presentation state or a page.
    result
        What was found.
    sources
        By SOP Instance UID: normalised headers of the images that were analysed.
    segmentations
        By SOP Instance UID of the source image: the segmentations made with it.
    missing
        By SOP Instance UID: normalised headers of images that a CAD report names though they were not analysed.

    Raises
    ------
    ResultRejected
        If the object does not say what ``result`` says; it lists every fault.
    """
    try:
        ds = dcmread(path)
    except (InvalidDicomError, OSError, EOFError) as error:
        raise ResultRejected(str(path), [f"can't be read back: {error}"]) from error
    faults: list[str] = []
    try:
        for fault in _faults(ds, result, sources, segmentations, missing):
            faults.append(fault)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        faults.append(f"is malformed: {error}")
    if faults:
        raise ResultRejected(f"{ds.get('Modality', 'object')} {ds.get('SOPInstanceUID', '?')}", faults)


def _faults(
    ds: Dataset,
    result: StudyResult,
    sources: Mapping[str, Dataset],
    segmentations: Mapping[str, Dataset],
    missing: Mapping[str, Dataset],
) -> Iterator[str]:
    yield from _header_faults(ds, {**sources, **missing})
    if ds.get("SOPClassUID") == SEGMENTATION:
        yield from _segmentation_faults(ds, result, sources)
    elif ds.get("SOPClassUID") == COMPREHENSIVE_3D_SR:
        yield from _report_faults(ds, result, sources, segmentations)
    elif ds.get("SOPClassUID") == MAMMOGRAPHY_CAD_SR:
        yield from _document_faults(ds, {**sources, **missing})
        yield from cad_faults(ds, result, sources, missing)
    elif ds.get("SOPClassUID") == PRESENTATION_STATE:
        yield from _presentation_faults(ds, result, sources)
    elif ds.get("SOPClassUID") == SECONDARY_CAPTURE:
        yield from capture_faults(ds, result, list(sources.values()))
    else:
        yield f"unexpected SOP Class {ds.get('SOPClassUID')}"


def _header_faults(ds: Dataset, sources: Mapping[str, Dataset]) -> Iterator[str]:
    made = PRESENTATION_MADE if ds.get("SOPClassUID") == PRESENTATION_STATE else MADE
    for keyword in (*PRESENT, *made):
        if not ds.get(keyword):
            yield f"{keyword} is missing"
    if ds.get("ContentQualification") != "RESEARCH":
        yield "ContentQualification is not RESEARCH"
    if ds.file_meta.get("MediaStorageSOPInstanceUID") != ds.get("SOPInstanceUID"):
        yield "MediaStorageSOPInstanceUID differs from SOPInstanceUID"
    if ds.file_meta.get("ImplementationClassUID") != IMPLEMENTATION_CLASS_UID:
        yield "ImplementationClassUID is not ours"
    patients = list(sources.values())
    for keyword in INHERITED:
        if keyword not in ds:
            yield f"{keyword} is missing"
        elif patients and not any(str(ds.get(keyword) or "") == str(s.get(keyword) or "") for s in patients):
            yield f"{keyword} is not the source's"


def _presentation_faults(ds: Dataset, result: StudyResult, sources: Mapping[str, Dataset]) -> Iterator[str]:
    """Find the image that a presentation state is of, and compare the two."""
    uids = [str(item.ReferencedSOPInstanceUID) for item in referenced_images(ds)]
    image = next((i for i in result.images if [i.sop_instance_uid] == uids), None)
    if image is None or image.sop_instance_uid not in sources:
        yield f"references {', '.join(uids) or 'no image'}, which is no analysed source"
        return
    yield from presentation_faults(ds, image, sources[image.sop_instance_uid], result.model)


def _segmentation_faults(ds: Dataset, result: StudyResult, sources: Mapping[str, Dataset]) -> Iterator[str]:
    uids = [str(item.ReferencedSOPInstanceUID) for item in _source_items(ds)]
    image = next((i for i in result.images if i.sop_instance_uid in uids), None)
    if image is None or uids != [image.sop_instance_uid] * len(uids) or image.sop_instance_uid not in sources:
        yield f"references {', '.join(sorted(set(uids))) or 'no image'}, which is no analysed source"
        return
    source = sources[image.sop_instance_uid]
    yield from _geometry_faults(ds, source, image)
    yield from _segment_faults(ds, image, result.model)


def _source_items(ds: Dataset) -> Iterator[Dataset]:
    """Yield every reference to the source, whether of the series or of a frame."""
    for series in ds.get("ReferencedSeriesSequence") or ():
        yield from series.get("ReferencedInstanceSequence") or ()
    for frame in (
        *(ds.get("PerFrameFunctionalGroupsSequence") or ()),
        *(ds.get("SharedFunctionalGroupsSequence") or ()),
    ):
        for derivation in frame.get("DerivationImageSequence") or ():
            yield from derivation.get("SourceImageSequence") or ()


def _geometry_faults(ds: Dataset, source: Dataset, image: ImageResult) -> Iterator[str]:
    """Compare size and frames with the source and the masks."""
    rows, columns, frames = ds.get("Rows"), ds.get("Columns"), int(ds.get("NumberOfFrames") or 0)
    if (rows, columns) != (source.Rows, source.Columns):
        yield f"is {columns}x{rows}, the source {source.Columns}x{source.Rows}"
        return
    if frames != len(image.findings):
        yield f"{frames} frames for {len(image.findings)} findings"
        return
    if (ds.get("SegmentationType"), ds.get("BitsAllocated")) != ("BINARY", 1):
        yield "is no 1-bit BINARY segmentation"
        return
    data = np.frombuffer(ds.get("PixelData") or b"", dtype=np.uint8)
    size = (frames * rows * columns + 7) // 8
    if len(data) != size + size % 2:
        yield f"{len(data)} bytes of pixels, not {size + size % 2}"
        return
    bits = np.unpackbits(data, count=frames * rows * columns, bitorder="little").view(bool)
    for n, (frame, finding) in enumerate(zip(bits.reshape(frames, rows, columns), image.findings, strict=True), 1):
        mask = finding.mask
        height, width = mask.pixels.shape
        inside = frame[mask.row : mask.row + height, mask.column : mask.column + width]
        if not np.array_equal(inside, mask.pixels) or np.count_nonzero(frame) != mask.area_px or not mask.area_px:
            yield f"frame {n} is not the mask of finding {n}"


def _segment_faults(ds: Dataset, image: ImageResult, model: ModelIdentity) -> Iterator[str]:
    segments = ds.get("SegmentSequence") or ()
    if len(segments) != len(image.findings):
        yield f"{len(segments)} segments for {len(image.findings)} findings"
    for n, segment in enumerate(segments, start=1):
        if segment.get("SegmentNumber") != n:
            yield f"segment {n} has number {segment.get('SegmentNumber')}"
        if segment.get("TrackingUID") != tracking_uid(image.sop_instance_uid, model, n):
            yield f"segment {n} has another finding's tracking UID"
    for n, frame in enumerate(_segment_numbers(ds), start=1):
        if frame != n:
            yield f"frame {n} belongs to segment {frame}"


def _segment_numbers(ds: Dataset) -> list[int | None]:
    """Return the segment that each frame shows; a single one stands in the shared groups."""
    shared = ds.SharedFunctionalGroupsSequence[0] if ds.get("SharedFunctionalGroupsSequence") else Dataset()
    numbers: list[int | None] = []
    for frame in ds.get("PerFrameFunctionalGroupsSequence") or ():
        items = frame.get("SegmentIdentificationSequence") or shared.get("SegmentIdentificationSequence")
        numbers.append(int(items[0].ReferencedSegmentNumber) if items else None)
    return numbers


def _report_faults(
    ds: Dataset, result: StudyResult, sources: Mapping[str, Dataset], segmentations: Mapping[str, Dataset]
) -> Iterator[str]:
    known = {**sources, **{seg.SOPInstanceUID: seg for seg in segmentations.values()}}
    yield from _document_faults(ds, known)
    groups = [list(walk(group)) for group in _measurement_groups(ds)]
    items = [item for group in groups for item in group]
    for item in items:
        if item.type == "IMAGE":
            yield from _reference_faults(item.ds.ReferencedSOPSequence[0], known)
        elif item.type == "SCOORD":
            yield from _region_faults(item.ds, sources)
    images = [image for image in result.images if image.sop_instance_uid in sources]
    yield from _tracking_faults(items, images, result.model)
    by_uid: dict[str, list[Item]] = {}
    for group in groups:
        for uid in (item.ds.UID for item in group if item.name == TRACKING_UID):
            by_uid.setdefault(uid, []).extend(group)
    for image, n, finding in _lesions(images):
        group = by_uid.get(tracking_uid(image.sop_instance_uid, result.model, n), [])
        seg = segmentations.get(image.sop_instance_uid)
        for fault in _lesion_faults(group, finding, seg, n):
            yield f"finding {n} of {image.sop_instance_uid}: {fault}"


def _document_faults(ds: Dataset, known: Mapping[str, Dataset]) -> Iterator[str]:
    """Check what every structured report says of itself, and what it rests on (PS3.3 C.17.2)."""
    for keyword, value in FLAGS.items():
        if ds.get(keyword) != value:
            yield f"{keyword} is not {value}"
    evidence = set(_evidence(ds))
    for uid in sorted(known.keys() - evidence):
        yield f"{uid} is no evidence"
    for uid in sorted(evidence - known.keys()):
        yield f"evidence {uid} does not exist"


def _evidence(ds: Dataset) -> Iterator[str]:
    for study in ds.get("CurrentRequestedProcedureEvidenceSequence") or ():
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                yield str(item.ReferencedSOPInstanceUID)


def _measurement_groups(ds: Dataset) -> Iterator[Dataset]:
    for item in children(ds):
        if item.type == "CONTAINER" and item.name == IMAGING_MEASUREMENTS:
            yield from item.ds.get("ContentSequence") or ()


def _reference_faults(reference: Dataset, known: Mapping[str, Dataset]) -> Iterator[str]:
    target = known.get(reference.ReferencedSOPInstanceUID)
    if target is None:
        yield f"reference to {reference.ReferencedSOPInstanceUID}, which does not exist"
        return
    if reference.ReferencedSOPClassUID != target.SOPClassUID:
        yield f"reference to {reference.ReferencedSOPInstanceUID} under another SOP Class"
    segment = reference.get("ReferencedSegmentNumber")
    if segment is not None and not 1 <= segment <= len(target.get("SegmentSequence") or ()):
        yield f"reference to segment {segment} of {reference.ReferencedSOPInstanceUID}, which has none of that number"


def _region_faults(region: Dataset, sources: Mapping[str, Dataset]) -> Iterator[str]:
    """Look for coordinates outside their image (PS3.3 C.18.6)."""
    images = [child for child in walk(region) if child.type == "IMAGE"]
    source = sources.get(images[0].ds.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) if images else None
    if source is None:
        yield "region without a source image"
        return
    points = points_of(region)
    if points.min() < 0 or (points > (source.Columns + TOLERANCE, source.Rows + TOLERANCE)).any():
        yield f"region outside the {source.Columns}x{source.Rows} image"


def _tracking_faults(items: list[Item], images: list[ImageResult], model: ModelIdentity) -> Iterator[str]:
    """Compare the tracking UIDs of the groups with the findings': two groups a lesion, or one an image."""
    told = sorted(item.ds.UID for item in items if item.name == TRACKING_UID)
    due = [tracking_uid(image.sop_instance_uid, model, n) for image, n, _ in _lesions(images) for _ in "AB"]
    if not due:
        due = [tracking_uid(image.sop_instance_uid, model, 0) for image in images]
    if told != sorted(due):
        yield "tracking UIDs of the groups are not the findings'"


def _lesions(images: list[ImageResult]) -> Iterator[tuple[ImageResult, int, Finding]]:
    for image in images:
        for n, finding in enumerate(image.findings, start=1):
            yield image, n, finding


def _lesion_faults(group: list[Item], finding: Finding, seg: Dataset | None, n: int) -> Iterator[str]:
    """Compare box, segment and numbers of a lesion with what the groups of its tracking UID say."""
    regions = [points_of(item.ds) for item in group if item.type == "SCOORD"]
    if len(regions) != 1 or not _is_box(regions[0], finding):
        yield "the region is not its box"
    segments = [item.ds.ReferencedSOPSequence[0] for item in group if item.name == SEGMENTATION_FRAME]
    told = [(item.ReferencedSOPInstanceUID, item.get("ReferencedSegmentNumber")) for item in segments]
    if seg is None or told != [(seg.SOPInstanceUID, n)]:
        yield "the referenced segment is not its mask"
    due = {
        codes.PROBABILITY_OF_CANCER: 100 * finding.cancer_probability,
        codes.CERTAINTY_OF_FINDING: 100 * finding.lesion_probability,
        codes.AREA: finding.area_mm2,
        codes.LONG_AXIS: finding.long_axis_mm,
    }
    for name, value in due.items():
        values = [float(i.ds.MeasuredValueSequence[0].NumericValue) for i in group if i.name == name.value]
        if len(values) != (value is not None) or (value is not None and abs(values[0] - value) > ROUNDING):
            yield f"{name.meaning} is {values}, not {value}"


def _is_box(points: NDArray[np.float64], finding: Finding) -> bool:
    x0, y0, x1, y1 = finding.box
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    return points.shape == (5, 2) and bool(np.allclose(points, corners, rtol=0, atol=TOLERANCE))
