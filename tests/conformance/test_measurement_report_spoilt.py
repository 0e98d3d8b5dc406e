"""Spoilt measurement reports are rejected, each for what was spoilt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from support.measurement_reports import evaluations, groups, masks, report
from support.objects import below, write
from support.outcomes import REASON, case, failed, two_views
from support.spoilers import Checked, faults_of, other_patient, verified
from support.studies import Headers, by_uid

from ftmtl.findings import StudyResult
from node.errors import ResultRejected
from node.kinds import ObjectKind as Kind
from node.results.common import codes
from node.results.common.content import number, walk
from node.results.conformance import check_object
from node.results.study import Expected

PROBABILITY_OF_CANCER = codes.Code("111047", "DCM", "Probability of cancer")
"""What nothing that was measured here is."""


def another_report(ds: Dataset) -> None:
    ds.ContentTemplateSequence[0].TemplateIdentifier = "2000"


def other_outcome(ds: Dataset) -> None:
    below(evaluations(ds), codes.CAD_SUMMARY).ConceptCodeSequence[0].CodeValue = "111241"


def lost_evaluations(ds: Dataset) -> None:
    del ds.ContentSequence[-1]


def without_notice(ds: Dataset) -> None:
    below(evaluations(ds), codes.IMPRESSION_DESCRIPTION).TextValue = "1 of 2 mammograms analysed; findings: 5."


def untold_reason(ds: Dataset) -> None:
    evaluations(ds).ContentSequence.remove(below(evaluations(ds), codes.COMMENT))


def other_reason(ds: Dataset) -> None:
    below(evaluations(ds), codes.COMMENT).TextValue = "R CC failed: no idea"


def reason_of_another(ds: Dataset) -> None:
    image = below(evaluations(ds), codes.COMMENT).ContentSequence[0]
    image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.21"


def missing_evidence(ds: Dataset) -> None:
    series = ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence = [
        s for s in series if s.ReferencedSOPSequence[0].ReferencedSOPInstanceUID != "2.25.22"
    ]


def invented_predecessor(ds: Dataset) -> None:
    ds.PredecessorDocumentsSequence = ds.CurrentRequestedProcedureEvidenceSequence


def item(ds: Dataset, name: str) -> Dataset:
    return next(found.ds for found in walk(ds) if found.name == name)


def other_observer(ds: Dataset) -> None:
    item(ds, "121012").UID = "2.25.404"


def notice_in_the_observers_name(ds: Dataset) -> None:
    item(ds, "121013").TextValue += " Research use only."


def other_procedure(ds: Dataset) -> None:
    item(ds, "121058").ConceptCodeSequence[0].CodeValue = "363679005"


def no_performed_procedure(ds: Dataset) -> None:
    ds.PerformedProcedureCodeSequence = []


def other_algorithm(ds: Dataset) -> None:
    item(ds, "111001").TextValue = "Other"


def other_algorithm_version(ds: Dataset) -> None:
    item(ds, "111003").TextValue = "2"


def other_weights(ds: Dataset) -> None:
    item(ds, "111002").TextValue = "Weights sha256 0"


def other_kind(ds: Dataset) -> None:
    item(ds, "121071").ConceptCodeSequence[0].CodeValue = "52988006"


def other_name(ds: Dataset) -> None:
    next(g for g in walk(ds) if g.name == "112039").ds.TextValue = "L CC lesion 2"


def other_malignancy(ds: Dataset) -> None:
    item(ds, "MALIGNANCY_SCORE").MeasuredValueSequence[0].NumericValue = "20"


def a_probability(ds: Dataset) -> None:
    groups(ds)[0].ContentSequence.append(number("CONTAINS", PROBABILITY_OF_CANCER, 72, codes.PERCENT))


def box(ds: Dataset) -> None:
    item(ds, "111030").GraphicData = [40, 60, 71, 60, 71, 83, 40, 83, 40, 60]


def region_on_another(ds: Dataset) -> None:
    item(ds, "111030").ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.22"


def other_purpose(ds: Dataset) -> None:
    item(ds, "130400").ConceptCodeSequence[0].CodeValue = "75958009"


def lost_mask(ds: Dataset) -> None:
    series = ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence = [
        s for s in series if s.ReferencedSOPSequence[0].ReferencedSOPInstanceUID in ("2.25.21", "2.25.22")
    ]


def image_outcome(ds: Dataset) -> None:
    item(evaluations(ds), "111064").ConceptCodeSequence[0].CodeValue = "111222"


def entry(ds: Dataset) -> Dataset:
    """Return the last image of the library."""
    return below(below(ds, codes.IMAGE_LIBRARY), codes.IMAGE_LIBRARY_GROUP).ContentSequence[-1]


def lost_entry(ds: Dataset) -> None:
    del below(below(ds, codes.IMAGE_LIBRARY), codes.IMAGE_LIBRARY_GROUP).ContentSequence[-1]


def other_side(ds: Dataset) -> None:
    below(entry(ds), codes.IMAGE_LATERALITY).ConceptCodeSequence[0].CodeValue = codes.SIDES["R"].value


def other_view(ds: Dataset) -> None:
    below(entry(ds), codes.IMAGE_VIEW).ConceptCodeSequence[0].CodeValue = codes.VIEWS["MLO"].value


def lost_modifier(ds: Dataset) -> None:
    del item(ds, "111031").ContentSequence


def corrected_spacing(ds: Dataset) -> None:
    below(entry(ds), codes.HORIZONTAL_SPACING).MeasuredValueSequence[0].NumericValue = "0.09"


def breast(ds: Dataset) -> Dataset:
    return groups(ds, codes.DERIVED_MEASUREMENTS)[-1]


def lost_breast(ds: Dataset) -> None:
    del below(ds, codes.DERIVED_MEASUREMENTS).ContentSequence[-1]


def other_breast(ds: Dataset) -> None:
    below(breast(ds), codes.FINDING_SITE).ConceptCodeSequence[0].CodeValue = codes.BREASTS["R"].value


def other_breast_score(ds: Dataset) -> None:
    below(breast(ds), codes.CANCER_SCORE).MeasuredValueSequence[0].NumericValue = "0"


def other_breast_outcome(ds: Dataset) -> None:
    below(breast(ds), codes.CAD_SUMMARY).ConceptCodeSequence[0].CodeValue = "111241"


def breast_of_another_image(ds: Dataset) -> None:
    item(breast(ds), "121112").ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.22"


def untold_spacing(ds: Dataset) -> None:
    told = next(i.ds for i in walk(ds) if i.name == "111002" and "pixel spacing" in i.ds.TextValue)
    told.TextValue = "sizes of the mask; pixel spacing 0.1 x 0.1 mm (row x column), calibrated"


def doubled_group(ds: Dataset) -> None:
    groups_of = below(ds, codes.IMAGING_MEASUREMENTS).ContentSequence
    groups_of.append(groups_of[0])


SPOILERS: dict[Callable[[Dataset], None], str] = {
    another_report: "is not an Imaging Measurement Report (TID 1500)",
    other_outcome: "CAD Processing and Findings Summary is ['111241'], not '111244'",
    lost_evaluations: "CAD Processing and Findings Summary is []",
    without_notice: "Impression Description is",
    untold_reason: f"does not report about an image: R CC failed: {REASON}",
    other_reason: "reports something about an image that did not happen: R CC failed: no idea",
    reason_of_another: f"does not report about an image: R CC failed: {REASON}",
    missing_evidence: "2.25.22 is not listed as evidence",
    invented_predecessor: "replaces 2.25.",
    other_observer: "Device Observer UID is ['2.25.404']",
    notice_in_the_observers_name: "Device Observer Name is ['FT-MTL-Net 1.2.0 Research use only.']",
    other_procedure: "Procedure reported is ['363679005'], not 71651007",
    no_performed_procedure: "performed procedure is []",
    other_algorithm: "Algorithm Name of a group is not FT-MTL-Net",
    other_algorithm_version: "Algorithm Version of a group is not 1.2.0",
    other_weights: "Algorithm Parameters of a group are not the model's",
    other_kind: "Finding is ['52988006'], not 4147007",
    other_name: "Tracking Identifier is ['L CC lesion 2'], not L CC lesion 1",
    other_malignancy: "Malignancy score given a lesion, uncalibrated is [20.0], not 80.0",
    a_probability: "has other numbers",
    box: "the region is not its outline",
    region_on_another: "the region is not on its image",
    other_purpose: "Geometric purpose of region is ['75958009'], not 111041",
    lost_mask: "is not listed as evidence",
    image_outcome: "outcomes of the images are [('111222', '111242', '2.25.21'), ('111222', '2.25.22')]",
    lost_entry: "the Image Library does not list the images of the report",
    other_side: "Image Laterality of 2.25.21 is ['24028007'], not ['7771000']",
    other_view: "Image View of 2.25.21 is ['399368009'], not ['399162004']",
    lost_modifier: "Image View Modifier of 2.25.22 is []",
    corrected_spacing: "pixel spacing of 2.25.21 is [0.1, 0.09], not that of its detector, [0.1, 0.1]",
    lost_breast: "the derived measurements are not those of the study and its breasts",
    other_breast: "left breast: Finding Site is ['73056007'], not ['80248007']",
    other_breast_score: "left breast: scores are [('CANCER_SCORE', 0.0)], not 0.72",
    other_breast_outcome: "left breast: CAD Processing and Findings Summary is ['111241'], not ['111242']",
    breast_of_another_image: "left breast: does not refer to the images that were read",
    untold_spacing: "does not say which pixel spacing its sizes are based on",
    doubled_group: "tracking UIDs of the groups are not those of the findings",
    verified: "VerificationFlag is not UNVERIFIED",
    other_patient: "PatientID differs from the source's",
}


def checked(sources: list[Dataset], result: StudyResult, missing: Headers, path: Path) -> Checked:
    """Write a sound report; return it and what checks a copy."""
    segmentations = masks(sources, result)
    write(report(sources, result, missing), path)

    def check(copy: Path) -> None:
        check_object(copy, Expected(Kind.SR, result, by_uid(sources), segmentations, missing))

    return path, check


@pytest.fixture(scope="module")
def with_findings(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """A report of findings on one image; the other was not analysed."""
    folder = tmp_path_factory.mktemp("findings")
    return checked(*case(*two_views(folder), "partial"), folder / "sr.dcm")


@pytest.mark.parametrize(("spoil", "fault"), SPOILERS.items(), ids=[f.__name__ for f in SPOILERS])
def test_a_spoilt_report_is_rejected(
    spoil: Callable[[Dataset], None], fault: str, with_findings: Checked, tmp_path: Path
) -> None:
    assert fault in faults_of(spoil, with_findings, tmp_path)


def group_of_another(ds: Dataset) -> None:
    item(groups(ds)[1], "121112").ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.22"


def group_without_reason(ds: Dataset) -> None:
    del groups(ds)[1].ContentSequence[-1]


def invented_success(ds: Dataset) -> None:
    below(groups(ds)[1], codes.SUMMARY_OF_DETECTIONS).ConceptCodeSequence[0].CodeValue = "111222"


def invented_findings(ds: Dataset) -> None:
    below(groups(ds)[0], codes.CAD_SUMMARY).ConceptCodeSequence[0].CodeValue = "111242"


def invented_zero(ds: Dataset) -> None:
    groups(ds)[0].ContentSequence.append(number("CONTAINS", codes.CANCER_SCORE, 0, codes.RANGE_TO_100))


def zero_for_the_breast(ds: Dataset) -> None:
    breast(ds).ContentSequence.append(number("CONTAINS", codes.CANCER_SCORE, 0, codes.RANGE_TO_100))


def lost_group(ds: Dataset) -> None:
    del below(ds, codes.IMAGING_MEASUREMENTS).ContentSequence[-1]


IMAGE_SPOILERS: dict[Callable[[Dataset], None], str] = {
    group_of_another: "group of 2.25.21: does not refer to its image",
    group_without_reason: "group of 2.25.21: Comment is []",
    invented_success: "group of 2.25.21: Summary of Detections is ['111222'], not ['111224']",
    invented_findings: "group of 2.25.22: CAD Processing and Findings Summary is ['111242'], not ['111241']",
    invented_zero: "group of 2.25.22: has a number",
    zero_for_the_breast: "right breast: scores are [('CANCER_SCORE', 0.0)], not None",
    lost_group: "tracking UIDs of the groups are not those of the findings",
}


@pytest.fixture(scope="module")
def without_findings(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """A report of an image without findings and of one that was not analysed."""
    folder = tmp_path_factory.mktemp("none")
    headers, result = two_views(folder)
    result = replace(result, images=(failed(result.images[0]), result.images[1]))
    return checked(headers[1:], result, by_uid(headers[:1]), folder / "sr.dcm")


@pytest.mark.parametrize(("spoil", "fault"), IMAGE_SPOILERS.items(), ids=[f.__name__ for f in IMAGE_SPOILERS])
def test_a_spoilt_report_without_findings_is_rejected(
    spoil: Callable[[Dataset], None], fault: str, without_findings: Checked, tmp_path: Path
) -> None:
    assert fault in faults_of(spoil, without_findings, tmp_path)


def test_faults_of_a_report_of_another_outcome(tmp_path: Path) -> None:
    """A report that hides an image that was not analysed, and one that tells of a failure that never happened."""
    headers, result = two_views(tmp_path)
    sources, partial, missing = case(headers, result, "partial")
    hiding = write(report(headers, result, {}), tmp_path / "hiding.dcm")
    with pytest.raises(ResultRejected, match="does not report about an image: R CC failed"):
        check_object(hiding, Expected(Kind.SR, partial, by_uid(sources), masks(sources, partial), missing))
    inventing = write(report(sources, partial, missing), tmp_path / "inventing.dcm")
    with pytest.raises(ResultRejected, match="reports something about an image that did not happen: R CC failed"):
        check_object(inventing, Expected(Kind.SR, result, by_uid(headers), masks(headers, result)))
