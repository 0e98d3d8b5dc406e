"""Compares a presentation state and a page, as they were written, with what was found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ftmtl.findings import ImageResult, ModelIdentity, Outcome, StudyResult
from node.results import display
from node.results.capture import MAX_REASONS, MORE, UNKNOWN_VIEW, place, reason_of
from node.results.identity import side_and_view, tracking_uid
from node.results.outcome import ANALYSED
from node.results.page import COLOURS, draw_banner
from node.results.presentation import line
from node.results.stamp import NOTICE

TOLERANCE = 1e-3
"""Pixels that a coordinate may lose to the 32-bit floats of Graphic Data."""

PAGE = {
    "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "BitsAllocated": 8,
    "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0, "ConversionType": "WSD",
    "ImageType": ["DERIVED", "SECONDARY"], "BurnedInAnnotation": "NO", "Modality": "OT",
}  # fmt: skip


def presentation_faults(ds: Dataset, image: ImageResult, source: Dataset, model: ModelIdentity) -> Iterator[str]:
    """Look for what a presentation state says otherwise than the findings and the source.

    Parameters
    ----------
    ds
        A presentation state as it was read from its file.
    image
        What was found on the image that it is of.
    source
        Normalised header of that image.
    model
        Who found it.
    """
    yield from _source_faults(ds, source)
    yield from _display_faults(ds, source)
    annotations = list(ds.get("GraphicAnnotationSequence") or ())
    layers = {layer.GraphicLayer for layer in ds.get("GraphicLayerSequence") or ()}
    for annotation in annotations:
        if annotation.GraphicLayer not in layers:
            yield f"graphic layer {annotation.GraphicLayer} does not exist"
    lines = [item for a in annotations for item in a.get("GraphicObjectSequence") or ()]
    texts = [item for a in annotations for item in a.get("TextObjectSequence") or ()]
    yield from _outline_faults(lines, image, source, model)
    yield from _label_faults(texts, image, source, model)
    corner = [text for text in texts if text.get("BoundingBoxAnnotationUnits") == "DISPLAY"]
    if not any(NOTICE in text.UnformattedTextValue for text in corner):
        yield "the research notice is missing"


def referenced_images(ds: Dataset) -> Iterator[Dataset]:
    """Yield the references of the Presentation State Relationship Module (PS3.3 C.11.11)."""
    for series in ds.get("ReferencedSeriesSequence") or ():
        yield from series.get("ReferencedImageSequence") or ()


def _source_faults(ds: Dataset, source: Dataset) -> Iterator[str]:
    due = [(source.SOPClassUID, source.SOPInstanceUID)]
    series = [item.SeriesInstanceUID for item in ds.get("ReferencedSeriesSequence") or ()]
    references = [list(referenced_images(ds))]
    references += [a.get("ReferencedImageSequence") or [] for a in ds.get("GraphicAnnotationSequence") or ()]
    for items in references:
        if [(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in items] != due:
            yield f"does not reference {source.SOPInstanceUID} alone"
    if series != [source.SeriesInstanceUID]:
        yield "does not reference the source's series"


def _display_faults(ds: Dataset, source: Dataset) -> Iterator[str]:
    """Compare every transformation with the image's own; one that is absent means identity (PS3.4 N.2)."""
    due = display.transformations(source)
    told = (
        "ModalityLUTSequence",
        "SoftcopyVOILUTSequence",
        "PresentationLUTSequence",
        "ImageRotation",
        *display.SHUTTER,
    )
    for keyword in sorted({*told, *(element.keyword for element in due)}):
        if ds.get(keyword) != due.get(keyword):
            yield f"{keyword} would change how the image looks"


def _outline_faults(
    lines: Sequence[Dataset], image: ImageResult, source: Dataset, model: ModelIdentity
) -> Iterator[str]:
    if len(lines) != len(image.findings):
        yield f"{len(lines)} outlines for {len(image.findings)} findings"
        return
    for n, (item, finding) in enumerate(zip(lines, image.findings, strict=True), start=1):
        points = np.asarray(item.GraphicData, dtype=float).reshape(-1, 2)
        if (item.GraphicType, item.GraphicAnnotationUnits) != ("POLYLINE", "PIXEL"):
            yield f"outline {n} is no POLYLINE in units of PIXEL"
        if item.NumberOfGraphicPoints != len(points):
            yield f"outline {n} has {len(points)} points, not {item.NumberOfGraphicPoints}"
        if _leaves(points, source):
            yield f"outline {n} leaves the {source.Columns}x{source.Rows} image"
        due = line(finding.mask)
        if points.shape != due.shape or not np.allclose(points, due, rtol=0, atol=TOLERANCE):
            yield f"outline {n} is not that of the mask of finding {n}"
        if item.get("TrackingUID") != tracking_uid(image.sop_instance_uid, model, n):
            yield f"outline {n} has another finding's tracking UID"


def _leaves(points: NDArray[np.float64], source: Dataset) -> bool:
    """PIXEL coordinates run from 0\\0 to Columns\\Rows (PS3.3 C.10.5)."""
    return bool(points.min() < 0 or (points > (source.Columns + TOLERANCE, source.Rows + TOLERANCE)).any())


