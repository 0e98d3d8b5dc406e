"""The page of a study: valid, the same twice, all that was found is on it, and the patient's name is not."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from support import mg
from support.clocks import LaterClock, noon
from support.headers import AWKWARD_FOR_PICTURES, header_with
from support.outcomes import REASON
from support.pictures import NOTICE, displayed, write_page
from support.realdata import real_data
from support.studies import Study
from support.validators import Run, about_a_source_alone, errors

from ftmtl.findings import Attempt, ImageResult, Outcome, StudyResult
from node.results.build import build_results
from node.results.common.source import read_source
from node.results.sc import page
from node.results.sc.build import build_capture


def partial(study: Study) -> StudyResult:
    """Return a result in which the study's last image was not analysed, and an image that nobody knows failed."""
    images = list(study.result(findings=True).images)
    last = images.pop()
    failed = ImageResult("2.25.404", None, None, Outcome.FAILED, "The pixels can't be decoded.\nSorry.")
    refused = replace(last, outcome=Outcome.NOT_PROCESSED, findings=(), reason=REASON)
    return mg.study_result([*images, refused, failed], study.headers[0].StudyInstanceUID)


RESULTS: dict[str, Callable[[Study], StudyResult]] = {
    "findings": lambda study: study.result(findings=True),
    "no findings": lambda study: study.result(findings=False),
    "partial": partial,
}


@pytest.mark.parametrize("kind", RESULTS)
def test_validators_find_no_error(study: Study, kind: str, tmp_path: Path, run_tool: Run) -> None:
    result = RESULTS[kind](study)
    ds = write_page(study, result, tmp_path / "page")
    status, lines = run_tool("dciodvfy", "-new", tmp_path / "page")
    assert not errors(lines)
    assert status == 0
    assert "SCImage" in lines
    objects = build_results(result, study.paths, tmp_path / "others")
    _, lines = run_tool("dcentvfy", *study.paths, *(made.path for made in objects), tmp_path / "page")
    assert not [line for line in errors(lines) if not about_a_source_alone(line, study.paths)]
    assert (ds.Rows, ds.Columns) <= (page.MAX_HEIGHT, page.MAX_WIDTH)
    assert ds.pixel_array.shape == (ds.Rows, ds.Columns, 3)


@pytest.mark.parametrize("kind", RESULTS)
def test_it_tells_in_words_what_is_drawn(study: Study, kind: str, tmp_path: Path) -> None:
    result = RESULTS[kind](study)
    ds = write_page(study, result, tmp_path / "page")
    lines = ds.ImageComments.splitlines()
    assert lines[0] == NOTICE
    assert "Model: FT-MTL-Net 1.2.0" in lines
    assert "Weights: ab12ab12" in lines
    assert (sum("lesion score 90, cancer score 72" in line for line in lines) == 1) is bool(result.images[0].findings)
    assert sum(line.endswith(": no findings") and not line.startswith("Cancer score") for line in lines) == sum(
        image.outcome is Outcome.NO_FINDINGS for image in result.images
    )
    if kind == "partial":
        assert any(line.endswith(f"not analysed: {REASON}") for line in lines)
        assert "Unknown view not analysed: The pixels can't be decoded. Sorry." in lines
    referenced = [item.ReferencedSOPInstanceUID for item in ds.get("SourceImageSequence", [])]
    assert set(referenced) == {image.sop_instance_uid for image in result.images if image.score is not None}
    assert (ds.SeriesNumber % 10_000, ds.ContentQualification) == (898, "RESEARCH")
    said = {header.get("BurnedInAnnotation") for header in study.headers}
    assert ds.get("BurnedInAnnotation") == ("NO" if said == {"NO"} else None)
    assert ds.SeriesDescription == "AI Mammography Summary, FT-MTL-Net 1.2.0 (RESEARCH)"
    assert not ds.PatientOrientation
    sides = {image.laterality for image in result.images if image.was_read}
    assert (ds.Laterality or None) == (sides.pop() if len(sides) == 1 else None)


def test_a_score_says_of_how_many_images_it_is(tmp_path: Path) -> None:
    headers = [read_source(mg.mg_header("R", view, uid=f"2.25.2{n}")) for n, view in enumerate(("CC", "MLO"))]
    refused = ImageResult(headers[1].SOPInstanceUID, "R", "MLO", Outcome.FAILED, REASON)
    for findings, score in (([], "no findings"), ([mg.finding()], "72")):
        result = mg.study_result([mg.image_result(headers[0], findings), refused])
        ds = write_page(Study([], headers, 0.1), result, tmp_path / "page")
        assert (
            f"Cancer score (0 to 100, not calibrated), right breast: {score}, 1 of 2 images"
            in ds.ImageComments.splitlines()
        )


def test_a_lossy_source_makes_a_lossy_page(tmp_path: Path, run_tool: Run) -> None:
    path = real_data("mg/MG1_J2KI.dcm")
    header = read_source(path)
    study = Study([path], [header], None)
    result = mg.study_result([mg.image_result(header, [mg.finding()])], header.StudyInstanceUID)
    assert write_page(study, result, tmp_path / "page").LossyImageCompression == "01"
    assert not errors(run_tool("dciodvfy", "-new", tmp_path / "page")[1])


