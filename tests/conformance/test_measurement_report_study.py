"""What the measurement report says of the study, its breasts and its images, read item by item."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from support import mg
from support.measurement_reports import comments, evaluations, groups, masks, outcomes, report
from support.objects import below, items, write
from support.outcomes import REASON, TOMOSYNTHESIS, failed, two_views
from support.peers import pixelmed_errors
from support.studies import Headers, by_uid
from support.validators import Run, errors

from ftmtl.findings import Attempt, FindingType, ImageResult, StudyResult
from node.kinds import ObjectKind as Kind
from node.results.common import codes
from node.results.common.content import children, name_of, value_of, walk
from node.results.common.lesions import lesions_of
from node.results.common.outcome import left_aside_lines, outcome_code
from node.results.common.source import read_source
from node.results.conformance import check_object
from node.results.sr.ohif import build_reports_ohif
from node.results.study import Expected

RAW = "This is a raw image; the study has the same view for presentation."
SPOT = "This is a spot compression view; the model reads whole-breast views only."


def said(parent: Dataset) -> dict[str, object]:
    """Return the values of the items below an item that have one, by the code of their name."""
    return {item.name: value_of(item.ds) for item in children(parent) if item.type in ("CODE", "NUM", "TEXT", "UIDREF")}


def entries(ds: Dataset) -> dict[str, Dataset]:
    """Return the images of the library by SOP Instance UID."""
    group = below(below(ds, codes.IMAGE_LIBRARY), codes.IMAGE_LIBRARY_GROUP)
    return {str(i.ds.ReferencedSOPSequence[0].ReferencedSOPInstanceUID): i.ds for i in children(group)}


def evidence(ds: Dataset) -> set[str]:
    series = ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    return {str(i.ReferencedSOPInstanceUID) for s in series for i in s.ReferencedSOPSequence}


def sound(sources: list[Dataset], result: StudyResult, missing: Headers, folder: Path, **options: object) -> Dataset:
    """Write a report, check it as before sending, and read it back."""
    path = write(report(sources, result, missing, **options), folder / "sr.dcm")
    check_object(path, Expected(Kind.SR, result, by_uid(sources), masks(sources, result), missing))
    return dcmread(path)


def four(folder: Path, *of_l_cc: float) -> tuple[list[Dataset], StudyResult]:
    """Return R CC, L CC, R MLO and L MLO; L CC has a lesion of each malignancy score."""
    folder.mkdir()
    headers = [read_source(path) for path in mg.four_views(folder)]
    lesions = [mg.finding(10 + 60 * n, 80, malignancy=score) for n, score in enumerate(of_l_cc)]
    images = [mg.image_result(h, lesions if h.SOPInstanceUID == "2.25.22" else ()) for h in headers]
    return headers, mg.study_result(images)


def test_a_lesion_is_one_group_with_its_scores_and_sizes(tmp_path: Path) -> None:
    """Scores by their names, from 0 to 100; the class of malignancy is gone, and no score is called a probability."""
    headers, result = two_views(tmp_path)
    result = replace(result, model=replace(mg.MODEL, manufacturer="Somebody & Co."))
    ds = sound(headers, result, {}, tmp_path)
    told = groups(ds)
    lesions = lesions_of(result)["2.25.21"]
    assert [said(group)["112040"] for group in told] == [lesion.tracking_uid for lesion in lesions]
    assert [said(group)["112039"] for group in told] == [f"L CC lesion {n}" for n in range(1, 6)]
    for group, lesion in zip(told, lesions, strict=True):
        finding, values = lesion.finding, said(group)
        numbers = {item.name: value_of(item.ds) for item in children(group) if item.type == "NUM"}
        assert numbers == {
            "CANCER_SCORE": pytest.approx(100 * finding.lesion_score * finding.malignancy_score, abs=0.006),
            "LESION_SCORE": pytest.approx(100 * finding.lesion_score, abs=0.006),
            "MALIGNANCY_SCORE": pytest.approx(100 * finding.malignancy_score, abs=0.006),
            "42798000": pytest.approx(finding.area_mm2, abs=0.006),
            "103339001": pytest.approx(finding.long_axis_mm, abs=0.006),
        }
        for name in (codes.CANCER_SCORE, codes.LESION_SCORE, codes.MALIGNANCY_SCORE):
            (unit,) = below(group, name).MeasuredValueSequence[0].MeasurementUnitsCodeSequence
            assert (unit.CodeValue, unit.CodingSchemeDesignator) == ("{0:100}", "UCUM")
            assert "uncalibrated" in below(group, name).ConceptNameCodeSequence[0].CodeMeaning
        assert values["122405"] == "Somebody & Co."
        assert values["130400"] == "111041", "an outline"
        assert values["121071"] == codes.FINDING_TYPES[finding.type].value
    assert {codes.FINDING_TYPES[kind].value for kind in FindingType} == {said(group)["121071"] for group in told}
    text = ds.to_json().lower()
    assert "probability" not in text
    assert "percent" not in text
    assert "MALIGNANCY_CLASS".lower() not in text
    assert evidence(ds) == {"2.25.21", "2.25.22", *(seg.SOPInstanceUID for seg in masks(headers, result).values())}


def test_the_observer_has_its_name_and_nothing_more(tmp_path: Path) -> None:
    """The notice stands in the impression, and with each algorithm."""
    ds = sound(*two_views(tmp_path), {}, tmp_path)
    assert value_of(below(ds, codes.DEVICE_OBSERVER_NAME)) == "FT-MTL-Net 1.2.0"
    notice = "Research use only. Not a medical device, not for diagnosis."
    assert notice in value_of(below(evaluations(ds), codes.IMPRESSION_DESCRIPTION))
    for group in groups(ds):
        assert any(notice in value_of(i.ds) for i in children(group) if i.name == codes.ALGORITHM_PARAMETERS.value)


def test_the_library_says_how_each_image_was_taken(tmp_path: Path) -> None:
    """Left and right are those of CID 244; spacing is the detector's, in mm."""
    headers, result = two_views(tmp_path)
    headers[0].ImagerPixelSpacing = ["0.0941", "0.085"]
    del headers[1].ImagerPixelSpacing
    library = entries(sound(headers, result, {}, tmp_path))
    assert list(library) == ["2.25.22", "2.25.21"], "as they are hung"
    common = {"121139": "MG", "123014": "76752008", "110910": 400, "110911": 300, "111031": "399162004"}
    assert said(library["2.25.21"]) == common | {
        "111027": "7771000", "111044": "A", "111043": "R", "111026": 0.085, "111066": 0.0941
    }  # fmt: skip
    assert said(library["2.25.22"]) == common | {"111027": "24028007", "111044": "P", "111043": "L"}
    views = [below(entry, codes.IMAGE_VIEW) for entry in library.values()]
    assert [said(view) for view in views] == [{"111032": "399209000"}, {}]
    (unit,) = below(library["2.25.21"], codes.VERTICAL_SPACING).MeasuredValueSequence[0].MeasurementUnitsCodeSequence
    assert unit.CodeValue == "mm"
    assert {i.ds.RelationshipType for entry in library.values() for i in children(entry)} == {"HAS ACQ CONTEXT"}


