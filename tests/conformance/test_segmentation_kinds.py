"""Segmentations of every kind: read back, judged by the validators, spoilt and rejected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from support import mg
from support.clocks import LaterClock
from support.objects import segmentation, write
from support.spoilers import faults_of
from support.studies import Study
from support.validators import Run, about_a_source_alone, errors

from ftmtl.findings import Finding, ImageResult, LesionMask
from node.results.common.naming import tracking_uid
from node.results.common.source import read_source
from node.results.conformance import check_object
from node.results.seg.build import Kind
from node.results.study import Expected

KINDS = (Kind.SEG, Kind.SEG_FRACTIONAL, Kind.SEG_LABELMAP, Kind.SEG_OHIF)
SIZES = {"even": (400, 300), "odd": (401, 299)}
"""Rows and columns: three frames of bits fill an even number of bytes, or an odd one."""


def blurred(finding: Finding) -> Finding:
    """Return a finding with probabilities that differ in every column."""
    width = finding.mask.pixels.shape[1]
    ramp = np.linspace(40, 255, width).astype(np.uint8)
    return replace(finding, probability=np.where(finding.mask.pixels, ramp, ramp // 4).astype(np.uint8))


def overlapping() -> list[Finding]:
    """Return three lesions, the last and most probable one on top of the others, the second without probabilities."""
    below, beside, above = mg.finding(), mg.finding(60, 60), mg.finding(52, 66, (30, 30))
    return [
        replace(blurred(below), lesion_score=0.6),
        replace(beside, lesion_score=0.6),
        replace(blurred(above), lesion_score=0.7),
    ]


def one_image(folder: Path, size: str = "even", mm: float | None = 0.1) -> tuple[Dataset, ImageResult]:
    """Return a header and overlapping findings."""
    rows, columns = SIZES[size]
    source = read_source(mg.write(mg.mg_header(size=(rows, columns)), folder))
    return source, mg.image_result(source, overlapping(), mm)


def check(path: Path, source: Dataset, image: ImageResult, kind: str) -> None:
    result = mg.study_result([image], source.StudyInstanceUID)
    check_object(path, Expected(Kind(kind), result, {source.SOPInstanceUID: source}))


def masks(image: ImageResult, source: Dataset) -> list[np.ndarray]:
    return [finding.mask.paste(source.Rows, source.Columns) for finding in image.findings]


def labels_by_hand(image: ImageResult, source: Dataset) -> np.ndarray:
    """Return the label map of :func:`overlapping`: the third lesion on top, the second at the bottom."""
    one, two, three = masks(image, source)
    return np.select([three, one, two], [3, 1, 2], 0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_it_reads_back_as_what_was_found(kind: Kind, size: str, tmp_path: Path) -> None:
    source, image = one_image(tmp_path, size)
    path = write(segmentation(source, image, kind, 4), tmp_path / "seg")
    check(path, source, image, kind)
    ds = dcmread(path)
    frames = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
    due = masks(image, source)
    if ds.SegmentationType == "LABELMAP":
        assert np.array_equal(frames, labels_by_hand(image, source)[np.newaxis])
        assert ds.SegmentsOverlap == "NO"
        assert "on top" in ds.ContentDescription
    elif kind == "seg-fractional":
        for frame, mask, finding in zip(frames, due, image.findings, strict=True):
            m = finding.mask
            height, width = m.pixels.shape
            inside = frame[m.row : m.row + height, m.column : m.column + width]
            assert np.array_equal(inside, m.pixels * 255 if finding.probability is None else finding.probability)
            assert np.count_nonzero(frame) == np.count_nonzero(inside) >= mask.sum()
        assert (ds.SegmentationFractionalType, ds.MaximumFractionalValue) == ("PROBABILITY", 255)
        assert ds.SegmentsOverlap == "UNDEFINED"
    else:
        assert np.array_equal(frames.astype(bool), due)
        assert ds.SegmentsOverlap == "YES"
    colours = [segment.RecommendedDisplayCIELabValue for segment in ds.SegmentSequence if segment.SegmentNumber]
    assert len({tuple(colour) for colour in colours}) == 3
    uids = {segment.SegmentNumber: segment.TrackingUID for segment in ds.SegmentSequence if segment.SegmentNumber}
    assert uids == {n: tracking_uid(source.SOPInstanceUID, mg.MODEL, n) for n in (1, 2, 3)}
    assert (ds.SeriesNumber % 10_000, ds.ContentQualification) == (kind.row.series_number + 4, "RESEARCH")
    assert "Research use only." in ds.ContentDescription
    assert max(len(ds.ContentDescription), len(ds.SeriesDescription)) <= 64


@pytest.mark.parametrize("kind", [Kind.SEG, Kind.SEG_FRACTIONAL, Kind.SEG_LABELMAP])
def test_highdicom_reads_the_same(kind: Kind, tmp_path: Path) -> None:
    """It refuses Pixel Measures without Slice Thickness, so that it can't read those for OHIF."""
    source, image = one_image(tmp_path)
    image = replace(image, findings=image.findings[1:])
    seg = hd.seg.segread(write(segmentation(source, image, kind), tmp_path / "seg"))
    pixels = seg.get_pixels_by_source_instance(
        [image.sop_instance_uid], ignore_spatial_locations=True, skip_overlap_checks=True
    )[0]
    one, two = masks(image, source)
    if kind == "seg-fractional":
        assert np.array_equal(pixels[..., 0], one.astype(float))
        assert 0 < pixels[..., 1][two].min() < pixels[..., 1][two].max() == 1
    else:
        covered = two if kind == "seg-labelmap" else np.zeros_like(two)
        assert np.array_equal(pixels[..., 0] > 0, one & ~covered)
        assert np.array_equal(pixels[..., 1] > 0, two)


