"""Compares a segmentation that was read back with what was found: the part of the checks that knows PS3.3 A.51."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from ftmtl.findings import Finding, ImageResult, LesionMask, ModelIdentity
from node.kinds import LabelMapSegmentationStorage
from node.results.common import codes
from node.results.common.checks import CONTENT_TIME, absent_faults
from node.results.common.lesions import Lesion, lesions_of
from node.results.seg.build import (
    AXIAL,
    BINARY,
    FRACTIONAL,
    LABELMAP,
    UNKNOWN_SPACING,
    Kind,
    encoding_of,
)
from node.results.seg.frames import MAX_FRACTION, fractions
from node.results.study import Expected

SPACING_ROUNDING = 1e-6
"""How far a Pixel Spacing may be off because it is a decimal string of 16 characters, in mm."""


def faults(ds: Dataset, expected: Expected) -> Iterator[str]:
    """Yield the differences between a segmentation and the result, one sentence per fault.

    Parameters
    ----------
    ds
        A Segmentation of any kind that :func:`node.results.seg.build.build_segmentation` makes.
    expected
        What was found, and on which images.
    """
    result, sources = expected.result, expected.sources
    yield from absent_faults(ds, CONTENT_TIME)
    uids = [str(item.ReferencedSOPInstanceUID) for item in _source_items(ds)]
    image = next((i for i in result.images if i.sop_instance_uid in uids), None)
    if image is None or uids != [image.sop_instance_uid] * len(uids) or image.sop_instance_uid not in sources:
        yield f"references {', '.join(sorted(set(uids))) or 'no image'}, not one analysed source"
        return
    yield from _frame_faults(ds, sources[image.sop_instance_uid], image, expected.kind)
    yield from _geometry_faults(ds, image, expected.kind)
    yield from _segment_faults(ds, lesions_of(result)[image.sop_instance_uid], result.model)


def _source_items(ds: Dataset) -> Iterator[Dataset]:
    """Yield every reference to a source image, from the series and from the frames."""
    for series in ds.get("ReferencedSeriesSequence") or ():
        yield from series.get("ReferencedInstanceSequence") or ()
    for frame in (
        *(ds.get("PerFrameFunctionalGroupsSequence") or ()),
        *(ds.get("SharedFunctionalGroupsSequence") or ()),
    ):
        for derivation in frame.get("DerivationImageSequence") or ():
            yield from derivation.get("SourceImageSequence") or ()


def _frame_faults(ds: Dataset, source: Dataset, image: ImageResult, kind: Kind) -> Iterator[str]:
    """Compare size, encoding and frames with the source and the findings."""
    rows, columns, frames = ds.get("Rows"), ds.get("Columns"), int(ds.get("NumberOfFrames") or 0)
    if (rows, columns) != (source.Rows, source.Columns):
        yield f"is {columns}x{rows}, but the source is {source.Columns}x{source.Rows}"
        return
    encoding = encoding_of(kind, len(image.findings), rows, columns)
    if frames != (1 if encoding is LABELMAP else len(image.findings)):
        yield f"{frames} frames for {len(image.findings)} findings"
        return
    sop_class = LabelMapSegmentationStorage if encoding is LABELMAP else SegmentationStorage
    bits = 1 if encoding is BINARY else 8
    if (ds.SOPClassUID, ds.get("SegmentationType"), ds.get("BitsAllocated")) != (sop_class, encoding.value, bits):
        yield f"is not encoded with {bits}-bit pixels as {encoding.value}"
        return
    data = np.frombuffer(ds.get("PixelData") or b"", dtype=np.uint8)
    size = (frames * rows * columns * bits + 7) // 8
    if len(data) != size + size % 2:
        yield f"{len(data)} bytes of pixels, not {size + size % 2}"
        return
    if encoding is BINARY:
        data = np.unpackbits(data, count=frames * rows * columns, bitorder="little")
    pixels = data[: frames * rows * columns].reshape(frames, rows, columns)
    if encoding is LABELMAP:
        yield from _label_faults(pixels[0], image.findings)
        return
    if encoding is FRACTIONAL:
        told = ds.get("SegmentationFractionalType"), ds.get("MaximumFractionalValue")
        if told != ("PROBABILITY", MAX_FRACTION):
            yield f"fractions are {told[0]} up to {told[1]}, not PROBABILITY up to {MAX_FRACTION}"
    for n, (frame, finding) in enumerate(zip(pixels, image.findings, strict=True), start=1):
        if encoding is BINARY:
            if not _same(frame, finding.mask, finding.mask.pixels) or not finding.mask.area_px:
                yield f"frame {n} is not the mask of finding {n}"
        elif not _same(frame, finding.mask, fractions(finding)):
            yield f"frame {n} is not the probability of finding {n}"


def _same(frame: NDArray[np.uint8], mask: LesionMask, due: NDArray[np.uint8 | np.bool_]) -> bool:
    """Return whether a frame is as expected in a mask's rectangle, and zero everywhere else."""
    height, width = mask.pixels.shape
    inside = frame[mask.row : mask.row + height, mask.column : mask.column + width]
    return np.array_equal(inside, due) and np.count_nonzero(frame) == np.count_nonzero(due)