def test_each_image_has_its_outcome_beside_findings_too(tmp_path: Path) -> None:
    headers, result = four(tmp_path / "source", 0.8)
    r_cc, l_cc, r_mlo, l_mlo = result.images
    spot = replace(failed(r_mlo, SPOT), attempt=Attempt.NOT_MADE)
    result = replace(result, images=(r_cc, l_cc, spot, failed(l_mlo, "No breast.")))
    ds = sound(headers[:2], result, by_uid(headers[2:]), tmp_path)
    assert outcomes(evaluations(ds)) == [
        ("111222", "2.25.21", "111241"),
        ("111222", "2.25.22", "111242"),
        ("111225", "2.25.23"),
        ("111224", "2.25.24"),
    ]
    assert comments(evaluations(ds)) == [f"R MLO not attempted: {SPOT}", "L MLO failed: No breast."]
    assert value_of(below(evaluations(ds), codes.CAD_SUMMARY)) == "111244"
    assert "2 of 3 mammograms analysed; findings: 1." in value_of(below(evaluations(ds), codes.IMPRESSION_DESCRIPTION))
    assert list(entries(ds)) == ["2.25.21", "2.25.22", "2.25.23", "2.25.24"]


def with_others(header: Dataset, result: StudyResult) -> tuple[StudyResult, Headers]:
    """Add two raw twins of an image and a tomosynthesis volume to a study; return their headers, too."""
    headers: Headers = {}
    images = list(result.images)
    for uid, reason in (("2.25.31", RAW), ("2.25.32", RAW), ("2.25.33", TOMOSYNTHESIS)):
        headers[uid] = deepcopy(header)
        headers[uid].SOPInstanceUID = uid
        images.append(replace(failed(mg.image_result(headers[uid]), reason), attempt=Attempt.NOT_APPLICABLE))
    return replace(result, images=tuple(images)), headers


