"""Spoilt CAD reports are rejected, each for what was spoilt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from support.objects import below, items, write
from support.outcomes import case, measured, two_views
from support.spoilers import faults_of, for_the_clinic, other_patient, verified
from support.studies import by_uid

from node.kinds import ObjectKind
from node.results.cad.build import build_cad_report
from node.results.cad.check import faults as cad_faults
from node.results.common import codes
from node.results.common.content import name_of
from node.results.conformance import check_object
from node.results.study import Expected


def group_of(ds: Dataset) -> Dataset:
    return items(ds, codes.SINGLE_IMAGE_FINDING)[0]


def another_report(ds: Dataset) -> None:
    ds.ContentTemplateSequence[0].TemplateIdentifier = "4100"


def lost_image(ds: Dataset) -> None:
    del items(ds, codes.IMAGE_LIBRARY)[0].ContentSequence[-1]


def other_image(ds: Dataset) -> None:
    library = items(ds, codes.IMAGE_LIBRARY)[0]
    library.ContentSequence = library.ContentSequence[::-1]


def dangling_reference(ds: Dataset) -> None:
    below(group_of(ds), codes.CENTER).ContentSequence[0].ReferencedContentItemIdentifier = [1, 2, 3]


def reference_to_no_image(ds: Dataset) -> None:
    below(group_of(ds), codes.CENTER).ContentSequence[0].ReferencedContentItemIdentifier = [1, 1]


def outline_outside(ds: Dataset) -> None:
    item = below(group_of(ds), codes.OUTLINE)
    item.GraphicData = [value + 300 for value in item.GraphicData]


def outline_shifted(ds: Dataset) -> None:
    item = below(group_of(ds), codes.OUTLINE)
    item.GraphicData = [value + 1 for value in item.GraphicData]


def other_centre(ds: Dataset) -> None:
    below(group_of(ds), codes.CENTER).GraphicData = [1, 1]


def other_score(ds: Dataset) -> None:
    below(group_of(ds), codes.CANCER_SCORE).MeasuredValueSequence[0].NumericValue = "1"


def other_certainty(ds: Dataset) -> None:
    below(group_of(ds), codes.CERTAINTY_OF_FINDING).MeasuredValueSequence[0].NumericValue = "89.98"


def lost_score(ds: Dataset) -> None:
    group = group_of(ds)
    group.ContentSequence = [i for i in group.ContentSequence if name_of(i) != codes.CANCER_SCORE.value]


def lost_finding(ds: Dataset) -> None:
    del items(ds, codes.INDIVIDUAL_IMPRESSION)[0].ContentSequence[-1]


def other_tracking(ds: Dataset) -> None:
    below(group_of(ds), codes.TRACKING_UID).UID = "2.25.404"


def other_kind(ds: Dataset) -> None:
    group_of(ds).ConceptCodeSequence[0].CodeValue = "129769006"


def other_intent(ds: Dataset) -> None:
    below(group_of(ds), codes.RENDERING_INTENT).ConceptCodeSequence[0].CodeValue = "111152"


def other_outcome(ds: Dataset) -> None:
    below(ds, codes.CAD_SUMMARY).ConceptCodeSequence[0].CodeValue = "111241"


def other_detections(ds: Dataset) -> None:
    for detection in items(ds, codes.DETECTION_PERFORMED):
        detection.ContentSequence = [i for i in detection.ContentSequence if "ReferencedContentItemIdentifier" not in i]


def lost_detection(ds: Dataset) -> None:
    del items(ds, codes.SUCCESSFUL_DETECTIONS)[0].ContentSequence[0]


def other_summary(ds: Dataset) -> None:
    below(ds, codes.SUMMARY_OF_DETECTIONS).ConceptCodeSequence[0].CodeValue = "111223"


def other_measurement(ds: Dataset) -> None:
    items(ds, codes.LESION_SENSITIVITY)[-1].MeasuredValueSequence[0].NumericValue = "95"


def lost_operating_points(ds: Dataset) -> None:
    detection = items(ds, codes.DETECTION_PERFORMED)[-1]
    detection.ContentSequence = [i for i in detection.ContentSequence if name_of(i) != "111093"]


def other_operating_point(ds: Dataset) -> None:
    intent = below(items(ds, codes.SINGLE_IMAGE_FINDING)[-1], codes.RENDERING_INTENT)
    below(intent, codes.OPERATING_POINT).MeasuredValueSequence[0].NumericValue = "1"


def hidden_group(ds: Dataset) -> None:
    below(items(ds, codes.INDIVIDUAL_IMPRESSION)[0], codes.RENDERING_INTENT).ConceptCodeSequence[0].CodeValue = "111152"


def other_study_score(ds: Dataset) -> None:
    items(ds, codes.CANCER_SCORE)[0].MeasuredValueSequence[0].NumericValue = "16"


def score_of_the_other_breast(ds: Dataset) -> None:
    items(ds, codes.LATERALITY)[0].ConceptCodeSequence[0].CodeValue = "73056007"


def without_a_word_on_calibration(ds: Dataset) -> None:
    del group_of(ds).ContentSequence[6]


def other_spacing(ds: Dataset) -> None:
    items(ds, codes.HORIZONTAL_SPACING)[0].MeasuredValueSequence[0].NumericValue = "70"


def without_notice(ds: Dataset) -> None:
    items(ds, codes.IMPRESSION_DESCRIPTION)[0].TextValue = "2 of 2 images analysed."


def missing_evidence(ds: Dataset) -> None:
    del ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[-1]


SPOILERS: dict[Callable[[Dataset], None], str] = {
    another_report: "is not a Mammography CAD Report (TID 4000)",
    lost_image: "the Image Library does not list the study's mammograms",
    other_image: "Outline is not on its image",
    dangling_reference: "reference to item 1.2.3, which is not an image in the library",
    reference_to_no_image: "reference to item 1.1, which is not an image in the library",
    outline_outside: "region outside the 300x400 image",
    outline_shifted: "Outline is not that of its mask",
    other_centre: "Center is not that of its mask",
    other_score: "Cancer score, uncalibrated is [1.0], not 72",
    other_certainty: "Certainty of Finding is [89.98], not 90",
    lost_score: "Cancer score, uncalibrated is [], not 72",
    lost_finding: "tracking UIDs are not those of the findings",
    other_tracking: "tracking UIDs are not those of the findings",
    other_kind: "is coded as 129769006, not as 129793001",
    other_intent: "Rendering Intent does not match its score",
    other_outcome: "CAD Processing and Findings Summary is ['111241'], not 111242",
    other_detections: "Successful Detections are not what the model looks for",
    lost_detection: "Successful Detections are not what the model looks for",
    other_summary: "Summary of Detections is not Succeeded",
    other_measurement: "operating points of 129793001 are not the model's",
    lost_operating_points: "operating points of 129793001 are not the model's",
    other_operating_point: "Rendering Intent does not match its score",
    hidden_group: "Rendering Intent of the findings is ['111152'], not 111150",
    other_study_score: "of study or breast is not the largest of the findings",
    score_of_the_other_breast: "is that of [None, '73056007'], not of [None, '80248007']",
    without_a_word_on_calibration: "does not say that its scores are not calibrated",
    other_spacing: "Horizontal Pixel Spacing is [70.0], not 100",
    without_notice: "Impression Description is",
    missing_evidence: "is not listed as evidence",
    verified: "VerificationFlag is not UNVERIFIED",
    other_patient: "PatientID differs from the source's",
    for_the_clinic: "ContentQualification is not RESEARCH",
}


@pytest.mark.parametrize(("spoil", "fault"), SPOILERS.items(), ids=[f.__name__ for f in SPOILERS])
def test_a_spoilt_report_is_rejected(spoil: Callable[[Dataset], None], fault: str, tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    result = measured(result)
    path = write(build_cad_report(headers, result), tmp_path / "cad.dcm")
    sound = path, lambda copy: check_object(copy, Expected(ObjectKind.CAD, result, by_uid(headers), {}))
    assert fault in faults_of(spoil, sound, tmp_path)


def test_faults_of_a_report_of_other_outcomes(tmp_path: Path) -> None:
    """A report that hides an image that was not analysed, and one that tells of a failure that never happened."""
    headers, result = two_views(tmp_path)
    sources, partial, missing = case(headers, result, "partial")
    hiding = list(
        cad_faults(
            build_cad_report(headers, result), Expected(ObjectKind.CAD, partial, by_uid(sources), missing=missing)
        )
    )
    assert any("Failed Detections" in fault for fault in hiding)
    assert any("111242" in fault for fault in hiding)
    inventing = list(
        cad_faults(build_cad_report(sources, partial, missing), Expected(ObjectKind.CAD, result, by_uid(headers)))
    )
    assert any("Successful Detections" in fault for fault in inventing)
    assert any("111244" in fault for fault in inventing)
    assert not list(
        cad_faults(
            build_cad_report(sources, partial, missing),
            Expected(ObjectKind.CAD, partial, by_uid(sources), missing=missing),
        )
    )
