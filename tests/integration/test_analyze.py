"""``ftmtl analyze`` on files of all kinds: results, a summary that keeps its contract, and clear words for the rest."""

from __future__ import annotations

import json
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from support.peers import BIN
from support.realdata import real_data

from ftmtl.phantom.dicom import phantom_dataset
from ftmtl.phantom.make import Phantom
from ftmtl.weights import SHIPPED

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
"""The hostile file's UID is malformed on purpose."""


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BIN / "ftmtl"), "analyze", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, phantom_study: list[tuple[Path, Phantom]]) -> Path:
    """A folder with a study, one of its files again, no DICOM, a truncated file, and a hostile Study UID."""
    folder = tmp_path_factory.mktemp("mixed")
    for path, _ in phantom_study:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "again.dcm").write_bytes(phantom_study[0][0].read_bytes())
    (folder / "notes.txt").write_text("no DICOM")
    (folder / "empty.dcm").write_bytes(b"")
    truncated = phantom_dataset(phantom_study[0][1], study="truncated")
    truncated.save_as(folder / "truncated.dcm", enforce_file_format=True)
    whole = (folder / "truncated.dcm").read_bytes()
    (folder / "truncated.dcm").write_bytes(whole[: len(whole) // 2])
    hostile = phantom_dataset(phantom_study[0][1], study="hostile")
    hostile.StudyInstanceUID = "../../../../hostile"
    hostile.Modality, hostile.SOPClassUID = "CT", "1.2.840.10008.5.1.4.1.1.2"
    hostile.save_as(folder / "hostile.dcm", enforce_file_format=True)
    return folder


def test_the_summary_keeps_its_contract(mixed: Path, phantom_study: list[tuple[Path, Phantom]], tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    done = analyze(mixed, "--out", out, "--pictures")
    assert done.returncode == 3, "the truncated image and the CT were not analysed"
    assert "Traceback" not in done.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert {"name", "version", "weights_sha256"} == summary["model"].keys()
    studies = {study["study_uid"]: study for study in summary["studies"]}
    study = studies[dcmread(phantom_study[0][0], stop_before_pixels=True).StudyInstanceUID]
    assert study["outcome"] == "findings"
    assert len(study["images"]) == 4
    truth = {dcmread(path, stop_before_pixels=True).SOPInstanceUID: phantom for path, phantom in phantom_study}
    for image in study["images"]:
        phantom = truth[image["sop_instance_uid"]]
        assert (image["laterality"], image["view"]) == (phantom.laterality, phantom.view)
        assert image["outcome"] == ("findings" if image["findings"] else "no_findings")
        for finding in image["findings"]:
            assert {
                *("tracking_uid", "box", "lesion_score", "malignancy_score", "area_mm2", "long_axis_mm")
            } <= finding.keys()
            x0, y0, x1, y1 = finding["box"]
            assert 0 <= x0 < x1 <= phantom.pixels.shape[1]
            assert 0 <= y0 < y1 <= phantom.pixels.shape[0]
    for made in study["objects"]:
        assert str(dcmread(out / made["path"]).SOPInstanceUID) == made["sop_instance_uid"]
    assert {made["kind"] for made in study["objects"]} == {"seg", "sr"}
    assert len(list((out / study["study_uid"]).glob("*.png"))) == 4


def test_what_cannot_be_analysed_is_told_and_stops_nothing(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = analyze(mixed, "--out", out)
    summary = json.loads((out / "summary.json").read_text())
    skipped = {Path(entry["path"]).name: entry["reason"] for entry in summary["skipped"]}
    assert skipped["notes.txt"] == "not DICOM"
    assert "empty.dcm" in skipped
    assert "same instance again" in " ".join(skipped.values())
    outcomes = {study["study_uid"]: study for study in summary["studies"]}
    assert outcomes["../../../../hostile"]["outcome"] == "not_processed"
    others = [study for study in summary["studies"] if study["outcome"] == "not_processed"]
    assert len(others) == 2, "the truncated file and the CT"
    assert all(study["images"][0]["reason"] for study in others)
    assert sorted(len(study["objects"]) for study in others) == [0, 1], "no report without a legal Study Instance UID"
    assert not list(tmp_path.parent.glob("hostile*"))
    assert "PHANTOM^" not in done.stderr + done.stdout


def test_a_named_file_that_is_no_dicom_fails(mixed: Path, tmp_path: Path) -> None:
    done = analyze(mixed / "notes.txt", "--out", tmp_path)
    assert done.returncode == 4, "nothing was analysed"
    assert "notes.txt: not DICOM" in done.stderr
    done = analyze(tmp_path / "nothing", "--out", tmp_path)
    assert done.returncode == 4
    assert "there is no such file" in done.stderr


def test_film_can_be_switched_off(tmp_path: Path) -> None:
    film = real_data("mg/cbis_P_00173_LEFT_CC.dcm")
    done = analyze(film, "--out", tmp_path, "--no-secondary-capture")
    assert done.returncode == 4, done.stderr
    (study,) = json.loads((tmp_path / "summary.json").read_text())["studies"]
    assert study["outcome"] == "not_processed"
    (made,) = study["objects"]
    assert made["kind"] == "sr"
    assert dcmread(tmp_path / made["path"]).SOPInstanceUID == made["sop_instance_uid"]


def test_a_second_run_writes_the_same_bytes(phantom_study: list[tuple[Path, Phantom]], tmp_path: Path) -> None:
    """Also after another model has written there in between. Elsewhere only the times of creation are others."""
    others = SHIPPED.parent / "ftmtl-phantom.safetensors"
    runs = []
    for name, weights in (("here", SHIPPED), ("here", others), ("here", SHIPPED), ("elsewhere", SHIPPED)):
        done = analyze(phantom_study[0][0].parent, "--out", tmp_path / name, "--weights", weights)
        assert done.returncode == 0, done.stderr
        runs.append({p.name: p.read_bytes() for p in (tmp_path / name).rglob("*.dcm")})
    first, other, again, elsewhere = runs
    assert len(first) >= 2
    assert first == again
    assert first.keys() == elsewhere.keys()
    assert not first.keys() & other.keys()
    for name in first:
        one, two = (dcmread(BytesIO(run[name])) for run in (first, elsewhere))
        assert one.ContentDate + one.ContentTime < two.ContentDate + two.ContentTime


def test_weights_that_are_missing_or_damaged(phantom_study: list[tuple[Path, Phantom]], tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    for name in ("bad.safetensors", "none.safetensors"):
        done = analyze(phantom_study[0][0], "--out", tmp_path / "out", "--weights", tmp_path / name)
        assert done.returncode == 1
        assert name in done.stderr
        assert "Traceback" not in done.stderr


def test_two_patients_in_one_study_are_not_reported(phantom_study: list[tuple[Path, Phantom]], tmp_path: Path) -> None:
    """A report has one patient: rather none than the wrong one."""
    (tmp_path / "in").mkdir()
    for number, (path, _) in enumerate(phantom_study):
        ds = dcmread(path)
        ds.PatientID = "ANOTHER" if number == 2 else ds.PatientID
        ds.save_as(tmp_path / "in" / path.name)
    done = analyze(tmp_path / "in", "--out", tmp_path / "out")
    assert done.returncode == 4, "no image was analysed"
    assert "failed: the images of this study name different patients: it is not analysed" in done.stdout
    assert "ANOTHER" not in done.stdout + done.stderr
    assert list((tmp_path / "out").rglob("*.dcm")) == []
