"""Compares a page that was read back with what was found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ftmtl.findings import Outcome, StudyResult
from node.results.common.checks import CONTENT_TIME, absent_faults
from node.results.common.colours import COLOURS
from node.results.common.lesions import lesions_of
from node.results.common.naming import side_and_view
from node.results.common.stamp import NOTICE
from node.results.sc.build import MORE, place
from node.results.sc.page import draw_banner
from node.results.sc.words import MAX_REASONS, UNKNOWN_VIEW, printable_reason
from node.results.study import Expected

PAGE = {
    "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "BitsAllocated": 8,
    "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0, "ConversionType": "WSD",
    "ImageType": ["DERIVED", "SECONDARY"], "Modality": "OT",
}  # fmt: skip


def faults(ds: Dataset, expected: Expected) -> Iterator[str]:
    """Yield the differences between a page and the findings, one sentence per fault.

    Parameters
    ----------
    ds
        The Secondary Capture as it was read from its file.
    expected
        What was found, on which images, and which images were not analysed.
    """
    result, sources = expected.result, list(expected.sources.values())
    yield from absent_faults(ds, CONTENT_TIME)
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
    """Compare the page's text with each image's findings, or with the reason why there are none."""
    lines = text.splitlines()
    told = Counter((match["view"], match["what"] or "no findings") for match in map(_TOLD.fullmatch, lines) if match)
    due = Counter(_due(result, {source.SOPInstanceUID: source for source in sources}))
    complete = not lines or lines[-1] != MORE
    for view, what in sorted((due - told).keys() if complete else ()):
        yield f"does not report about {view}: {what}"
    for view, what in sorted((told - due).keys()):
        yield f"reports something about {view} that was not found: {what}"
    refused = [image for image in result.images if not image.was_read]
    unsaid = {printable_reason(image) for image in refused} - {_REFUSED.split(said)[-1] for said in lines}
    if complete and len(unsaid) > max(0, len({printable_reason(image) for image in refused}) - MAX_REASONS):
        yield f"does not say why images were not analysed: {', '.join(sorted(unsaid))}"


_REFUSED = re.compile(" not analysed: | left aside: ")
_TOLD = re.compile(r"(?!Cancer score)(?P<view>.+?)(?: \(\d+\))?(?:: no findings| (?P<what>lesion \d+ \(.+))")


def _due(result: StudyResult, sources: Mapping[str, Dataset]) -> Iterator[tuple[str, str]]:
    """Yield what has to be reported, with the name of the view."""
    lesions = lesions_of(result)
    for image in result.images:
        view = side_and_view(*place(image, sources.get(image.sop_instance_uid))) or UNKNOWN_VIEW
        if image.outcome is Outcome.NO_FINDINGS:
            yield view, "no findings"
        for lesion in lesions[image.sop_instance_uid]:
            finding = lesion.finding
            size = "" if finding.long_axis_mm is None else f", {finding.long_axis_mm:.0f} mm"
            yield (
                view,
                f"lesion {lesion.number} ({finding.type.value.replace('_', ' ')}): "
                f"lesion score {100 * finding.lesion_score:.0f}, cancer score {100 * finding.cancer_score:.0f}{size}",
            )


def _pixel_faults(ds: Dataset, result: StudyResult) -> Iterator[str]:
    """Check that the pixels show the research notice, and the colour of each finding."""
    rows, columns, data = int(ds.Rows), int(ds.Columns), ds.get("PixelData") or b""
    size = rows * columns * 3
    if len(data) != size + size % 2:
        yield f"{len(data)} bytes of pixels, not {size + size % 2}"
        return
    page: NDArray[Any] = np.frombuffer(data, dtype=np.uint8, count=size).reshape(rows, columns, 3)
    banner = np.asarray(draw_banner(columns))
    if not np.array_equal(page[: len(banner)], banner):
        yield "the research notice is not burnt in"
    most = sum(len(image.findings) for image in result.images)
    packed = page.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    for n, (red, green, blue) in enumerate(COLOURS[:most], start=1):
        if not (packed == red * 65536 + green * 256 + blue).any():
            yield f"the page has nothing in the colour of finding {n}"
