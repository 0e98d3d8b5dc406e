"""Result objects read back: they say what was found, the same each time, and spoilt ones are caught."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from highdicom.sr import srread
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from support import mg
from support.clocks import LaterClock, noon
from support.objects import segmentation
from support.studies import Study, by_uid

from ftmtl.findings import ImageResult, Outcome, StudyResult
from node.errors import ResultRejected
from node.kinds import ObjectKind
from node.results.build import build_results
from node.results.common.naming import tracking_uid
from node.results.common.source import read_source
from node.results.conformance import check_object
from node.results.sr.measurement_report import build_report
from node.results.study import Expected
from node.results.summary import study_summary


def test_segmentation_reads_back_as_the_masks(study: Study, tmp_path: Path) -> None:
    result = study.result(findings=True)
    objects = build_results(result, study.paths, tmp_path)
    image, source = result.images[0], study.headers[0]
    seg = hd.seg.segread(objects[0].path)
    assert (seg.Rows, seg.Columns) == (source.Rows, source.Columns)
    frames = seg.get_pixels_by_source_instance([image.sop_instance_uid], ignore_spatial_locations=True)[0]
    for n, finding in enumerate(image.findings, start=1):
        expected = finding.mask.paste(source.Rows, source.Columns)
        assert np.array_equal(frames[..., n - 1].astype(bool), expected)
        description = seg.get_segment_description(n)
        assert description.tracking_uid == tracking_uid(image.sop_instance_uid, mg.MODEL, n)
    assert np.array_equal(seg.pixel_array.astype(bool), np.moveaxis(frames, -1, 0).astype(bool))
    assert seg.SegmentsOverlap == "NO"
    assert seg.ContentQualification == "RESEARCH"
    assert seg.SeriesNumber >= 901
    assert len(seg.SeriesDescription) <= 64


def test_report_reads_back_as_the_findings(study: Study, tmp_path: Path) -> None:
    result = study.result(findings=True)
    objects = build_results(result, study.paths, tmp_path)
    report = srread(objects[-1].path)
    groups = report.content.get_planar_roi_measurement_groups()
    image = result.images[0]
    assert len(groups) == 2 * sum(len(image.findings) for image in result.images)
    assert not report.content.get_image_measurement_groups()
    for n, finding in enumerate(image.findings, start=1):
        box, mask = (g for g in groups if g.tracking_uid == tracking_uid(image.sop_instance_uid, mg.MODEL, n))
        x0, y0, x1, y1 = finding.box
        assert box.roi.value.tolist() == [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
        (cancer,) = box.get_measurements(codes.DCM.ProbabilityOfCancer)
        assert cancer.value == pytest.approx(100 * finding.cancer_score, abs=0.006)
        segment = mask.referenced_segmentation_frame
        assert segment.referenced_sop_instance_uid == objects[0].sop_instance_uid
        assert list(segment.referenced_segment_numbers or []) == [n]
        assert "ReferencedFrameNumber" not in segment[0].ReferencedSOPSequence[0]
        areas = mask.get_measurements(codes.SCT.Area)
        assert [area.value for area in areas] == ([] if study.spacing is None else [round(finding.area_mm2, 2)])


def test_every_image_and_segmentation_is_evidence(study: Study, tmp_path: Path) -> None:
    objects = build_results(study.result(findings=True), study.paths, tmp_path)
    evidence = {instance for _, _, instance, _ in srread(objects[-1].path).get_evidence()}
    assert evidence == {*by_uid(study.headers), *(made.sop_instance_uid for made in objects if made.kind == "seg")}


def test_without_findings_each_image_says_so(study: Study, tmp_path: Path) -> None:
    objects = build_results(study.result(findings=False), study.paths, tmp_path)
    content = srread(objects[0].path).content
    assert not content.get_planar_roi_measurement_groups()
    groups = content.get_image_measurement_groups()
    assert [g.source_images[0].referenced_sop_instance_uid for g in groups] == [
        i.sop_instance_uid for i in sorted(study.result(findings=False).images, key=_order)
    ]
    for group in groups:
        (evaluation,) = group.get_qualitative_evaluations(codes.DCM.CADProcessingAndFindingsSummary)
        assert evaluation.value == codes.DCM.AllAlgorithmsSucceededWithoutFindings


def _order(image: ImageResult) -> tuple[str, str, str]:
    return image.view or "", image.laterality or "", image.sop_instance_uid


@pytest.mark.filterwarnings("ignore:A value of type 'DT'")
@pytest.mark.parametrize("findings", [True, False], ids=["findings", "no findings"])
def test_two_builds_are_byte_identical(
    study: Study, findings: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the clock says and in whatever order the images came."""
    result = study.result(findings=findings)
    first = build_results(result, study.paths, tmp_path / "1", clock=noon)
    monkeypatch.setattr("highdicom.base.datetime.datetime", LaterClock)
    turned = StudyResult(result.study_uid, result.model, result.images[::-1])
    second = build_results(turned, study.paths[::-1], tmp_path / "2", clock=noon)
    assert [made.path.name for made in first] == [made.path.name for made in second]
    for one, two in zip(first, second, strict=True):
        assert one.path.read_bytes() == two.path.read_bytes()
        assert one.path.name == f"{one.sop_instance_uid}.dcm"
    assert {path.name for path in (tmp_path / "1").iterdir()} == {made.path.name for made in first}


