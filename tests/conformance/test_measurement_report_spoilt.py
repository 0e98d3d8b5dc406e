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
from node.results.common import codes
from node.results.common.content import walk
from node.results.conformance import check_object
from node.results.study import Expected


def another_report(ds: Dataset) -> None:
    ds.ContentTemplateSequence[0].TemplateIdentifier = "2000"


def other_outcome(ds: Dataset) -> None:
    below(evaluations(ds), codes.CAD_SUMMARY).ConceptCodeSequence[0].CodeValue = "111241"


def lost_evaluations(ds: Dataset) -> None:
    del ds.ContentSequence[-1]


def without_notice(ds: Dataset) -> None:
    below(evaluations(ds), codes.IMPRESSION_DESCRIPTION).TextValue = "1 of 2 images analysed; findings: 5."


def untold_reason(ds: Dataset) -> None:
    del evaluations(ds).ContentSequence[-1]


def other_reason(ds: Dataset) -> None:
    evaluations(ds).ContentSequence[-1].TextValue = "R CC not processed: no idea"


def reason_of_another(ds: Dataset) -> None:
    image = evaluations(ds).ContentSequence[-1].ContentSequence[0]
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


def other_procedure(ds: Dataset) -> None:
    item(ds, "121058").ConceptCodeSequence[0].CodeValue = "24623002"


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


def other_malignancy(ds: Dataset) -> None:
    item(ds, "MALIGNANCY_CLASS").ConceptCodeSequence[0].CodeValue = "30807003"


def box_on_another(ds: Dataset) -> None:
    item(ds, "111030").ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.22"


def segment_of_another(ds: Dataset) -> None:
    item(ds, "121233").ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.22"


def untold_spacing(ds: Dataset) -> None:
    told = next(i.ds for i in walk(ds) if i.name == "111002" and "pixel spacing" in i.ds.TextValue)
    told.TextValue = "pixel spacing 0.1 x 0.1 mm (row x column), calibrated"


def doubled_group(ds: Dataset) -> None:
    ds.ContentSequence[-2].ContentSequence.append(ds.ContentSequence[-2].ContentSequence[0])


SPOILERS: dict[Callable[[Dataset], None], str] = {
    another_report: "is not an Imaging Measurement Report (TID 1500)",
    other_outcome: "CAD Processing and Findings Summary is ['111241'], not '111244'",
    lost_evaluations: "CAD Processing and Findings Summary is []",
    without_notice: "Impression Description is",
    untold_reason: f"does not report about an image: R CC not processed: {REASON}",
    other_reason: "reports something about an image that did not happen: R CC not processed: no idea",
    reason_of_another: f"does not report about an image: R CC not processed: {REASON}",
    missing_evidence: "2.25.22 is not listed as evidence",
    invented_predecessor: "replaces 2.25.",
    other_observer: "observer is ['2.25.404']",
    other_procedure: "procedure is ['24623002']",
    no_performed_procedure: "performed procedure is []",
    other_algorithm: "Algorithm Name of a group is not FT-MTL-Net",
    other_algorithm_version: "Algorithm Version of a group is not 1.2.0",
    other_weights: "Algorithm Parameters of a group are not the model's",
    other_kind: "kind is ['52988006', '4147007'], not that of a mass",
    other_malignancy: "AI malignancy class is not Malignant",
    box_on_another: "the region is not on its image",
    segment_of_another: "the segment's source image is not its image",
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
        check_object(copy, Expected(result, by_uid(sources), segmentations, missing))

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
    below(groups(ds)[1], codes.CAD_SUMMARY).ConceptCodeSequence[0].CodeValue = "111241"


def invented_probability(ds: Dataset) -> None:
    groups(ds)[1].ContentSequence.append(below(groups(ds)[0], codes.PROBABILITY_OF_CANCER))


def lost_group(ds: Dataset) -> None:
    del ds.ContentSequence[-2].ContentSequence[-1]


IMAGE_SPOILERS: dict[Callable[[Dataset], None], str] = {
    group_of_another: "group of 2.25.21: does not refer to its image",
    group_without_reason: "group of 2.25.21: Comment is []",
    invented_success: "group of 2.25.21: CAD Processing and Findings Summary is ['111241']",
    invented_probability: "group of 2.25.21: Probability of cancer is [0.0]",
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
    with pytest.raises(ResultRejected, match="does not report about an image: R CC not processed"):
        check_object(hiding, Expected(partial, by_uid(sources), masks(sources, partial), missing))
    inventing = write(report(sources, partial, missing), tmp_path / "inventing.dcm")
    with pytest.raises(
        ResultRejected, match="reports something about an image that did not happen: R CC not processed"
    ):
        check_object(inventing, Expected(result, by_uid(headers), masks(headers, result)))