@pytest.mark.parametrize(
    ("rows", "columns", "encodings"),
    [
        pytest.param(400, 304, "BINARY BINARY BINARY", id="an even number of bytes a frame"),
        pytest.param(404, 302, "BINARY BINARY LABELMAP", id="an odd number of bytes a frame"),
        pytest.param(402, 302, "BINARY LABELMAP LABELMAP", id="half a byte over"),
        pytest.param(401, 299, "BINARY LABELMAP LABELMAP", id="three bits over"),
    ],
)
def test_for_ohif_the_encoding_follows_the_size(rows: int, columns: int, encodings: str, tmp_path: Path) -> None:
    source = read_source(mg.write(mg.mg_header(size=(rows, columns)), tmp_path))
    for count, encoding in enumerate(encodings.split(), start=1):
        image = mg.image_result(source, overlapping()[:count])
        seg = segmentation(source, image, Kind.SEG_OHIF)
        check(write(seg, tmp_path / "seg"), source, image, Kind.SEG_OHIF)
        assert seg.SegmentationType == encoding
        numbers = [segment.SegmentNumber for segment in seg.SegmentSequence]
        assert numbers == [*range(1, count + 1)] + [0] * (encoding == "LABELMAP")


@pytest.mark.parametrize("mm", [0.1, 1 / 3, None])
@pytest.mark.parametrize("size", SIZES)
def test_only_for_ohif_geometry_is_invented(size: str, mm: float | None, tmp_path: Path) -> None:
    source, image = one_image(tmp_path, size, mm)
    for kind in KINDS:
        path = write(segmentation(source, image, kind), tmp_path / "seg")
        check(path, source, image, kind)
        ds = dcmread(path)
        shared = ds.SharedFunctionalGroupsSequence[0]
        if kind != "seg-ohif":
            assert not len(shared)
            assert "invented" not in ds.ContentDescription
            continue
        assert shared.dir("Sequence") == ["PixelMeasuresSequence", "PlaneOrientationSequence"]
        assert [[e.keyword for e in shared[k].value[0]] for k in shared.dir("Sequence")] == [
            ["PixelSpacing"],
            ["ImageOrientationPatient"],
        ]
        assert shared.PixelMeasuresSequence[0].PixelSpacing == pytest.approx([mm or 1, mm or 1])
        assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
        assert "invented" in ds.ContentDescription


@pytest.mark.filterwarnings("ignore:A value of type 'DT'")
def test_each_kind_has_uids_of_its_own_and_the_same_bytes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, image = one_image(tmp_path)
    made = [segmentation(source, image, kind) for kind in KINDS]
    uids = [(seg.SOPInstanceUID, seg.SeriesInstanceUID, _organization(seg)) for seg in made]
    assert len({uid for listed in uids for uid in listed}) == 3 * len(KINDS)
    monkeypatch.setattr("highdicom.base.datetime.datetime", LaterClock)
    for kind, first in zip(KINDS, made, strict=True):
        again = segmentation(source, image, kind)
        assert again.SOPInstanceUID == first.SOPInstanceUID
        assert {e.tag for e in first} == {e.tag for e in again}


def _organization(seg: Dataset) -> str:
    (organization,) = {seg.DimensionOrganizationSequence[0].DimensionOrganizationUID} | {
        index.DimensionOrganizationUID for index in seg.DimensionIndexSequence
    }
    return str(organization)


@pytest.mark.parametrize("kind", KINDS)
def test_validators_accept_every_kind(study: Study, kind: Kind, tmp_path: Path, run_tool: Run) -> None:
    result = study.result(findings=True)
    headers = {header.SOPInstanceUID: header for header in study.headers}
    found = [image for image in result.images if image.findings]
    paths = []
    for n, image in enumerate(found):
        image = replace(image, findings=tuple(map(blurred, image.findings)))
        source = headers[image.sop_instance_uid]
        paths.append(write(segmentation(source, image, kind, n), tmp_path / f"{n}.dcm"))
        check(paths[-1], source, image, kind)
        status, lines = run_tool("dciodvfy", "-new", paths[-1])
        assert not errors(lines)
        assert status == 0
    _, lines = run_tool("dcentvfy", *study.paths, *paths)
    assert not [line for line in errors(lines) if not about_a_source_alone(line, study.paths)]


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_source_with_a_frame_of_reference(kind: Kind, calibrated: bool, tmp_path: Path, run_tool: Run) -> None:
    """It is left out, or dciodvfy would want a Slice Thickness in Pixel Measures.

    highdicom's reader wants one anyway, so there are none except for OHIF: the pixels are those of the image.
    """
    ds = mg.mg_header("L", "MLO")
    if calibrated:
        ds.PixelSpacing = [0.1, 0.1]
    source = read_source(mg.write(ds, tmp_path))
    path = write(segmentation(source, mg.image_result(source, [mg.finding()]), kind), tmp_path / "seg")
    status, lines = run_tool("dciodvfy", "-new", path)
    assert not errors(lines)
    assert status == 0
    assert "FrameOfReferenceUID" not in dcmread(path)
    measured = "PixelMeasuresSequence" in dcmread(path).SharedFunctionalGroupsSequence[0]
    assert measured is (kind == "seg-ohif")
    if not measured:
        assert len(hd.seg.segread(path).segment_numbers) == 1