def test_unanalysed_images_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    paths = mg.four_views(tmp_path / "source")
    headers = [read_source(path) for path in paths]
    refused = [
        ImageResult(h.SOPInstanceUID, "L", "CC", outcome, "spot compression")
        for h, outcome in zip(headers[2:], (Outcome.NOT_PROCESSED, Outcome.FAILED), strict=True)
    ]
    result = mg.study_result([mg.image_result(headers[0], [mg.finding()]), mg.image_result(headers[1]), *refused])
    objects = build_results(result, paths, tmp_path / "out")
    evidence = {instance for _, _, instance, _ in srread(objects[-1].path).get_evidence()}
    assert evidence == {*(header.SOPInstanceUID for header in headers), objects[0].sop_instance_uid}
    told = [item.TextValue for item in srread(objects[-1].path).ContentSequence[-1].ContentSequence[2:]]
    assert "L CC not processed: spot compression" in told
    assert "L CC failed: spot compression" in told
    (made,) = build_results(mg.study_result(refused), paths, tmp_path / "none")
    assert made.kind == "sr"


def test_a_source_of_another_study_or_none_is_refused(tmp_path: Path) -> None:
    path = mg.write(mg.mg_header(), tmp_path)
    image = mg.image_result(read_source(path))
    with pytest.raises(ValueError, match=r"not in study 2\.25\.99"):
        build_results(mg.study_result([image], "2.25.99"), [path], tmp_path / "out")
    with pytest.raises(ValueError, match=r"no readable file for 2\.25\.20"):
        build_results(mg.study_result([image]), [], tmp_path / "out")


@pytest.mark.parametrize(("rows", "columns"), [(401, 299), (333, 7), (64, 64)])
def test_frames_that_do_not_end_on_a_byte(rows: int, columns: int, tmp_path: Path) -> None:
    """Frames follow each other bit by bit; corners, edges and overlapping lesions included."""
    path = mg.write(mg.mg_header(size=(rows, columns)), tmp_path)
    w, h = min(5, columns), 9
    findings = [
        mg.finding(0, 0, (w, h)),
        mg.finding(columns - w, rows - h, (w, h)),
        mg.finding(columns - w, rows - h - 3, (w, h), 0.1),
    ]
    result = mg.study_result([mg.image_result(read_source(path), findings)])
    objects = build_results(result, [path], tmp_path / "out")
    frames = dcmread(objects[0].path).pixel_array
    assert np.array_equal(frames.astype(bool), [f.mask.paste(rows, columns) for f in findings])
    assert dcmread(objects[0].path).SegmentsOverlap == "YES"