@pytest.mark.parametrize("found", [True, False])
def test_images_that_are_left_aside_have_no_part_in_it(found: bool, tmp_path: Path) -> None:
    """Not in outcome, evidence, library or groups; the impression says why, in a line for each reason."""
    headers, result = four(tmp_path / "source", *([0.8] * found))
    result, others = with_others(headers[0], result)
    ds = sound(headers, result, others, tmp_path)
    assert value_of(below(evaluations(ds), codes.CAD_SUMMARY)) == ("111242" if found else "111241")
    impression = value_of(below(evaluations(ds), codes.IMPRESSION_DESCRIPTION)).split("\r\n")
    assert impression[1] == f"4 of 4 mammograms analysed; findings: {int(found)}."
    assert impression[3:] == [
        f"Left aside, as the model does not read them: 2 images. {RAW}",
        f"Left aside, as the model does not read it: 1 image. {TOMOSYNTHESIS}",
    ]
    assert left_aside_lines(result) == impression[3:]
    assert comments(evaluations(ds)) == []
    uids = {"2.25.21", "2.25.22", "2.25.23", "2.25.24"}
    assert set(entries(ds)) == uids == {of for _, of, _ in outcomes(evaluations(ds))}
    assert evidence(ds) - uids == {seg.SOPInstanceUID for seg in masks(headers, result).values()}
    assert len(groups(ds)) == (1 if found else 4)


def test_without_a_mammogram_the_report_is_about_what_there_is(tmp_path: Path) -> None:
    """Nothing was tried, nothing has failed: each image is said to have been left alone."""
    headers, result = two_views(tmp_path)
    images = [replace(failed(image, TOMOSYNTHESIS), attempt=Attempt.NOT_APPLICABLE) for image in result.images]
    ds = sound([], replace(result, images=tuple(images)), by_uid(headers), tmp_path)
    assert value_of(below(evaluations(ds), codes.CAD_SUMMARY)) == "111245"
    assert outcomes(evaluations(ds)) == [("111225", "2.25.22"), ("111225", "2.25.21")]
    assert len(entries(ds)) == len(groups(ds)) == 2


def test_a_mammogram_without_a_header_beside_what_is_left_aside(tmp_path: Path) -> None:
    """The report needs somebody's header for its patient; it says of what it stands for."""
    headers, result = two_views(tmp_path)
    other = replace(failed(result.images[0], RAW), attempt=Attempt.NOT_APPLICABLE)
    ds = sound([], replace(result, images=(other, failed(result.images[1]))), by_uid(headers[:1]), tmp_path)
    assert outcomes(evaluations(ds)) == [("111224",)]
    assert comments(evaluations(ds)) == [f"R CC failed: {REASON}"]
    (group,) = groups(ds)
    assert outcomes(group) == [("111225",)]


def parts(ds: Dataset) -> dict[str, Dataset]:
    """Return the groups of the study and its breasts by name."""
    return {str(said(group)["112039"]): group for group in groups(ds, codes.DERIVED_MEASUREMENTS)}