def _label_faults(texts: Sequence[Dataset], image: ImageResult, source: Dataset, model: ModelIdentity) -> Iterator[str]:
    by_uid: dict[str, list[Dataset]] = {}
    for text in texts:
        if text.get("TrackingUID"):
            by_uid.setdefault(text.TrackingUID, []).append(text)
        if text.get("BoundingBoxAnnotationUnits") == "PIXEL":
            corners = [text.BoundingBoxTopLeftHandCorner, text.BoundingBoxBottomRightHandCorner]
            if _leaves(np.asarray(corners, dtype=float), source):
                yield f"label {text.UnformattedTextValue!r} leaves the image"
    for n, finding in enumerate(image.findings, start=1):
        said = [t.UnformattedTextValue for t in by_uid.get(tracking_uid(image.sop_instance_uid, model, n), [])]
        due = f"lesion {n}: {finding.lesion_probability:.0%} lesion, {finding.cancer_probability:.0%} cancer"
        if said != [due]:
            yield f"label of finding {n} is {said}, not {due!r}"


def capture_faults(ds: Dataset, result: StudyResult, sources: Sequence[Dataset]) -> Iterator[str]:
    """Look for what a page says otherwise than the findings.

    Parameters
    ----------
    ds
        The Secondary Capture as it was read from its file.
    result
        What was found, and what was not analysed.
    sources
        Normalised headers of the images that were analysed.
    """
    for keyword, value in PAGE.items():
        if ds.get(keyword) != value:
            yield f"{keyword} is {ds.get(keyword)}, not {value}"
    due = sorted((source.SOPClassUID, source.SOPInstanceUID) for source in sources)
    items = ds.get("SourceImageSequence") or ()
    if sorted((item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in items) != due:
        yield "the source images are not the images that were analysed"
    yield from _told_faults(str(ds.get("ImageComments") or ""), result, sources)
    for keyword in ("DerivationDescription", "ImageComments"):
        if NOTICE not in str(ds.get(keyword) or ""):
            yield f"{keyword} lacks the research notice"
    yield from _pixel_faults(ds, result)


def _told_faults(text: str, result: StudyResult, sources: Sequence[Dataset]) -> Iterator[str]:
    """Compare the page's words with each image's findings, or with why there are none."""
    lines = text.splitlines()
    told = Counter((match["view"], match["what"] or "no findings") for match in map(_TOLD.fullmatch, lines) if match)
    due = Counter(_due(result, {source.SOPInstanceUID: source for source in sources}))
    complete = not lines or lines[-1] != MORE
    for view, what in sorted((due - told).keys() if complete else ()):
        yield f"it is not told of {view}: {what}"
    for view, what in sorted((told - due).keys()):
        yield f"it is told of {view} what was not found: {what}"
    refused = [image for image in result.images if image.outcome not in ANALYSED]
    unsaid = {reason_of(image) for image in refused} - {said.partition(" not analysed: ")[2] for said in lines}
    if complete and len(unsaid) > max(0, len({reason_of(image) for image in refused}) - MAX_REASONS):
        yield f"it is not told why images were not analysed: {', '.join(sorted(unsaid))}"


_TOLD = re.compile(r"(?!Probability)(?P<view>.+?)(?: \(\d+\))?(?:: no findings| (?P<what>lesion \d+ \(.+))")


def _due(result: StudyResult, sources: Mapping[str, Dataset]) -> Iterator[tuple[str, str]]:
    """Yield what has to be told of which view."""
    for image in result.images:
        view = side_and_view(*place(image, sources.get(image.sop_instance_uid))) or UNKNOWN_VIEW
        if image.outcome is Outcome.NO_FINDINGS:
            yield view, "no findings"
        for n, finding in enumerate(image.findings, start=1):
            size = "" if finding.long_axis_mm is None else f", {finding.long_axis_mm:.0f} mm"
            yield (
                view,
                f"lesion {n} ({finding.type.value.replace('_', ' ')}): {finding.lesion_probability:.0%} lesion, "
                f"{finding.cancer_probability:.0%} cancer{size}",
            )


def _pixel_faults(ds: Dataset, result: StudyResult) -> Iterator[str]:
    """Look for the notice in the pixels, and for each finding's colour."""
    rows, columns, data = int(ds.Rows), int(ds.Columns), ds.get("PixelData") or b""
    size = rows * columns * 3
    if len(data) != size + size % 2:
        yield f"{len(data)} bytes of pixels, not {size + size % 2}"
        return
    page: NDArray[Any] = np.frombuffer(data, dtype=np.uint8, count=size).reshape(rows, columns, 3)
    banner = np.asarray(draw_banner(columns))
    if not np.array_equal(page[: len(banner)], banner):
        yield "the research notice is not burnt in"
    most = max((len(image.findings) for image in result.images), default=0)
    packed = page.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    for n, (red, green, blue) in enumerate(COLOURS[:most], start=1):
        if not (packed == red * 65536 + green * 256 + blue).any():
            yield f"the page has nothing in the colour of finding {n}"