def test_a_mask_outside_the_image_is_refused(tmp_path: Path) -> None:
    path = mg.write(mg.mg_header(size=(50, 50)), tmp_path)
    result = mg.study_result([mg.image_result(read_source(path), [mg.finding(40, 10)])])
    with pytest.raises(ValueError, match="extends beyond the 50x50 image"):
        build_results(result, [path], tmp_path / "out")


def flip_mask(seg: Dataset, sr: Dataset) -> None:
    frames = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")[: 2 * 400 * 300]
    frames = frames.reshape(2, 400, 300)[:, :, ::-1]
    seg.PixelData = np.packbits(frames, bitorder="little").tobytes()


def swap_frames(seg: Dataset, sr: Dataset) -> None:
    half = len(seg.PixelData) // 2
    seg.PixelData = seg.PixelData[half:] + seg.PixelData[:half]


def wrong_rows(seg: Dataset, sr: Dataset) -> None:
    seg.Rows, seg.Columns = seg.Columns, seg.Rows


def stray_pixel(seg: Dataset, sr: Dataset) -> None:
    seg.PixelData = seg.PixelData[:-1] + b"\x80"


def missing_source(seg: Dataset, sr: Dataset) -> None:
    for frame in seg.PerFrameFunctionalGroupsSequence:
        frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID = "2.25.404"


def other_tracking(seg: Dataset, sr: Dataset) -> None:
    seg.SegmentSequence[1].TrackingUID = "2.25.404"


def other_patient(seg: Dataset, sr: Dataset) -> None:
    seg.PatientID = "SOMEBODY-ELSE"


def _groups(sr: Dataset) -> list[Dataset]:
    return list(sr.ContentSequence[-2].ContentSequence)


def _items(sr: Dataset, kind: str) -> list[Dataset]:
    return [item for group in _groups(sr) for item in group.ContentSequence if item.ValueType == kind]


def missing_evidence(seg: Dataset, sr: Dataset) -> None:
    del sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[-1]


