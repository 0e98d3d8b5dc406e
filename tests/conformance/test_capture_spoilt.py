"""Spoilt pages are rejected, each for what was spoilt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from support import mg
from support.outcomes import REASON
from support.pictures import write_page
from support.spoilers import faults_of, for_the_clinic
from support.studies import Study

from ftmtl.findings import ImageResult, Outcome, StudyResult
from node.kinds import ObjectKind
from node.results.common.source import read_source
from node.results.conformance import check_object
from node.results.study import Expected


def blank(ds: Dataset) -> None:
    ds.PixelData = bytes(len(ds.PixelData))


def without_outlines(ds: Dataset) -> None:
    pixels = np.frombuffer(ds.PixelData, np.uint8).reshape(ds.Rows, ds.Columns, 3).copy()
    pixels[60:] = pixels[60:].mean(axis=2, keepdims=True).astype(np.uint8)
    ds.PixelData = pixels.tobytes()


def cut_short(ds: Dataset) -> None:
    ds.PixelData = ds.PixelData[:-2]


def other_score(ds: Dataset) -> None:
    ds.ImageComments = ds.ImageComments.replace("cancer score 72", "cancer score 7")


def other_view(ds: Dataset) -> None:
    ds.ImageComments = ds.ImageComments.replace("L CC lesion 1", "R CC lesion 1")


def lost_finding(ds: Dataset) -> None:
    ds.ImageComments = "\r\n".join(line for line in ds.ImageComments.splitlines() if "lesion 2" not in line)


def invented(ds: Dataset) -> None:
    ds.ImageComments += "\r\nL CC lesion 3 (mass): lesion score 99, cancer score 99"


def unsaid(ds: Dataset) -> None:
    ds.ImageComments = ds.ImageComments.replace(REASON, "")


def no_notice(ds: Dataset) -> None:
    ds.ImageComments = ds.ImageComments.replace("RESEARCH", "CLINICAL")


def other_source(ds: Dataset) -> None:
    ds.SourceImageSequence[0].ReferencedSOPInstanceUID = "2.25.404"


def like_an_original(ds: Dataset) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY"]


def like_a_mammogram(ds: Dataset) -> None:
    ds.Modality = "MG"


SPOILERS: dict[Callable[[Dataset], None], str] = {
    blank: "the research notice is not burnt in",
    without_outlines: "the page has nothing in the colour of finding 1",
    cut_short: "bytes of pixels, not",
    other_score: "does not report about L CC: lesion 1 (mass): lesion score 90, cancer score 72, 3 mm",
    other_view: "reports something about R CC that was not found",
    lost_finding: "does not report about L CC: lesion 2",
    invented: "reports something about L CC that was not found: lesion 3",
    unsaid: "does not say why images were not analysed: This is a spot",
    no_notice: "ImageComments lacks the research notice",
    other_source: "the source images are not the images that were analysed",
    like_an_original: "ImageType is",
    like_a_mammogram: "Modality is MG, not OT",
    for_the_clinic: "ContentQualification is not RESEARCH",
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset, StudyResult]:
    """A page that passes its check, with its source and its result."""
    folder = tmp_path_factory.mktemp("sound")
    header = read_source(mg.mg_header())
    refused = ImageResult("2.25.404", "L", "MLO", Outcome.NOT_PROCESSED, REASON)
    image = mg.image_result(header, [mg.finding(), mg.finding(150, 200, (50, 41), 0.2)])
    result = mg.study_result([image, refused])
    write_page(Study([], [header], 0.1), result, folder / "page")
    return folder / "page", header, result


@pytest.mark.parametrize(("spoil", "fault"), SPOILERS.items(), ids=[f.__name__ for f in SPOILERS])
def test_a_spoilt_page_is_rejected(
    spoil: Callable[[Dataset], None], fault: str, sound: tuple[Path, Dataset, StudyResult], tmp_path: Path
) -> None:
    path, source, result = sound
    checked = (
        path,
        lambda copy: check_object(copy, Expected(ObjectKind.SC, result, {source.SOPInstanceUID: source}, {})),
    )
    assert fault in faults_of(spoil, checked, tmp_path)
