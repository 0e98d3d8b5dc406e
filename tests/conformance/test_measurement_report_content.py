"""What the measurement report says: how the analysis ended and why, sizes, names, and which report it replaces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from highdicom.sr import ValueTypeValues, srread
from highdicom.sr.utils import find_content_items
from pydicom import dcmread
from support import mg
from support.headers import AWKWARD, header_with
from support.measurement_reports import (
    COMPREHENSIVE_3D,
    OLDER,
    comments,
    evaluations,
    groups,
    masks,
    outcomes,
    report,
)
from support.objects import below, write
from support.outcomes import REASON, case, failed, two_views
from support.realdata import real_data
from support.studies import by_uid
from support.validators import Run, errors

from ftmtl.findings import Attempt, ImageResult, LesionMask, Outcome
from ftmtl.mammogram.spacing import read_spacing
from ftmtl.predictor import _area_mm2, _long_axis_mm
from node.errors import ResultRejected
from node.kinds import ObjectKind as Kind
from node.results.build import build_results
from node.results.common import codes
from node.results.common.content import children, name_of, value_of, walk
from node.results.common.source import read_source
from node.results.conformance import check_object
from node.results.sr.measurement_report import build_report
from node.results.study import Expected


@pytest.mark.parametrize(
    ("kind", "summary", "words", "told"),
    [
        ("findings", "111242", "2 of 2 mammograms analysed; findings: 5.\r\nRead: R CC, L CC.", []),
        ("none", "111241", "2 of 2 mammograms analysed; findings: 0.\r\nRead: R CC, L CC.", []),
        (
            "partial",
            "111244",
            "1 of 2 mammograms analysed; findings: 5.\r\nRead: L CC. Not read: R CC.",
            [f"R CC failed: {REASON}"],
        ),
        (
            "failed",
            "111245",
            "0 of 2 mammograms analysed; findings: 0.",
            [f"R CC failed: {REASON}", f"L CC failed: {REASON}"],
        ),
    ],
)
def test_it_says_how_it_ended_and_why(kind: str, summary: str, words: str, told: list[str], tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    if kind == "none":
        result = mg.study_result([mg.image_result(header) for header in headers])
    ds = report(*case(headers, result, kind))
    assert value_of(below(evaluations(ds), codes.CAD_SUMMARY)) == summary
    assert value_of(below(evaluations(ds), codes.IMPRESSION_DESCRIPTION)) == (
        f"Research use only. Not a medical device, not for diagnosis.\r\n{words}"
    )
    assert comments(evaluations(ds)) == told
    about = [i for i in children(evaluations(ds)) if i.name == codes.COMMENT.value]
    uids = [item.ds.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in about]
    assert uids == {0: [], 1: ["2.25.22"], 2: ["2.25.22", "2.25.21"]}[len(told)]
    evidence = ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert {i.ReferencedSOPInstanceUID for series in evidence for i in series.ReferencedSOPSequence} >= by_uid(
        headers
    ).keys()
    assert ds.CompletionFlag == "COMPLETE"
    assert ds.VerificationFlag == "UNVERIFIED"


@pytest.mark.parametrize(
    ("attempt", "status", "words", "summary"),
    [
        (Attempt.MADE, "111224", "L CC failed: Out of memory.", "111243"),
        (Attempt.NOT_MADE, "111225", "L CC not attempted: Out of memory.", "111241"),
    ],
)
def test_a_failure_is_not_a_refusal(attempt: Attempt, status: str, words: str, summary: str, tmp_path: Path) -> None:
    """The two are told apart, in the image's group and in the document; only a failure is one of the study."""
    headers, result = two_views(tmp_path)
    lost_one = replace(result.images[0], outcome=Outcome.FAILED, reason="Out of memory.", findings=(), attempt=attempt)
    ds = report(headers[1:], replace(result, images=(lost_one, result.images[1])), by_uid(headers[:1]))
    assert comments(evaluations(ds)) == [words]
    analysed, lost = groups(ds)
    assert outcomes(analysed) == [("111222",)]
    assert value_of(below(analysed, codes.CAD_SUMMARY)) == "111241"
    assert outcomes(lost) == [(status,)]
    assert codes.CAD_SUMMARY.value not in {name_of(item.ds) for item in children(lost)}
    assert [comments(analysed), comments(lost)] == [[], [words]]
    assert "363698007" not in {name_of(item.ds) for item in children(lost)}, "a finding site without a finding"
    assert value_of(below(evaluations(ds), codes.CAD_SUMMARY)) == summary
    assert outcomes(evaluations(ds)) == [("111222", "2.25.22", "111241"), (status, "2.25.21")]