def dangling_segment(seg: Dataset, sr: Dataset) -> None:
    _items(sr, "IMAGE")[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.404"


def no_such_segment(seg: Dataset, sr: Dataset) -> None:
    _items(sr, "IMAGE")[0].ReferencedSOPSequence[0].ReferencedSegmentNumber = 3


def box_outside(seg: Dataset, sr: Dataset) -> None:
    item = _items(sr, "SCOORD")[0]
    item.GraphicData = [value + 300 for value in item.GraphicData]


def other_probability(seg: Dataset, sr: Dataset) -> None:
    _items(sr, "NUM")[0].MeasuredValueSequence[0].NumericValue = "1"


def lost_group(seg: Dataset, sr: Dataset) -> None:
    del sr.ContentSequence[-2].ContentSequence[-1]


def verified(seg: Dataset, sr: Dataset) -> None:
    sr.VerificationFlag = "VERIFIED"


def for_the_clinic(seg: Dataset, sr: Dataset) -> None:
    seg.ContentQualification = "PRODUCT"


SPOILERS: dict[Callable[[Dataset, Dataset], None], str] = {
    flip_mask: "frame 1 is not the mask of finding 1; frame 2 is not the mask",
    swap_frames: "frame 1 is not the mask of finding 1",
    wrong_rows: "is 400x300, but the source is 300x400",
    stray_pixel: "frame 2 is not the mask of finding 2",
    missing_source: "2.25.404",
    other_tracking: "segment 2 has another finding's tracking UID",
    other_patient: "PatientID differs from the source's",
    missing_evidence: "is not listed as evidence",
    dangling_segment: "reference to 2.25.404, which does not exist",
    no_such_segment: "reference to segment 3",
    box_outside: "region outside the 300x400 image",
    other_probability: "Probability of cancer is",
    lost_group: "tracking UIDs of the groups are not those of the findings",
    verified: "VerificationFlag is not UNVERIFIED",
    for_the_clinic: "ContentQualification is not RESEARCH",
}


@pytest.mark.parametrize(("spoil", "fault"), SPOILERS.items(), ids=[f.__name__ for f in SPOILERS])
def test_a_spoilt_object_is_rejected(spoil: Callable[[Dataset, Dataset], None], fault: str, tmp_path: Path) -> None:
    source = read_source(mg.write(mg.mg_header(), tmp_path))
    image = mg.image_result(source, [mg.finding(), mg.finding(150, 200, (50, 41), 0.2)])
    result = mg.study_result([image])
    sources = {source.SOPInstanceUID: source}
    seg = segmentation(source, image)
    sr = build_report([source], result, {source.SOPInstanceUID: seg})
    for ds, name in ((seg, "seg"), (sr, "sr")):
        ds.save_as(tmp_path / name, enforce_file_format=True)
        check_object(tmp_path / name, Expected(ObjectKind(name), result, sources, {source.SOPInstanceUID: seg}))
    broken = dcmread(tmp_path / "seg"), dcmread(tmp_path / "sr")
    spoil(*broken)
    rejections = []
    for ds, name in zip(broken, ("seg", "sr"), strict=True):
        ds.save_as(tmp_path / name)
        try:
            check_object(tmp_path / name, Expected(ObjectKind(name), result, sources, {source.SOPInstanceUID: seg}))
        except ResultRejected as rejection:
            rejections.append(str(rejection))
    assert len(rejections) == 1
    assert fault in rejections[0]


def test_every_fault_is_listed_at_once(tmp_path: Path) -> None:
    source = read_source(mg.write(mg.mg_header(), tmp_path))
    image = mg.image_result(source, [mg.finding()])
    seg = segmentation(source, image)
    del seg.SeriesDescription
    other_patient(seg, seg)
    stray_pixel(seg, seg)
    seg.save_as(tmp_path / "seg")
    sources = {source.SOPInstanceUID: source}
    with pytest.raises(ResultRejected) as caught:
        check_object(tmp_path / "seg", Expected(ObjectKind.SEG, mg.study_result([image]), sources))
    assert len(caught.value.faults) == 4, "and its UID is not that of what it contains"


def test_a_truncated_file_is_rejected(tmp_path: Path) -> None:
    path = mg.write(mg.mg_header(), tmp_path)
    source = read_source(path)
    result = mg.study_result([mg.image_result(source, [mg.finding()])])
    made = build_results(result, [path], tmp_path / "out")[0]
    for length in (0, 100, 700, made.path.stat().st_size - 100):
        cut = tmp_path / "cut.dcm"
        cut.write_bytes(made.path.read_bytes()[:length])
        with pytest.raises(ResultRejected):
            check_object(cut, Expected(ObjectKind.SEG, result, {source.SOPInstanceUID: source}, {}))


def test_a_rejected_object_never_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = mg.write(mg.mg_header(), tmp_path)
    result = mg.study_result([mg.image_result(read_source(path), [mg.finding()])])
    monkeypatch.setattr("node.results.seg.build.pack_frames", lambda masks, rows, columns: bytes(15000))
    with pytest.raises(ResultRejected, match="frame 1 is not the mask"):
        build_results(result, [path], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_summary_names_the_same_findings(study: Study, tmp_path: Path) -> None:
    result = study.result(findings=True)
    objects = build_results(result, study.paths, tmp_path)
    entry = study_summary(result, objects)
    segments = dcmread(objects[0].path).SegmentSequence
    assert [f["tracking_uid"] for f in entry["images"][0]["findings"]] == [s.TrackingUID for s in segments]
    assert [Path(o["path"]) for o in entry["objects"]] == [made.path for made in objects]


def test_no_patient_name_reaches_log_or_warnings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ds = mg.mg_header()
    ds.PatientName = ds.PatientID = ds.AccessionNumber = "SecretName"
    path = mg.write(ds, tmp_path)
    image = mg.image_result(read_source(path), [mg.finding()])
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        objects = build_results(mg.study_result([image]), [path], tmp_path / "out")
    assert "Secret" not in caplog.text + "".join(str(w.message) for w in caught)
    assert all(dcmread(made.path).PatientName == "SecretName" for made in objects)