def test_more_findings_than_labels_are_refused(tmp_path: Path) -> None:
    source, image = one_image(tmp_path)
    many = replace(image, findings=(mg.finding(),) * 256)
    with pytest.raises(ValueError, match="256 findings for 255 labels"):
        segmentation(source, many, Kind.SEG_LABELMAP)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_outside_the_image_is_refused(kind: Kind, tmp_path: Path) -> None:
    source, image = one_image(tmp_path)
    pixels = np.ones((10, 10), dtype=bool)
    stray = replace(mg.finding(), mask=LesionMask(pixels, 295, 20))
    with pytest.raises(ValueError, match="extends beyond the 300x400 image"):
        segmentation(source, replace(image, findings=(*image.findings, stray)), kind)


def turned(seg: Dataset) -> None:
    seg.PixelData = seg.PixelData[::-1]


def other_class(seg: Dataset) -> None:
    for ds, keyword in ((seg, "SOPClassUID"), (seg.file_meta, "MediaStorageSOPClassUID")):
        setattr(ds, keyword, "1.2.840.10008.5.1.4.1.1.66.7")


def other_kinds_uid(seg: Dataset) -> None:
    seg.SOPInstanceUID = seg.file_meta.MediaStorageSOPInstanceUID = "2.25.404"


def other_series(seg: Dataset) -> None:
    seg.SeriesInstanceUID = "2.25.404"


def one_grey_level(seg: Dataset) -> None:
    data = bytearray(seg.PixelData)
    data[next(n for n, value in enumerate(data) if value)] ^= 1
    seg.PixelData = bytes(data)


def occupancy(seg: Dataset) -> None:
    seg.SegmentationFractionalType = "OCCUPANCY"


def no_background(seg: Dataset) -> None:
    seg.SegmentSequence[0].SegmentNumber = 9


def swapped_labels(seg: Dataset) -> None:
    seg.PixelData = seg.PixelData.translate(bytes([0, 2, 1, *range(3, 256)]))


def coronal(seg: Dataset) -> None:
    seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]


def no_orientation(seg: Dataset) -> None:
    del seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence


def other_spacing(seg: Dataset) -> None:
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [0.1, 0.2]


def invented(seg: Dataset) -> None:
    item = Dataset()
    item.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence = [item]


SPOILERS: list[tuple[Kind, Callable[[Dataset], None], str]] = [
    ("seg", other_class, "is not encoded with 1-bit pixels as BINARY"),
    ("seg", other_kinds_uid, "SOPInstanceUID is not that of its content"),
    ("seg", other_series, "SeriesInstanceUID is not that of this object alone"),
    ("seg", invented, "an orientation was invented"),
    ("seg-fractional", turned, "frame 1 is not the probability of finding 1"),
    ("seg-fractional", one_grey_level, "frame 1 is not the probability of finding 1"),
    ("seg-fractional", occupancy, "fractions are OCCUPANCY up to 255"),
    ("seg-labelmap", turned, "label 3 is not what more probable lesions leave of the mask of finding 3"),
    ("seg-labelmap", swapped_labels, "label 1 is not what more probable lesions leave of the mask of finding 1"),
    ("seg-labelmap", no_background, "the background is not segment 0"),
    ("seg-labelmap", invented, "an orientation was invented"),
    ("seg-ohif", turned, "frame 1 is not the mask of finding 1"),
    ("seg-ohif", coronal, "Image Orientation (Patient) is not what OHIF needs"),
    ("seg-ohif", no_orientation, "Image Orientation (Patient) is not what OHIF needs"),
    ("seg-ohif", other_spacing, "Pixel Spacing is not 0.1\\0.1"),
]


@pytest.mark.parametrize(("kind", "spoil", "fault"), SPOILERS, ids=[f"{k} {f.__name__}" for k, f, _ in SPOILERS])
def test_a_spoilt_object_is_rejected(kind: Kind, spoil: Callable[[Dataset], None], fault: str, tmp_path: Path) -> None:
    source, image = one_image(tmp_path)
    path = write(segmentation(source, image, kind), tmp_path / "seg")
    assert fault in faults_of(spoil, (path, lambda copy: check(copy, source, image, kind)), tmp_path)