def test_without_findings_no_number_is_given(tmp_path: Path) -> None:
    """Nothing above the threshold is not zero."""
    headers, result = two_views(tmp_path)
    result = mg.study_result([mg.image_result(header) for header in headers])
    ds = report(headers, result, {})
    library = below(ds, codes.IMAGE_LIBRARY)
    numbers = [item.name for item in walk(ds) if item.type == "NUM"]
    assert numbers == [item.name for item in walk(library) if item.type == "NUM"]


def test_an_image_without_a_readable_header_is_told_of_in_words(tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    ds = report(*case(headers[:1], replace(result, images=result.images[:1]), "partial"))
    (about,) = (item.ds for item in children(evaluations(ds)) if item.name == codes.COMMENT.value)
    assert value_of(about) == "One image failed: The file can't be read."
    assert "ContentSequence" not in about
    assert outcomes(evaluations(ds))[1:] == [("111224",)]


def test_another_outcome_model_form_or_predecessor_is_another_object(tmp_path: Path) -> None:
    """A report that says something else says it under UIDs of its own: a PACS may keep the first of two."""
    headers, result = two_views(tmp_path)
    sources, partial, missing = case(headers, result, "partial")
    other = replace(partial, images=(partial.images[0], failed(partial.images[1], "Out of memory.")))
    built = [report(*case(headers, result, kind)) for kind in ("findings", "partial", "failed")]
    built += [report(sources, other, missing), report(sources, other, {})]
    built.append(report(headers, result, {}, kind=Kind.SR_COMPREHENSIVE))
    built += [
        report(headers, result, {}, predecessor=older) for older in (OLDER, replace(OLDER, sop_instance_uid="2.25.902"))
    ]
    for change in ({"version": "2.0.0"}, {"weights_sha256": "cd" * 32}, {"configuration": "op=0.6"}, {"name": "Other"}):
        built.append(report(headers, replace(result, model=replace(mg.MODEL, **change)), {}))
    assert len({ds.SOPInstanceUID for ds in built} | {ds.SeriesInstanceUID for ds in built}) == 2 * len(built)


def test_it_names_the_report_that_it_replaces(tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    assert "PredecessorDocumentsSequence" not in report(headers, result, {})
    path = write(report(headers, result, {}, predecessor=OLDER), tmp_path / "sr.dcm")
    check_object(path, Expected(Kind.SR, result, by_uid(headers), masks(headers, result), {}, OLDER))
    (study,) = dcmread(path).PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == ("2.25.10", "2.25.900")
    assert (instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID) == (COMPREHENSIVE_3D, "2.25.901")
    with pytest.raises(ResultRejected, match=r"replaces 2\.25\.901"):
        check_object(path, Expected(Kind.SR, result, by_uid(headers), masks(headers, result)))
    with pytest.raises(ValueError, match=r"predecessor 2\.25\.901 is not in study"):
        report(headers, result, {}, predecessor=replace(OLDER, study_uid="2.25.99"))


def test_no_image_and_another_study_are_refused(tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    with pytest.raises(ValueError, match="at least one image"):
        build_report([], result, {})
    with pytest.raises(ValueError, match=r"not in study 2\.25\.99"):
        build_report([], replace(result, study_uid="2.25.99"), {}, by_uid(headers))
    with pytest.raises(KeyError):
        build_report([], replace(result, images=result.images[:1]), {}, by_uid(headers))


def test_sizes_on_an_image_with_two_spacings(tmp_path: Path) -> None:
    """By its header the file has 0.25 mm calibrated, 0.5 mm at the detector, and a magnification of 1.5."""
    ds = dcmread(real_data("mg/spacing_pattern_102.dcm"), stop_before_pixels=True)
    pixels = np.zeros((30, 40), dtype=bool)
    pixels[:, 0] = pixels[0] = True
    header = read_source(ds)
    for pixel_spacing, spacing, meaning in (
        (ds.PixelSpacing, 0.25, "calibrated"),
        (ds.ImagerPixelSpacing, 0.5 / 1.5, "corrected"),
        (None, 0.5, "detector plane"),
    ):
        ds.PixelSpacing = pixel_spacing
        if pixel_spacing is None:
            del ds.EstimatedRadiographicMagnificationFactor
        told, source, _ = read_spacing(ds)
        assert told == pytest.approx((spacing, spacing))
        lesion = replace(
            mg.finding(),
            box=(100.0, 50.0, 140.0, 80.0),
            mask=LesionMask(pixels, 100, 50),
            area_mm2=_area_mm2(LesionMask(pixels, 100, 50), told),
            long_axis_mm=_long_axis_mm(pixels, told),
        )
        image = replace(mg.image_result(header, [lesion]), spacing_mm=told, spacing_source=source)
        result = mg.study_result([image], header.StudyInstanceUID)
        path = write(report([header], result, {}), tmp_path / "sr.dcm")
        check_object(path, Expected(Kind.SR, result, by_uid([header]), masks([header], result)))
        (group,) = groups(dcmread(path))
        assert value_of(below(group, codes.AREA)) == pytest.approx(69 * spacing**2, abs=0.006)
        assert value_of(below(group, codes.LONG_AXIS)) == pytest.approx(50 * spacing, abs=0.006)
        notes = [value_of(i.ds) for i in children(group) if i.name == codes.ALGORITHM_PARAMETERS.value]
        said = f"sizes of the mask; pixel spacing {spacing:.5g} x {spacing:.5g} mm (row x column), {meaning}"
        assert notes[1] == said
        entry = below(below(below(dcmread(path), codes.IMAGE_LIBRARY), codes.IMAGE_LIBRARY_GROUP), codes.SOURCE)
        for name in (codes.HORIZONTAL_SPACING, codes.VERTICAL_SPACING):
            assert value_of(below(entry, name)) == 0.5, "at the detector, whatever the sizes are based on"


@pytest.mark.parametrize("changes", AWKWARD.values(), ids=AWKWARD.keys())
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_awkward_headers_that_were_not_analysed(changes: dict[str, object], tmp_path: Path, run_tool: Run) -> None:
    header = read_source(mg.write(header_with(**changes), tmp_path))
    result = mg.study_result([failed(mg.image_result(header))])
    path = write(report([], result, by_uid([header])), tmp_path / "sr.dcm")
    check_object(path, Expected(Kind.SR, result, {}, {}, by_uid([header])))
    status, lines = run_tool("dciodvfy", "-new", path)
    assert not errors(lines)
    assert status == 0
    assert run_tool("dsrdump", path)[0] == 0


def test_names_and_reasons_in_any_script_survive(tmp_path: Path) -> None:
    header = header_with(SpecificCharacterSet="ISO_IR 100", PatientName="Grün^Zoë")
    source = read_source(mg.write(header, tmp_path))
    result = mg.study_result([failed(mg.image_result(source), "Objekt der Modalität „МГ“")])
    ds = dcmread(write(report([], result, by_uid([source])), tmp_path / "sr.dcm"))
    assert ds.PatientName == "Grün^Zoë"
    assert comments(evaluations(ds)) == ["L CC failed: Objekt der Modalität „МГ“"]


def test_an_image_of_a_class_that_highdicom_does_not_know(tmp_path: Path) -> None:
    """Nothing else may fail because of what was refused: here a retired ultrasound class, under its own name."""
    header = read_source(mg.write(header_with(SOPClassUID="1.2.840.10008.5.1.4.1.1.6"), tmp_path))
    result = mg.study_result([failed(mg.image_result(header))])
    path = write(report([], result, by_uid([header])), tmp_path / "sr.dcm")
    check_object(path, Expected(Kind.SR, result, {}, {}, by_uid([header])))
    found = find_content_items(srread(path), value_type=ValueTypeValues.IMAGE, recursive=True)
    told = [i.ReferencedSOPSequence[0].ReferencedSOPClassUID for i in found]
    assert told == [header.SOPClassUID] * 4, "library, group, outcome and comment"


def test_results_of_a_study_in_which_nothing_was_analysed(tmp_path: Path) -> None:
    """A report and nothing else; it tells in words of an image without a readable header. Without any header, none."""
    path = mg.write(mg.mg_header(), tmp_path)
    image = failed(mg.image_result(read_source(path)))
    unread = ImageResult("2.25.404", None, None, Outcome.FAILED, "The file can't be read.")
    (tmp_path / "unread.dcm").write_bytes(b"nonsense")
    paths = [tmp_path / "unread.dcm", path]
    (made,) = build_results(mg.study_result([unread, image]), paths, tmp_path / "out")
    assert (made.kind, made.sop_class_uid) == ("sr", COMPREHENSIVE_3D)
    ds = dcmread(made.path)
    assert comments(evaluations(ds)) == [f"L CC failed: {REASON}", "One image failed: The file can't be read."]
    assert not ds.PerformedProcedureCodeSequence, "nobody knows whether it was mammography"
    assert build_results(mg.study_result([unread]), paths[:1], tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