def images_of(group: Dataset) -> list[str]:
    return [str(i.ds.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for i in children(group) if i.type == "IMAGE"]


def test_each_breast_has_a_score_and_the_study_too(tmp_path: Path) -> None:
    """The largest of the lesions' cancer scores; a breast without findings has none, which is not zero."""
    headers, result = four(tmp_path / "source", 0.4, 0.8)
    found = parts(sound(headers, result, {}, tmp_path))
    assert list(found) == ["study", "right breast", "left breast"]
    for name, site, outcome, images in (
        ("study", None, "111242", ["2.25.21", "2.25.22", "2.25.23", "2.25.24"]),
        ("right breast", "73056007", "111241", ["2.25.21", "2.25.23"]),
        ("left breast", "80248007", "111242", ["2.25.22", "2.25.24"]),
    ):
        values = said(found[name])
        assert values.get("363698007") == site
        assert values["111017"] == outcome
        assert sorted(images_of(found[name])) == images
        assert values.get("CANCER_SCORE") == (None if name == "right breast" else 72.0)
    derivation = below(below(found["study"], codes.CANCER_SCORE), codes.DERIVATION)
    assert value_of(derivation) == codes.MAXIMUM.value
    assert len({said(group)["112040"] for group in found.values()}) == 3


def test_a_breast_of_which_nothing_was_read_has_no_score(tmp_path: Path) -> None:
    """And one that was read in part has an outcome that says so."""
    headers, result = four(tmp_path / "source", 0.8)
    r_cc, l_cc, r_mlo, l_mlo = result.images
    result = replace(result, images=(failed(r_cc), l_cc, failed(r_mlo), failed(l_mlo)))
    missing = by_uid(h for h in headers if h.SOPInstanceUID != "2.25.22")
    found = parts(sound(headers[1:2], result, missing, tmp_path))
    assert {name: said(group)["111017"] for name, group in found.items()} == {
        "study": "111244", "left breast": "111244"
    }  # fmt: skip
    assert [images_of(group) for group in found.values()] == [["2.25.22"], ["2.25.22"]]
    none = replace(result, images=tuple(map(failed, result.images)))
    ds = sound([], none, by_uid(headers), tmp_path)
    assert codes.DERIVED_MEASUREMENTS.value not in {name_of(item.ds) for item in children(ds)}


def test_validators_accept_a_single_lesion_beside_the_scores(tmp_path: Path, run_tool: Run) -> None:
    """With one region PixelMed asks every group of its container for one, so the scores stand in another."""
    headers, result = four(tmp_path / "source", 0.8)
    path = write(report(headers, result, {}), tmp_path / "sr.dcm")
    assert not [line for line in pixelmed_errors(path) if ": Error" in line]
    status, lines = run_tool("dciodvfy", "-new", path)
    assert (status, errors(lines)) == (0, [])
    assert run_tool("dsrdump", path)[0] == 0


def test_a_report_for_ohif_numbers_its_lesions_through_the_study(tmp_path: Path) -> None:
    """It is about one image, without scores of breasts: OHIF shows nothing of a report with both."""
    headers, result = four(tmp_path / "source", 0.8)
    images = list(result.images)
    images[0] = mg.image_result(headers[0], [mg.finding(), mg.finding(150, 200)])
    result = replace(result, images=tuple(images))
    segs = masks(headers, result)
    reports = build_reports_ohif(headers, result, segs)
    names = [said(group)["112039"] for ds in reports.values() for group in groups(ds)]
    assert names == ["R CC lesion 1", "R CC lesion 2", "L CC lesion 3"]
    for uid, ds in reports.items():
        assert list(entries(ds)) == [uid]
        assert [of for _, of, _ in outcomes(evaluations(ds))] == [uid]
        assert not items(ds, codes.DERIVED_MEASUREMENTS)
        path = write(ds, tmp_path / "ohif.dcm")
        check_object(path, Expected(Kind.SR_OHIF, result, {uid: by_uid(headers)[uid]}, {uid: segs[uid]}, only=uid))


def code(value: str) -> Items:
    return Items([mg.code(value, "99SITE", f"Procedure {value}")])


def test_the_procedure_is_the_sources_or_mammography(tmp_path: Path) -> None:
    """As performed, else as requested; of the first image that tells it."""
    headers, result = two_views(tmp_path)

    def told() -> str:
        ds = sound(headers, result, {}, tmp_path)
        return f"{value_of(below(ds, codes.PROCEDURE_REPORTED))} {ds.PerformedProcedureCodeSequence[0].CodeValue}"

    assert told() == "71651007 71651007"
    request = Dataset()
    request.RequestedProcedureCodeSequence = code("1")
    headers[0].RequestAttributesSequence = Items([request])
    assert told() == "1 71651007"
    headers[0].RequestedProcedureCodeSequence = code("2")
    assert told() == "2 71651007"
    headers[0].ProcedureCodeSequence = code("3")
    assert told() == "3 71651007"
    headers[1].ProcedureCodeSequence = code("4")
    assert told() == "4 71651007", "the image that is hung first"
    headers[1].ProcedureCodeSequence[0].CodeMeaning = ""
    assert told() == "3 71651007", "a code without a meaning is none"


def test_an_outcome_is_about_what_was_tried(tmp_path: Path) -> None:
    headers, result = four(tmp_path / "source")
    read = result.images[:2]

    def outcome(*others: ImageResult) -> str:
        return outcome_code(replace(result, images=(*read, *others))).value

    other = failed(result.images[2])
    assert outcome() == "111241"
    assert outcome(other) == "111243"
    assert outcome(replace(other, attempt=Attempt.NOT_MADE)) == "111241"
    assert outcome(replace(other, attempt=Attempt.NOT_APPLICABLE)) == "111241"
    assert outcome_code(replace(result, images=(other,))).value == "111245"
    assert headers[2].SOPInstanceUID == other.sop_instance_uid
    assert not [item for item in walk(report(headers, result, {})) if item.name == codes.COMMENT.value]
