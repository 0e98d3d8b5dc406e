"""The whole line with real peers: storescu sends, the node analyses, Orthanc holds the results."""

from __future__ import annotations

import json
import subprocess
from copy import deepcopy
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from support.peers import BIN, NodeProcess, Orthanc, run_tool, wait_for
from support.realdata import real_data
from support.records import SEG, SR
from support.validators import errors

from ftmtl.phantom.make import Phantom

ENDED = {"delivered", "not_processed", "failed"}
pytestmark = pytest.mark.peer


def ended(node: NodeProcess, count: int) -> list[dict]:
    def all_ended() -> list[dict] | None:
        jobs = node.jobs()
        return jobs if len(jobs) == count and all(job["state"] in ENDED for job in jobs) else None

    return wait_for(all_ended, 120, f"{count} jobs to end")


def references(ds: Dataset) -> set[str]:
    """Every SOP instance that the content of a report refers to."""
    found = {item.ReferencedSOPInstanceUID for item in ds.get("ReferencedSOPSequence", [])}
    for child in ds.get("ContentSequence", []):
        found |= references(child)
    return found


def tracked(ds: Dataset) -> set[str]:
    """Every Tracking UID in the content of a report."""
    found = {ds.UID} if "UID" in ds else set()
    return found.union(*(tracked(child) for child in ds.get("ContentSequence", [])))


def evidence_of(ds: Dataset) -> set[str]:
    """Every SOP instance that a report is said to rest on."""
    return {
        item.ReferencedSOPInstanceUID
        for study in ds.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }


def validate(results: list[Dataset], sources: list[Path], folder: Path) -> None:
    """Assert that dciodvfy finds no error in any object, nor dcentvfy in the study with its results."""
    paths = []
    for number, ds in enumerate(results):
        paths.append(folder / f"result-{number}.dcm")
        ds.save_as(paths[-1])
        status, lines = run_tool("dciodvfy", "-new", paths[-1])
        assert status == 0, lines
        assert not errors(lines)
    _, lines = run_tool("dcentvfy", *sources, *paths)
    _, already = run_tool("dcentvfy", *sources)
    assert not [line for line in errors(lines) if line not in already]


def check_results(results: list[Dataset], sources: dict[str, Dataset], folder: Path, paths: list[Path]) -> None:
    """Segmentations lie on their sources' matrices; the report refers to images, and tracks the lesions of segments."""
    reports = [ds for ds in results if ds.SOPClassUID == SR]
    segmentations = [ds for ds in results if ds.SOPClassUID == SEG]
    assert len(reports) == 1
    assert len(results) == 1 + len(segmentations)
    for seg in segmentations:
        source = sources[seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID]
        assert (seg.Rows, seg.Columns) == (source.Rows, source.Columns)
        assert seg.pixel_array.any()
        assert seg.SOPInstanceUID in evidence_of(reports[0])
        assert {segment.TrackingUID for segment in seg.SegmentSequence} <= tracked(reports[0])
    assert references(reports[0]) & sources.keys()
    assert reports[0].StudyInstanceUID == next(iter(sources.values())).StudyInstanceUID
    validate(results, paths, folder)


def test_real_mammograms_go_in_and_results_come_back(node: NodeProcess, orthanc: Orthanc, tmp_path: Path) -> None:
    """GH133 (JPEG Lossless) and two CBIS films (RLE), each a study of its own, by storescu."""
    gh133 = next(real_data("mg").glob("GH133_*.dcm"))
    films = [real_data(f"mg/cbis_P_00173_LEFT_{view}.dcm") for view in ("CC", "MLO")]
    node.start()
    node.storescu("-xs", gh133)
    for film in films:
        node.storescu("-xr", film)
    jobs = ended(node, 3)
    assert {job["state"] for job in jobs} == {"delivered"}
    assert all(d == {"name": "ORTHANC", "state": "delivered"} for job in jobs for d in job["destinations"])
    with_findings = 0
    for number, path in enumerate([gh133, *films]):
        source = dcmread(path, stop_before_pixels=True)
        results = orthanc.instances(source.StudyInstanceUID)
        folder = tmp_path / f"study-{number}"
        folder.mkdir()
        check_results(results, {source.SOPInstanceUID: source}, folder, [path])
        with_findings += len(results) > 1
        assert same_as_analyze(path, results, folder / "analyze")
    assert with_findings, "the model found nothing on any real mammogram: no segmentation was tested"


def same_as_analyze(path: Path, results: list[Dataset], out: Path) -> bool:
    """``ftmtl analyze`` makes the very objects that the node delivered, but for the times at which they were made."""
    done = subprocess.run(
        [str(BIN / "ftmtl"), "analyze", path, "--out", out], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((out / "summary.json").read_text())
    made = {entry["sop_instance_uid"]: dcmread(out / entry["path"]) for entry in summary["studies"][0]["objects"]}
    return {ds.SOPInstanceUID for ds in results} == made.keys() and all(
        undated(ds) == undated(made[ds.SOPInstanceUID]) for ds in results
    )


def undated(ds: Dataset) -> Dataset:
    """Return an object without the times at which it was made."""
    copy = deepcopy(ds)
    for keyword in ("InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime"):
        del copy[keyword]
    del copy.ContributingEquipmentSequence[0].ContributionDateTime
    return copy


def test_a_four_view_study_is_one_job_and_one_report(
    node: NodeProcess, orthanc: Orthanc, phantom_study: list[tuple[Path, Phantom]], tmp_path: Path
) -> None:
    paths = [path for path, _ in phantom_study]
    node.environment["FTMTL_ASSEMBLY_QUIET_S"] = "600"  # four standard views do not wait for quiet
    node.start()
    node.storescu(*paths[:1])
    node.storescu("+sd", paths[0].parent)
    (job,) = ended(node, 1)
    assert job["state"] == "delivered"
    keys = ("job_id", "study_uid", "state", "reason", "outcome", "remarks", "created", "updated", "destinations")
    assert tuple(job) == keys
    sources = {ds.SOPInstanceUID: ds for ds in (dcmread(path, stop_before_pixels=True) for path in paths)}
    check_results(orthanc.instances(), sources, tmp_path, paths)


def test_what_is_no_mammogram_is_stored_and_not_processed(node: NodeProcess, orthanc: Orthanc) -> None:
    path = real_data("edge/pydicom-data/data_store/data/693_UNCR.dcm")
    node.start()
    node.storescu(path)
    (job,) = ended(node, 1)
    assert job["state"] == "not_processed"
    assert "no mammogram" in job["reason"]
    assert orthanc.count() == 0
