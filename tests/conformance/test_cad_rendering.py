"""Which findings of a CAD report a workstation is to show, at which operating point; and scores, as scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from support import mg
from support.objects import below, items, write
from support.outcomes import POINTS, measured, two_views
from support.studies import by_uid

from ftmtl.findings import FindingType, Outcome, StudyResult
from node.kinds import ObjectKind
from node.results.cad.build import build_cad_report
from node.results.cad.check import faults
from node.results.common import codes
from node.results.common.content import children, value_of, walk
from node.results.conformance import check_object
from node.results.study import Expected

REQUIRED, OPTIONAL, NOT_SHOWN = "111150", "111151", "111152"
DENSITY, CLUSTER, DISTORTION = "129793001", "129769006", "129792006"


def unit(number: Dataset) -> tuple[str, str, str]:
    """Return the unit of a number."""
    (of,) = number.MeasuredValueSequence[0].MeasurementUnitsCodeSequence
    return of.CodeValue, of.CodingSchemeDesignator, of.CodeMeaning


def scored(folder: Path, *scores: float) -> tuple[list[Dataset], StudyResult]:
    """Return two views with findings of these cancer scores on the first."""
    headers, result = two_views(folder)
    found = [replace(mg.finding(10 + 38 * n, 80), lesion_score=s, malignancy_score=1.0) for n, s in enumerate(scores)]
    return headers, replace(result, images=(replace(result.images[0], findings=tuple(found)), result.images[1]))


def written(folder: Path, result: StudyResult, headers: list[Dataset], kind: ObjectKind = ObjectKind.CAD) -> Dataset:
    """Build a report, check it as the node does, and read it back."""
    path = write(build_cad_report(headers, result, kind=kind), folder / f"{kind}.dcm")
    check_object(path, Expected(kind, result, by_uid(headers)))
    return dcmread(path)


def intents(ds: Dataset) -> list[tuple[str, int | None]]:
    """Return Rendering Intent and operating point of every finding."""
    found = []
    for group in items(ds, codes.SINGLE_IMAGE_FINDING):
        intent = below(group, codes.RENDERING_INTENT)
        points = [int(value_of(item.ds)) for item in children(intent)]
        found.append((value_of(intent), points[0] if points else None))
    return found


def test_intent_and_operating_point_follow_the_cancer_score(tmp_path: Path) -> None:
    headers, result = scored(tmp_path, 0.9, 0.7, 0.69, 0.4, 0.39, 0.1, 0.09)
    ds = written(tmp_path, measured(result), headers)
    assert intents(ds) == [
        *[(REQUIRED, None)] * 2,
        *[(OPTIONAL, 1)] * 2,
        *[(OPTIONAL, 2)] * 2,
        (NOT_SHOWN, None),
    ]
    points = [
        item.ds
        for group in items(ds, codes.SINGLE_IMAGE_FINDING)
        for item in children(below(group, codes.RENDERING_INTENT))
    ]
    assert {unit(point) for point in points} == {("{1:2}", "UCUM", "range: 1:2")}


def test_the_lesion_score_decides_nothing(tmp_path: Path) -> None:
    headers, result = scored(tmp_path, 0.95)
    (found,) = result.images[0].findings
    benign = replace(result.images[0], findings=(replace(found, malignancy_score=0.05),))
    ds = written(tmp_path, measured(replace(result, images=(benign, result.images[1]))), headers)
    assert intents(ds) == [(NOT_SHOWN, None)]


@pytest.mark.parametrize(
    ("scores", "intent"), [((0.2, 0.8, 0.05), REQUIRED), ((0.05, 0.2), OPTIONAL), ((0.05,), NOT_SHOWN)]
)
def test_what_is_to_be_shown_stands_below_nothing_that_is_not(
    scores: tuple[float, ...], intent: str, tmp_path: Path
) -> None:
    """PS3.4 O.2.1.1."""
    headers, result = scored(tmp_path, *scores)
    ds = written(tmp_path, measured(result), headers)
    (group,) = items(ds, codes.INDIVIDUAL_IMPRESSION)
    assert value_of(below(group, codes.RENDERING_INTENT)) == intent


@pytest.mark.parametrize("points", [0, 1, 2])
def test_without_enough_operating_points_all_is_shown(points: int, tmp_path: Path) -> None:
    headers, result = scored(tmp_path, 0.9, 0.05)
    ds = written(tmp_path, measured(result, POINTS[:points]), headers)
    assert intents(ds) == [(REQUIRED, None)] * 2
    assert not {item.name for item in walk(ds)} & {"111071", "111072", "111092", "111093"}


def test_every_detection_has_the_measured_operating_points(tmp_path: Path) -> None:
    headers, result = scored(tmp_path, 0.9)
    ds = written(tmp_path, measured(result), headers)
    detections = items(ds, codes.DETECTION_PERFORMED)
    assert len(detections) == 3
    for detection in detections:
        last, first = (below(detection, n) for n in (codes.MAXIMUM_OPERATING_POINT, codes.RECOMMENDED_OPERATING_POINT))
        assert (value_of(last), unit(last)) == (2, ("[arb'U]", "UCUM", "arbitrary unit"))
        assert (value_of(first), unit(first)) == (0, ("{0:2}", "UCUM", "range: 0:2"))
        x, y, *points = (item.ds for item in children(below(detection, codes.OPERATING_POINT_TABLE)))
        assert [(value_of(axis)) for axis in (x, y)] == ["111086", "111089"]
        for n, (told, point) in enumerate(zip(points, POINTS, strict=True)):
            assert (value_of(told), unit(told)) == (n, ("{0:2}", "UCUM", "range: 0:2"))
            words, markers, sensitivity = (item.ds for item in children(told))
            assert f"cancer score of {100 * point.threshold:.2f} or more" in value_of(words)
            assert "100 synthetic studies" in value_of(words)
            assert (value_of(markers), unit(markers)[0]) == (point.false_positives, "1")
            assert (value_of(sensitivity), unit(sensitivity)[0]) == (pytest.approx(100 * point.sensitivity), "%")
        last_image = max(n for n, item in enumerate(children(detection)) if not item.type)
        assert children(detection)[last_image + 1].name == "111072", "row 9 of TID 4017 comes last"


def test_scores_are_scores_and_no_probabilities(tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    ds = written(tmp_path, measured(result), headers)
    assert "111047" not in {item.name for item in walk(ds)}
    for group, finding in zip(items(ds, codes.SINGLE_IMAGE_FINDING), result.images[0].findings, strict=True):
        certainty, score = below(group, codes.CERTAINTY_OF_FINDING), below(group, codes.CANCER_SCORE)
        assert (value_of(certainty), unit(certainty)[0]) == (pytest.approx(100 * finding.lesion_score, abs=0.005), "%")
        assert (value_of(score), unit(score)[0]) == (pytest.approx(100 * finding.cancer_score, abs=0.005), "{0:100}")
        assert value_of(below(score, codes.DERIVATION)) == "112187"
        assert "uncalibrated" in value_of(below(score, codes.CALCULATION_DESCRIPTION))
        parameters = [
            str(value_of(item.ds)) for item in children(group) if item.name == codes.ALGORITHM_PARAMETERS.value
        ]
        assert any(
            "not calibrated" in text and "Certainty of Finding is the lesion score" in text for text in parameters
        )
    (scheme,) = ds.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99FTMTL"


def overall(ds: Dataset) -> list[tuple[str | None, float]]:
    """Return the scores of the overall impression, and the breast that each is of."""
    summary = below(ds, codes.CAD_SUMMARY)
    found = []
    for score in (item.ds for item in children(summary) if item.name == codes.CANCER_SCORE.value):
        sides = [value_of(item.ds) for item in children(score) if item.name == "272741003"]
        assert value_of(below(score, codes.DERIVATION)) == "112187"
        assert "argest cancer score" in value_of(below(score, codes.CALCULATION_DESCRIPTION))
        assert unit(score)[0] == "{0:100}"
        found.append((sides[0] if sides else None, value_of(score)))
    return found


def test_study_and_breast_have_the_largest_score(tmp_path: Path) -> None:
    headers, result = scored(tmp_path, 0.3, 0.65, 0.2)
    both = replace(result.images[1], outcome=Outcome.FINDINGS, findings=(replace(mg.finding(), lesion_score=0.5),))
    ds = written(tmp_path, replace(result, images=(result.images[0], both)), headers)
    assert overall(ds) == [(None, 65), ("80248007", 65), ("73056007", 40)]
    names = [item.name for item in children(below(ds, codes.CAD_SUMMARY))]
    order = ["111033", "111001", "111003", "111002", "111002", *["CANCER_SCORE"] * 3, "111034"]
    assert names == order, "rows 5, 11 and 12 of TID 4002, row 3 of TID 4001"


def test_a_breast_without_findings_has_no_score(tmp_path: Path) -> None:
    """Nothing above a threshold is not 0."""
    headers, result = scored(tmp_path, 0.65)
    assert overall(written(tmp_path, result, headers)) == [(None, 65), ("80248007", 65)]
    clear = [replace(image, outcome=Outcome.NO_FINDINGS, findings=()) for image in result.images]
    assert overall(written(tmp_path, replace(result, images=tuple(clear)), headers)) == []


def test_a_finding_of_unknown_side_counts_for_the_study(tmp_path: Path) -> None:
    headers, result = scored(tmp_path, 0.65)
    nowhere = replace(result.images[0], laterality=None)
    assert overall(written(tmp_path, replace(result, images=(nowhere, result.images[1])), headers)) == [(None, 65)]


def test_kinds_are_coded_as_single_image_findings(tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    ds = written(tmp_path, result, headers)
    groups = items(ds, codes.SINGLE_IMAGE_FINDING)
    assert [value_of(group) for group in groups] == [DENSITY, CLUSTER, DISTORTION, DENSITY, DENSITY]


def test_distortions_are_densities_for_workstations_that_draw_no_others(tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    result = measured(result)
    plain, mapped = (written(tmp_path, result, headers, k) for k in (ObjectKind.CAD, ObjectKind.CAD_DENSITY))
    groups = items(mapped, codes.SINGLE_IMAGE_FINDING)
    assert [value_of(group) for group in groups] == [DENSITY, CLUSTER, DENSITY, DENSITY, DENSITY]
    assert {value_of(item) for item in items(mapped, codes.DETECTION_PERFORMED)} == {DENSITY, CLUSTER}
    said = "architectural distortion, coded as a density for this workstation"
    for ds, due in ((plain, []), (mapped, [FindingType.DISTORTION])):
        found = zip(items(ds, codes.SINGLE_IMAGE_FINDING), result.images[0].findings, strict=True)
        assert [
            f.type for group, f in found if said in [value_of(i.ds) for i in children(group) if i.type == "TEXT"]
        ] == due
    line = "Architectural distortions are coded as densities for this workstation."
    impressions = [
        value_of(below(below(ds, codes.CAD_SUMMARY), codes.IMPRESSION_DESCRIPTION)) for ds in (plain, mapped)
    ]
    assert [line in words.split("\r\n") for words in impressions] == [False, True]
    assert plain.SOPInstanceUID != mapped.SOPInstanceUID
    assert plain.SeriesInstanceUID != mapped.SeriesInstanceUID
    assert [int(ds.SeriesNumber) % 10_000 for ds in (plain, mapped)] == [899, 897]
    assert plain.Manufacturer == mapped.Manufacturer == "ftmtl-node"
    assert [value_of(item) for item in items(plain, codes.TRACKING_UID)] == [
        value_of(i) for i in items(mapped, codes.TRACKING_UID)
    ]


def test_one_kind_of_report_is_not_taken_for_the_other(tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    ds = build_cad_report(headers, result, kind=ObjectKind.CAD_DENSITY)
    found = list(faults(ds, Expected(ObjectKind.CAD, result, by_uid(headers))))
    assert any("is coded as 129793001, not as 129792006" in fault for fault in found)
    assert any("Impression Description" in fault for fault in found)
