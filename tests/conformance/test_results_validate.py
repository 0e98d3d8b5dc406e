"""Result objects before the public validators: dciodvfy, dcentvfy and dsrdump find nothing to complain of."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from support import mg
from support.headers import AWKWARD, header_with
from support.realdata import real_data
from support.studies import Study
from support.validators import Run, about_a_source_alone, errors

from node.results.build import build_results
from node.results.common.source import read_source


@pytest.mark.parametrize("findings", [True, False], ids=["findings", "no findings"])
def test_dciodvfy_finds_no_error(study: Study, findings: bool, tmp_path: Path, run_tool: Run) -> None:
    objects = build_results(study.result(findings=findings), study.paths, tmp_path / "out")
    masks = min(2, len(study.paths)) if findings else 0
    assert [made.kind for made in objects] == ["seg"] * masks + ["sr"]
    for made in objects:
        status, lines = run_tool("dciodvfy", "-new", made.path)
        assert not errors(lines)
        assert status == 0
        assert any(line in ("Segmentation", "Comprehensive3DSR") for line in lines)


@pytest.mark.parametrize("name", ["mg/MG1_J2KI.dcm", "mg/spacing_pattern_102.dcm"])
def test_lossy_film_and_calibrated_spacing(name: str, tmp_path: Path, run_tool: Run) -> None:
    """Lossy compression, a time zone and a calibrated Pixel Spacing are inherited, and stay valid."""
    path = real_data(name)
    source = read_source(path)
    result = mg.study_result([mg.image_result(source, [mg.finding()])], source.StudyInstanceUID)
    for made in build_results(result, [path], tmp_path):
        status, lines = run_tool("dciodvfy", "-new", made.path)
        assert not errors(lines)
        assert status == 0
        ds = dcmread(made.path)
        assert ds.TimezoneOffsetFromUTC == "-0400"
        if made.kind == "seg":
            assert ds.LossyImageCompression == source.LossyImageCompression
            assert "PixelMeasuresSequence" not in ds.SharedFunctionalGroupsSequence[0]


def test_dciodvfy_would_find_one(tmp_path: Path, run_tool: Run) -> None:
    """The gate can fail: without PatientOrientation, as highdicom leaves it, the segmentation is rejected."""
    paths = mg.four_views(tmp_path)
    objects = build_results(
        mg.study_result([mg.image_result(read_source(paths[0]), [mg.finding()])]), paths, tmp_path / "out"
    )
    ds = dcmread(objects[0].path)
    del ds.PatientOrientation
    ds.save_as(tmp_path / "broken.dcm")
    status, lines = run_tool("dciodvfy", "-new", tmp_path / "broken.dcm")
    assert status != 0
    assert any("PatientOrientation" in line for line in errors(lines))


@pytest.mark.parametrize("view", ["CC", "MLO"])
@pytest.mark.parametrize("laterality", ["L", "R"])
def test_the_synthetic_source_is_valid_itself(laterality: str, view: str, tmp_path: Path, run_tool: Run) -> None:
    status, lines = run_tool("dciodvfy", "-new", mg.write(mg.mg_header(laterality, view), tmp_path))
    assert not errors(lines)
    assert status == 0


@pytest.mark.parametrize("findings", [True, False], ids=["findings", "no findings"])
def test_dcentvfy_accepts_the_whole_study(study: Study, findings: bool, tmp_path: Path, run_tool: Run) -> None:
    """Sources and results agree on patient, study, series and frame of reference, and refer to what is there."""
    objects = build_results(study.result(findings=findings), study.paths, tmp_path / "out")
    _, lines = run_tool("dcentvfy", *study.paths, *(made.path for made in objects))
    own = [line for line in errors(lines) if not about_a_source_alone(line, study.paths)]
    assert not own


@pytest.mark.parametrize("findings", [True, False], ids=["findings", "no findings"])
def test_dsrdump_reads_the_report(study: Study, findings: bool, tmp_path: Path, run_tool: Run) -> None:
    objects = build_results(study.result(findings=findings), study.paths, tmp_path / "out")
    status, lines = run_tool("dsrdump", "+Pl", objects[-1].path)
    assert status == 0
    text = "\n".join(lines)
    assert "Research use only" in text
    assert ("POLYLINE" in text) is findings
    assert ("Cancer score, uncalibrated" in text) is findings
    assert all(flag in text for flag in ("PRELIMINARY", "UNVERIFIED", "COMPLETE"))


@pytest.mark.parametrize("changes", AWKWARD.values(), ids=AWKWARD.keys())
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_awkward_headers_give_valid_results(changes: dict[str, object], tmp_path: Path, run_tool: Run) -> None:
    path = mg.write(header_with(**changes), tmp_path)
    result = mg.study_result([mg.image_result(read_source(path), [mg.finding()])])
    for made in build_results(result, [path], tmp_path / "out"):
        status, lines = run_tool("dciodvfy", "-new", made.path)
        assert not errors(lines)
        assert status == 0
