"""Reports for OHIF: one per image with findings, each an object of its own."""

from __future__ import annotations

from pathlib import Path

from highdicom.sr import srread
from pydicom.dataset import Dataset
from support import mg
from support.clocks import noon
from support.objects import write
from support.studies import Study
from support.validators import Run, errors

from ftmtl.findings import StudyResult
from node.results.build import build_results
from node.results.common.source import read_source
from node.results.conformance import check_object
from node.results.seg.build import Kind, build_segmentation
from node.results.sr.ohif import build_reports_ohif
from node.results.study import Expected


def reports_of(study: Study, result: StudyResult) -> tuple[dict[str, Dataset], dict[str, Dataset]]:
    """Return segmentations and reports for OHIF by image."""
    images = {image.sop_instance_uid: image for image in result.images if image.findings}
    segs = {
        h.SOPInstanceUID: build_segmentation(h, images[h.SOPInstanceUID], result, kind=Kind.SEG_OHIF)
        for h in study.headers
        if h.SOPInstanceUID in images
    }
    return segs, build_reports_ohif(study.headers, result, segs, noon)


def test_each_image_with_findings_has_a_report_of_its_own(study: Study, tmp_path: Path, run_tool: Run) -> None:
    result = study.result(findings=True)
    segs, reports = reports_of(study, result)
    assert list(reports) == [h.SOPInstanceUID for h in study.headers if h.SOPInstanceUID in segs]
    assert len({report.SeriesInstanceUID for report in reports.values()}) == len(reports)
    assert [r.SeriesNumber % 10_000 for r in reports.values()] == list(range(4901, 4901 + len(reports)))
    headers = {header.SOPInstanceUID: header for header in study.headers}
    for uid, report in reports.items():
        path = write(report, tmp_path / "sr")
        check_object(path, Expected(Kind.SR_OHIF, result, {uid: headers[uid]}, {uid: segs[uid]}, only=uid))
        _, lines = run_tool("dciodvfy", "-new", path)
        assert not errors(lines)
        assert {instance for _, _, instance, _ in srread(path).get_evidence()} == {uid, segs[uid].SOPInstanceUID}
        assert "OHIF" in report.SeriesDescription
    again = reports_of(study, result)[1]
    assert [write(r, tmp_path / "a").read_bytes() for r in reports.values()] == [
        write(r, tmp_path / "b").read_bytes() for r in again.values()
    ]


def test_a_report_for_ohif_is_another_object_than_the_studys(tmp_path: Path) -> None:
    """Even if the study is a single image, and both say the same."""
    path = mg.write(mg.mg_header(), tmp_path)
    study = Study([path], [read_source(path)], 0.1)
    result = study.result(findings=True)
    objects = build_results(result, [path], tmp_path / "out")
    (report,) = reports_of(study, result)[1].values()
    assert report.SOPInstanceUID not in {made.sop_instance_uid for made in objects}
    assert report.SeriesInstanceUID not in {made.series_uid for made in objects}


def test_without_findings_ohif_gets_nothing(study: Study) -> None:
    assert reports_of(study, study.result(findings=False)) == ({}, {})