def _label_faults(labels: NDArray[np.uint8], findings: Sequence[Finding]) -> Iterator[str]:
    """Remove each finding's pixels, the most probable first, and check that its label is what its mask had left."""
    left = np.ones(labels.shape, dtype=bool)
    for n, finding in sorted(enumerate(findings, start=1), key=lambda pair: -pair[1].lesion_score):
        mask = finding.mask.paste(*labels.shape)
        if not np.array_equal(labels == n, mask & left):
            yield f"label {n} is not what more probable lesions leave of the mask of finding {n}"
        left &= ~mask
    if labels[left].any():
        yield "a label lies where nothing was found"


def _geometry_faults(ds: Dataset, image: ImageResult, kind: Kind) -> Iterator[str]:
    """Check invented geometry: exactly what OHIF requires in the kind for OHIF, and none in the others."""
    shared = ds.SharedFunctionalGroupsSequence[0]
    orientation = shared.get("PlaneOrientationSequence")
    if kind is not Kind.SEG_OHIF:
        if orientation:
            yield "an orientation was invented"
        return
    if not orientation or tuple(orientation[0].ImageOrientationPatient) != AXIAL:
        yield "Image Orientation (Patient) is not what OHIF needs"
    measures = shared.get("PixelMeasuresSequence")
    due = image.spacing_mm or UNKNOWN_SPACING
    if not measures or not np.allclose(measures[0].PixelSpacing, due, rtol=0, atol=SPACING_ROUNDING):
        yield f"Pixel Spacing is not {due[0]:g}\\{due[1]:g}"


def _segment_faults(ds: Dataset, lesions: Sequence[Lesion], model: ModelIdentity) -> Iterator[str]:
    segments = list(ds.get("SegmentSequence") or ())
    if ds.SOPClassUID == LabelMapSegmentationStorage:
        background = [segment for segment in segments if segment.get("SegmentNumber") == 0]
        segments = [segment for segment in segments if segment.get("SegmentNumber") != 0]
        if len(background) != 1 or ds.get("PixelPaddingValue") != 0:
            yield "the background is not segment 0"
    if len(segments) != len(lesions):
        yield f"{len(segments)} segments for {len(lesions)} findings"
    for n, (segment, lesion) in enumerate(zip(segments, lesions, strict=False), start=1):
        if segment.get("SegmentNumber") != n:
            yield f"segment {n} has number {segment.get('SegmentNumber')}"
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        if (algorithm.AlgorithmName, algorithm.AlgorithmVersion) != (model.name[:64], model.version[:64]):
            yield f"segment {n} names another algorithm"
        if (segment.get("TrackingUID"), segment.get("TrackingID")) != (lesion.tracking_uid, lesion.tracking_id):
            yield f"segment {n} has another finding's tracking UID"
        if segment.SegmentedPropertyTypeCodeSequence[0].CodeValue != codes.FINDING_TYPES[lesion.finding.type].value:
            yield f"segment {n} is not coded as {lesion.finding.type}"
    if ds.SOPClassUID == SegmentationStorage:
        for n, frame in enumerate(_segment_numbers(ds), start=1):
            if frame != n:
                yield f"frame {n} belongs to segment {frame}"


def _segment_numbers(ds: Dataset) -> list[int | None]:
    """Return the segment that each frame shows; if all show the same one, it is in the shared groups."""
    shared = ds.SharedFunctionalGroupsSequence[0] if ds.get("SharedFunctionalGroupsSequence") else Dataset()
    numbers: list[int | None] = []
    for frame in ds.get("PerFrameFunctionalGroupsSequence") or ():
        items = frame.get("SegmentIdentificationSequence") or shared.get("SegmentIdentificationSequence")
        numbers.append(int(items[0].ReferencedSegmentNumber) if items else None)
    return numbers
