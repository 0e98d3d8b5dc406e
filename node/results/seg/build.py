"""Lesion masks as a DICOM Segmentation (PS3.3 A.51): one object and one series per source image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.valuerep import format_number_as_ds

from ftmtl.findings import Finding, ImageResult, LesionMask, StudyResult
from node.identity import MANUFACTURER, derived_uid
from node.kinds import ObjectKind
from node.results.common import codes
from node.results.common.finish import PENDING, Clock, Origin, finish, now
from node.results.common.lesions import Lesion, lesions_of
from node.results.common.naming import series_description, series_number, side_and_view
from node.results.common.request import repeat_request
from node.results.common.stamp import equipment, name_class, patient_of
from node.results.seg.frames import MAX_FRACTION, fraction_frames, label_frame, pack_frames, packed_size, padded
from node.results.study import Made, Study

Kind = ObjectKind

BINARY, FRACTIONAL, LABELMAP = (SegmentationTypeValues[name] for name in ("BINARY", "FRACTIONAL", "LABELMAP"))

AXIAL = (1, 0, 0, 0, 1, 0)
"""The Image Orientation (Patient) that OHIF requires and that no projection has."""

UNKNOWN_SPACING = (1.0, 1.0)
"""The Pixel Spacing that OHIF is given if none is known: millimetres then stand for pixels."""

_TITLES: dict[Kind, str] = {
    Kind.SEG: "AI Lesion SEG {}",
    Kind.SEG_FRACTIONAL: "AI Lesion Score Map {}",
    Kind.SEG_LABELMAP: "AI Lesion Label Map {}",
    Kind.SEG_OHIF: "{} AI SEG for OHIF",
}
"""Beginnings of Series Descriptions by side and view; OHIF cuts them off after about twenty characters."""

_CONTENT = {
    (Kind.SEG, BINARY): "Lesions found by an algorithm",
    (Kind.SEG_FRACTIONAL, FRACTIONAL): "Lesion score by pixel, uncalibrated",
    (Kind.SEG_LABELMAP, LABELMAP): "Lesions, likeliest on top",
    (Kind.SEG_OHIF, BINARY): "Lesions, geometry invented",
    (Kind.SEG_OHIF, LABELMAP): "Lesions, likeliest on top, geometry invented",
}


def make(study: Study, kind: ObjectKind) -> Iterator[Made]:
    """Yield one segmentation per image with findings."""
    for nth, (header, image) in enumerate(study.found):
        seg = build_segmentation(header, image, study.result, nth, kind, study.clock)
        yield Made(seg, study.alone(kind, image))


def build_segmentation(
    source: Dataset,
    image: ImageResult,
    result: StudyResult,
    nth: int = 0,
    kind: Kind = Kind.SEG,
    clock: Clock = now,
) -> Segmentation:
    """Return the lesions of one image as a Segmentation.

    Parameters
    ----------
    source
        Normalised header of the image (:func:`node.results.common.source.read_source`).
    image
        What was found on it; at least one finding.
    result
        What was found on all images, which decides how its lesions are numbered; and by which model.
    nth
        Which series of the kind it is, from 0; it contains only this object.
    kind
        ``seg``
            BINARY: one segment and one frame per finding, one bit per pixel.
        ``seg-fractional``
            FRACTIONAL, type PROBABILITY: one segment and one frame per finding, 0 to 255 per pixel
            (:attr:`ftmtl.findings.Finding.probability`). A finding without probabilities is 255 on its mask.
        ``seg-labelmap``
            LABELMAP, with a SOP class of its own, Label Map Segmentation Storage: one frame, in which each pixel
            holds the number of its segment or 0. Segments cannot overlap there: where findings do, the pixel
            belongs to the more probable lesion, so a segment may be smaller than its mask, or empty.
        ``seg-ohif``
            What OHIF 3.13 draws correctly: BINARY for one finding, and for several if the bits of each frame fill
            whole bytes (otherwise OHIF garbles every other frame) and all frames together fill an even number of
            bytes (otherwise OHIF does not load them); else LABELMAP. Two things in it are invented, because a
            projection has no position in the patient: the Image Orientation (Patient), 1\\0\\0\\0\\1\\0, and, if
            ``image.spacing_mm`` is None, the Pixel Spacing, 1\\1. OHIF requires both to be present, but draws by row
            and column all the same.

    Returns
    -------
    Segmentation
        Explicit VR Little Endian, Rows and Columns as in the source, frames and segments in the order of
        ``image.findings``. The same content has the same UIDs (`node.results.common.finish`).

    Raises
    ------
    ValueError
        If there is no finding, a mask extends beyond the image, or there are more findings than labels (255).
    """
    if not image.findings:
        raise ValueError("a segmentation needs at least one finding")
    rows, columns = source.Rows, source.Columns
    encoding = encoding_of(kind, len(image.findings), rows, columns)
    window = _bounds([finding.mask for finding in image.findings])
    if encoding is LABELMAP:
        labels = label_frame(image.findings, rows, columns)
        crop, pixels = labels[window][np.newaxis], padded(labels)
    else:
        crop = _crop([finding.mask for finding in image.findings], window)
        pixels = _frames(image.findings, encoding, rows, columns)
    model, lesions = result.model, lesions_of(result)[image.sop_instance_uid]
    seg = _header(source, lesions, series_number(kind, model, nth), kind, encoding, crop)
    seg.Rows, seg.Columns, seg.PixelData = rows, columns, pixels
    seg.PatientOrientation = source.PatientOrientation
    if image.notes:
        seg.ImageComments = " ".join(image.notes)
    if encoding is FRACTIONAL and len(image.findings) > 1:
        seg.SegmentsOverlap = "UNDEFINED"
    if kind == Kind.SEG_OHIF:
        _invent_geometry(seg, image.spacing_mm or UNKNOWN_SPACING)
        if encoding is LABELMAP:
            _describe_background_last(seg)
    _leave_frame_of_reference(seg)
    name_class(seg, source)
    organization = derived_uid("dimensions", kind)
    seg.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    for index in seg.DimensionIndexSequence:
        index.DimensionOrganizationUID = organization
    repeat_request(seg, source)
    finish(seg, kind, Origin([source], [image], model), clock)
    return seg


def encoding_of(kind: Kind, findings: int, rows: int, columns: int) -> SegmentationTypeValues:
    """Return the Segmentation Type (0062,0001) that a kind uses for this many findings on an image of this size."""
    if kind == Kind.SEG_OHIF:
        sound = rows * columns % 8 == 0 and packed_size(findings, rows, columns) % 2 == 0
        return BINARY if findings == 1 or sound else LABELMAP
    return {Kind.SEG: BINARY, Kind.SEG_FRACTIONAL: FRACTIONAL, Kind.SEG_LABELMAP: LABELMAP}[kind]


def _frames(findings: Sequence[Finding], encoding: SegmentationTypeValues, rows: int, columns: int) -> bytes:
    if encoding is FRACTIONAL:
        return fraction_frames(findings, rows, columns)
    return pack_frames([finding.mask for finding in findings], rows, columns)


def _header(
    source: Dataset,
    lesions: Sequence[Lesion],
    number: int,
    kind: Kind,
    encoding: SegmentationTypeValues,
    crop: NDArray[np.uint8],
) -> Segmentation:
    """Let highdicom make the object over the smallest rectangle that contains every mask.

    highdicom looks at each pixel several times, and nearly all pixels of a mammogram are empty: on the
    whole matrix it takes ten times as long to produce the same.
    """
    small = patient_of(source)
    small.Rows, small.Columns = crop.shape[1:3]
    small.pop("PixelSpacing", None)  # else: Pixel Measures without Slice Thickness, which highdicom's reader refuses
    image, model = lesions[0].image, lesions[0].model
    where = side_and_view(image.laterality, image.view)
    return Segmentation(
        source_images=[small],
        pixel_array=crop,
        segmentation_type=encoding,
        max_fractional_value=MAX_FRACTION,
        segment_descriptions=[_segment(lesion) for lesion in lesions],
        series_instance_uid=PENDING,
        series_number=number,
        sop_instance_uid=PENDING,
        instance_number=1,
        series_description=series_description(" ".join(_TITLES[kind].format(where).split()), model),
        content_label="AI_LESIONS",
        content_description=f"{_CONTENT[kind, encoding]}. Research use only.",
        omit_empty_frames=False,
        **equipment(model),
    )


def _invent_geometry(seg: Segmentation, spacing_mm: tuple[float, float]) -> None:
    """Add the Pixel Measures and Plane Orientation macros (PS3.3 C.7.6.16.2.1 and .4) to the shared groups."""
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing = [format_number_as_ds(float(spacing)) for spacing in spacing_mm]
    orientation.ImageOrientationPatient = list(AXIAL)
    shared = seg.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence = Items([measures])
    shared.PlaneOrientationSequence = Items([orientation])


def _describe_background_last(seg: Segmentation) -> None:
    """Move the background after the segments: OHIF 3.13 names and colours label 1 by the first item, not by number.

    In a label map, items may be in any order (PS3.3 C.8.20.2.4).
    """
    background, *segments = seg.SegmentSequence
    seg.SegmentSequence = [*segments, background]


def _leave_frame_of_reference(seg: Segmentation) -> None:
    """Remove the source's Frame of Reference, which highdicom has copied.

    With one, each segment needs a position in it, and Pixel Measures need a Slice Thickness; a projection has
    neither. Without it, a frame's pixels are those of the image that it was derived from (PS3.3 A.51.5.1).
    """
    for keyword in ("FrameOfReferenceUID", "PositionReferenceIndicator"):
        if keyword in seg:
            delattr(seg, keyword)


def _segment(lesion: Lesion) -> SegmentDescription:
    """Describe a segment (PS3.3 C.8.20.4); its recommended colour is the lesion's colour on the page."""
    model, kind = lesion.model, lesion.finding.type
    return SegmentDescription(
        segment_number=lesion.rank,
        segment_label=f"{kind.value.capitalize().replace('_', ' ')} {lesion.number}",
        segmented_property_category=codes.ABNORMAL,
        segmented_property_type=codes.FINDING_TYPES[kind],
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=model.name[:64],
            family=codes.ARTIFICIAL_INTELLIGENCE,
            version=model.version[:64],
            source=(model.manufacturer or MANUFACTURER)[:64],
        ),
        tracking_uid=lesion.tracking_uid,
        tracking_id=lesion.tracking_id,
        anatomic_regions=[codes.breast(lesion.image.laterality)],
        display_color=CIELabColor.from_rgb(*lesion.colour),
    )


def _bounds(masks: Sequence[LesionMask]) -> tuple[slice, slice]:
    """Return the rows and columns of the smallest rectangle that contains every mask."""
    left, top = min(m.column for m in masks), min(m.row for m in masks)
    right = max(m.column + m.pixels.shape[1] for m in masks)
    bottom = max(m.row + m.pixels.shape[0] for m in masks)
    return slice(top, bottom), slice(left, right)


def _crop(masks: Sequence[LesionMask], window: tuple[slice, slice]) -> NDArray[np.uint8]:
    """Return the masks over a rectangle, uint8, shape (1, height, width, masks)."""
    rows, columns = window
    stack = np.zeros((len(masks), rows.stop - rows.start, columns.stop - columns.start), dtype=np.uint8)
    for plane, m in zip(stack, masks, strict=True):
        row, column = m.row - rows.start, m.column - columns.start
        plane[row : row + m.pixels.shape[0], column : column + m.pixels.shape[1]] = m.pixels
    return stack.transpose(1, 2, 0)[np.newaxis]