def test_nothing_analysed_is_a_page_too(tmp_path: Path, run_tool: Run) -> None:
    headers = [read_source(mg.mg_header(uid=f"2.25.2{n}")) for n in range(2)]
    images = [ImageResult(h.SOPInstanceUID, None, None, Outcome.NOT_PROCESSED, REASON) for h in headers]
    ds = write_page(Study([], headers, None), mg.study_result(images), tmp_path / "page")
    assert f"L CC (1), L CC (2) not analysed: {REASON}" in ds.ImageComments.splitlines()
    assert "SourceImageSequence" not in ds
    assert not errors(run_tool("dciodvfy", "-new", tmp_path / "page")[1])


@pytest.mark.filterwarnings("ignore:A value of type 'DT'")
def test_two_builds_are_byte_identical(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the clock says and in whatever order the images came."""
    result = study.result(findings=True)
    pixels = displayed(study.headers)
    build_capture(study.headers, result, pixels, clock=noon).save_as(tmp_path / "1", enforce_file_format=True)
    monkeypatch.setattr("highdicom.base.datetime.datetime", LaterClock)
    turned = StudyResult(result.study_uid, result.model, result.images[::-1])
    build_capture(study.headers[::-1], turned, pixels, clock=noon).save_as(tmp_path / "2", enforce_file_format=True)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


@pytest.mark.parametrize("changes", AWKWARD_FOR_PICTURES.values(), ids=AWKWARD_FOR_PICTURES)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_awkward_headers_give_valid_pages(changes: dict[str, object], tmp_path: Path, run_tool: Run) -> None:
    header = read_source(header_with(**changes))
    result = mg.study_result([mg.image_result(header, [mg.finding()])])
    ds = write_page(Study([], [header], 0.1), result, tmp_path / "page")
    assert not errors(run_tool("dciodvfy", "-new", tmp_path / "page")[1])
    assert str(ds.PatientName or "") == str(header.PatientName or "")


def test_other_reasons_give_another_page() -> None:
    header = read_source(mg.mg_header())
    images = [ImageResult(header.SOPInstanceUID, "L", "CC", Outcome.FAILED, reason) for reason in "ab"]
    pages = [build_capture([], mg.study_result([image]), {}, {header.SOPInstanceUID: header}) for image in images]
    assert pages[0].SOPInstanceUID != pages[1].SOPInstanceUID
    assert pages[0].SeriesInstanceUID != pages[1].SeriesInstanceUID


def test_what_is_missing_or_does_not_fit_is_refused() -> None:
    header = read_source(mg.mg_header())
    result = mg.study_result([mg.image_result(header)])
    with pytest.raises(ValueError, match="at least one image"):
        build_capture([], result, {})
    with pytest.raises(ValueError, match="no header or no pixels"):
        build_capture([header], result, {})
    for shape in ((300, 400), (400, 200), (90, 75)):
        with pytest.raises(ValueError, match=r"pixels of 2\.25\.20 are"):
            build_capture([header], result, {"2.25.20": np.zeros(shape, np.float32)})
    for shape in ((400, 300), (200, 150), (133, 100), (134, 100), (57, 43), (58, 42)):
        build_capture([header], result, {"2.25.20": np.zeros(shape, np.float32)})


def test_no_patient_name_reaches_page_log_or_warnings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks at every text that is drawn."""
    ds = mg.mg_header()
    ds.PatientName = ds.PatientID = ds.AccessionNumber = ds.ReferringPhysicianName = "SecretName"
    ds.PatientBirthDate = "19551111"
    header = read_source(ds)
    drawn: list[str] = []
    original = ImageDraw.ImageDraw.text
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda *a, **k: (drawn.append(a[2]), original(*a, **k))[1])
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        made = build_capture([header], mg.study_result([mg.image_result(header)]), displayed([header]))
    assert NOTICE in drawn
    told = [*drawn, made.ImageComments, made.DerivationDescription, caplog.text, *(str(w.message) for w in caught)]
    assert not [text for text in told if "Secret" in text or "1955" in text]
    assert made.PatientName == "SecretName"


def test_dcmtk_shows_the_page(tmp_path: Path, run_tool: Run) -> None:
    """A reader that is not ours sees the same pixels."""
    header = read_source(mg.mg_header())
    ds = write_page(Study([], [header], 0.1), mg.study_result([mg.image_result(header)]), tmp_path / "page")
    assert run_tool("dcm2pnm", "--write-raw-pnm", tmp_path / "page", tmp_path / "page.ppm")[0] == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "page.ppm")), ds.pixel_array)


def test_what_is_left_aside_takes_no_name_from_what_is_read(tmp_path: Path) -> None:
    """A raw twin has the same side and view; the view that is shown is still called by them alone."""
    headers = [read_source(mg.mg_header(uid=f"2.25.2{n}")) for n in range(2)]
    raw = ImageResult(headers[0].SOPInstanceUID, "L", "CC", Outcome.NOT_PROCESSED, "A raw image.")
    read = mg.image_result(headers[1], [mg.finding()])
    result = mg.study_result([replace(raw, attempt=Attempt.NOT_APPLICABLE), read])
    lines = write_page(Study([], headers, 0.1), result, tmp_path / "page").ImageComments.splitlines()
    assert "L CC left aside: A raw image." in lines
    assert any(line.startswith("L CC lesion 1 (") for line in lines)
    assert "Cancer score (0 to 100, not calibrated), left breast: 72" in lines, "of all its images"
