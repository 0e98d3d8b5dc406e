"""Spoilt presentation states are rejected, each for what was spoilt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from support import mg
from support.objects import presentation
from support.spoilers import faults_of, for_the_clinic, other_patient

from ftmtl.findings import ImageResult
from node.kinds import ObjectKind
from node.results.common.source import read_source
from node.results.conformance import check_object
from node.results.study import Expected


def _annotation(ds: Dataset) -> Dataset:
    annotation: Dataset = ds.GraphicAnnotationSequence[0]
    return annotation


def shifted(ds: Dataset) -> None:
    graphic = _annotation(ds).GraphicObjectSequence[1]
    graphic.GraphicData = [value + 1 for value in graphic.GraphicData]


def outside(ds: Dataset) -> None:
    graphic = _annotation(ds).GraphicObjectSequence[0]
    graphic.GraphicData = [value + 390 for value in graphic.GraphicData]


def lost_outline(ds: Dataset) -> None:
    del _annotation(ds).GraphicObjectSequence[1]


def exchanged(ds: Dataset) -> None:
    first, second = _annotation(ds).GraphicObjectSequence
    first.TrackingUID, second.TrackingUID = second.TrackingUID, first.TrackingUID


def other_score(ds: Dataset) -> None:
    _annotation(ds).TextObjectSequence[0].UnformattedTextValue = "1: lesion 90, cancer 12"


def no_notice(ds: Dataset) -> None:
    del _annotation(ds).TextObjectSequence[-1]


def no_layer(ds: Dataset) -> None:
    ds.GraphicLayerSequence[0].GraphicLayer = "OTHER"


def other_image(ds: Dataset) -> None:
    ds.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID = "2.25.404"


def other_annotated_image(ds: Dataset) -> None:
    _annotation(ds).ReferencedImageSequence[0].ReferencedSOPInstanceUID = "2.25.404"


def other_series(ds: Dataset) -> None:
    ds.ReferencedSeriesSequence[0].SeriesInstanceUID = "2.25.404"


def other_window(ds: Dataset) -> None:
    ds.SoftcopyVOILUTSequence[0].WindowCenter = 999


def no_window(ds: Dataset) -> None:
    del ds.SoftcopyVOILUTSequence


def inverted(ds: Dataset) -> None:
    ds.PresentationLUTShape = "INVERSE"


def cropped(ds: Dataset) -> None:
    ds.DisplayedAreaSelectionSequence[0].DisplayedAreaBottomRightHandCorner = [100, 100]


def turned(ds: Dataset) -> None:
    ds.ImageRotation, ds.ImageHorizontalFlip = 180, "N"


SPOILERS: dict[Callable[[Dataset], None], str] = {
    shifted: "outline 2 is not that of the mask of finding 2",
    outside: "outline 1 extends beyond the 300x400 image",
    lost_outline: "1 outlines for 2 findings",
    exchanged: "outline 1 has another finding's tracking UID",
    other_score: "label of finding 1 is",
    no_notice: "the research notice is missing",
    no_layer: "graphic layer AI_FINDINGS does not exist",
    other_image: "references 2.25.404, not one analysed source",
    other_annotated_image: "does not reference only 2.25.20",
    other_series: "does not reference the source's series",
    other_window: "SoftcopyVOILUTSequence would change how the image looks",
    no_window: "SoftcopyVOILUTSequence would change how the image looks",
    inverted: "PresentationLUTShape would change how the image looks",
    cropped: "DisplayedAreaSelectionSequence would change how the image looks",
    turned: "ImageRotation would change how the image looks",
    other_patient: "PatientID differs from the source's",
    for_the_clinic: "ContentQualification is not RESEARCH",
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset, ImageResult]:
    """A presentation state that passes its check, with its source and its result."""
    folder = tmp_path_factory.mktemp("sound")
    source = read_source(mg.write(mg.mg_header(), folder))
    image = mg.image_result(source, [mg.finding(), mg.finding(150, 200, (50, 41), 0.2)])
    presentation(source, image).save_as(folder / "state", enforce_file_format=True)
    return folder / "state", source, image


@pytest.mark.parametrize(("spoil", "fault"), SPOILERS.items(), ids=[f.__name__ for f in SPOILERS])
def test_a_spoilt_state_is_rejected(
    spoil: Callable[[Dataset], None], fault: str, sound: tuple[Path, Dataset, ImageResult], tmp_path: Path
) -> None:
    path, source, image = sound
    checked = (
        path,
        lambda copy: check_object(
            copy, Expected(ObjectKind.PR, mg.study_result([image]), {source.SOPInstanceUID: source}, {})
        ),
    )
    assert fault in faults_of(spoil, checked, tmp_path)
