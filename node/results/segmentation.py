"""Lesion masks as a DICOM Segmentation (PS3.3 A.51): one object and one series per source image."""

from __future__ import annotations

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ftmtl.findings import Finding, ImageResult, LesionMask, ModelIdentity
from node.results import codes
from node.results.identity import MANUFACTURER, object_uid, side_and_view, tracking_id, tracking_uid
from node.results.stamp import equipment, nameless, stamp

SERIES_NUMBER = 901
"""Series Number of a study's first segmentation; the next ones follow."""


def build_segmentation(
    source: Dataset, image: ImageResult, model: ModelIdentity, series_number: int = SERIES_NUMBER
) -> Segmentation:
    """Return the lesions of one image as a BINARY Segmentation, a segment and a frame each.

    Parameters
    ----------
    source
        Normalised header of the image (:func:`node.results.source.read_source`).
    image
        What was found on it; at least one finding.
    model
        Who found it.
    series_number
        901 and up; the number of the series, which holds this object alone.

    Returns
    -------
    Segmentation
        Explicit VR Little Endian, Rows and Columns as the source, frames in the order of
        ``image.findings``. The same arguments give the same bytes.

    Raises
    ------
    ValueError
        If there is no finding, or a mask leaves the image.
    """
    if not image.findings:
        raise ValueError("a segmentation needs at least one finding")
    uid = source.SOPInstanceUID
    seg = _header(source, image, model, series_number)
    seg.Rows, seg.Columns = source.Rows, source.Columns
    seg.PixelData = pack_frames([finding.mask for finding in image.findings], source.Rows, source.Columns)
    seg.PatientOrientation = source.PatientOrientation
    stamp(seg, [source], model)
    organization = object_uid("dimensions", [uid], model)
    seg.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    for index in seg.DimensionIndexSequence:
        index.DimensionOrganizationUID = organization
    return seg


def _header(source: Dataset, image: ImageResult, model: ModelIdentity, series_number: int) -> Segmentation:
    """Let highdicom make the object over the smallest rectangle that holds every mask.

    It looks at each pixel several times, and of a mammogram nearly all are empty: on the whole
    matrix it takes ten times as long to say the same.
    """
    crop = _crop([finding.mask for finding in image.findings])
    small = nameless(source)
    small.Rows, small.Columns = crop.shape[1:3]
    uid = source.SOPInstanceUID
    where = side_and_view(image.laterality, image.view)
    return Segmentation(
        source_images=[small],
        pixel_array=crop,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(image, model, n, f) for n, f in enumerate(image.findings, start=1)],
        series_instance_uid=object_uid("seg-series", [uid], model),
        series_number=series_number,
        sop_instance_uid=object_uid("seg", [uid], model),
        instance_number=1,
        series_description=f"AI Lesion SEG {where} (RESEARCH)".replace("  ", " "),
        content_label="AI_LESIONS",
        content_description="Lesions found by an algorithm. Research use only.",
        omit_empty_frames=False,
        **equipment(model),
    )


def _segment(image: ImageResult, model: ModelIdentity, n: int, finding: Finding) -> SegmentDescription:
    """Describe segment ``n`` (PS3.3 C.8.20.2)."""
    return SegmentDescription(
        segment_number=n,
        segment_label=f"{finding.type.value.capitalize()} {n}",
        segmented_property_category=codes.ABNORMAL,
        segmented_property_type=codes.SEGMENT_TYPES[finding.type],
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=model.name[:64],
            family=codes.ARTIFICIAL_INTELLIGENCE,
            version=model.version[:64],
            source=MANUFACTURER,
        ),
        tracking_uid=tracking_uid(image.sop_instance_uid, model, n),
        tracking_id=tracking_id(image.laterality, image.view, n),
        anatomic_regions=[codes.breast(image.laterality)],
    )


def _crop(masks: list[LesionMask]) -> NDArray[np.uint8]:
    """Return the masks over their common bounding rectangle, uint8, shape (1, height, width, masks)."""
    left, top = min(m.column for m in masks), min(m.row for m in masks)
    right = max(m.column + m.pixels.shape[1] for m in masks)
    bottom = max(m.row + m.pixels.shape[0] for m in masks)
    stack = np.zeros((len(masks), bottom - top, right - left), dtype=np.uint8)
    for plane, m in zip(stack, masks, strict=True):
        row, column = m.row - top, m.column - left
        plane[row : row + m.pixels.shape[0], column : column + m.pixels.shape[1]] = m.pixels
    return stack.transpose(1, 2, 0)[np.newaxis]


def pack_frames(masks: list[LesionMask], rows: int, columns: int) -> bytes:
    """Return one frame a mask as 1-bit Pixel Data, lowest bit first, padded to even length (PS3.5 8.1.1).

    Frames follow each other without padding; only the bytes that a mask touches are worked on.

    Raises
    ------
    ValueError
        If a mask leaves the image.
    """
    size = (len(masks) * rows * columns + 7) // 8
    packed = np.zeros(size + size % 2, dtype=np.uint8)
    for frame, m in enumerate(masks):
        height, width = m.pixels.shape
        if m.column < 0 or m.row < 0 or m.column + width > columns or m.row + height > rows:
            raise ValueError(f"mask at column {m.column}, row {m.row} leaves the {columns}x{rows} image")
        first = (frame * rows + m.row) * columns
        start, end = first // 8, -(-(first + height * columns) // 8)
        bits = np.zeros((end - start) * 8, dtype=np.uint8)
        offset = first - start * 8
        band = bits[offset : offset + height * columns].reshape(height, columns)
        band[:, m.column : m.column + width] = m.pixels
        packed[start:end] |= np.packbits(bits, bitorder="little")
    return packed.tobytes()
