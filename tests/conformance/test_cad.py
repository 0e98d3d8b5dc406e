"""The CAD report before the validators and our own checks: studies that were analysed, in part, or not at all."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from support import mg
from support.clocks import noon
from support.headers import AWKWARD, header_with
from support.objects import below, items, write
from support.outcomes import OUTCOMES, REASON, case, failed, measured, not_read, study_case, two_views
from support.peers import pixelmed_errors
from support.studies import Study, by_uid, make_study
from support.validators import Run, about_a_source_alone, about_the_private_score, errors

from ftmtl.findings import Attempt, LesionMask, Outcome
from node.kinds import ObjectKind
from node.results.cad.build import build_cad_report
from node.results.common import codes
from node.results.common.content import children, item_at, points_of, value_of
from node.results.common.naming import tracking_uid
from node.results.common.outline import MOST_POINTS, outline
from node.results.common.source import PATIENT_AND_STUDY, read_source
from node.results.conformance import check_object
from node.results.readback import read_cad_findings
from node.results.sr.measurement_report import build_report
from node.results.study import Expected


def referenced(ds: Dataset, parent: Dataset) -> list[str]:
    """Return the images that the by-reference items below an item refer to."""
    positions = [c.ds.ReferencedContentItemIdentifier for c in children(parent) if not c.type]
    return [item_at(ds, position).ReferencedSOPSequence[0].ReferencedSOPInstanceUID for position in positions]


@pytest.mark.parametrize("kind", OUTCOMES)
def test_dciodvfy_dsrdump_and_our_own_checks_accept_it(study: Study, kind: str, tmp_path: Path, run_tool: Run) -> None:
    sources, result, missing = study_case(study, kind)
    path = write(build_cad_report(sources, result, missing), tmp_path / "cad.dcm")
    check_object(path, Expected(ObjectKind.CAD, result, by_uid(sources), {}, missing))
    status, lines = run_tool("dciodvfy", "-new", path)
    assert not errors(lines)
    assert status == 0
    assert "MammographyCADSR" in lines
    status, lines = run_tool("dsrdump", "+Pl", path)
    assert status == 0
    text = "\n".join(lines)
    assert "Research use only" in text
    assert ("POLYLINE" in text) is (kind in ("findings", "partial"))


@pytest.mark.parametrize("kind", OUTCOMES)
def test_dcentvfy_accepts_it_beside_its_sources(study: Study, kind: str, tmp_path: Path, run_tool: Run) -> None:
    path = write(build_cad_report(*study_case(study, kind)), tmp_path / "cad.dcm")
    _, lines = run_tool("dcentvfy", *study.paths, path)
    assert not [line for line in errors(lines) if not about_a_source_alone(line, study.paths)]


def test_pixelmed_accepts_the_templates_and_rejects_spoilt_ones(tmp_path: Path) -> None:
    """The only validator that knows TID 4000; its start and each file take seconds, so one run judges a selection."""
    headers, result = two_views(tmp_path / "source")
    result = measured(result)
    first, second = result.images
    few = replace(result, images=(replace(first, findings=first.findings[:1]), second))
    spots = tuple(not_read(image, Attempt.NOT_MADE, REASON) for image in result.images)
    real = make_study("GH133", tmp_path / "real")
    reports = {
        "findings": build_cad_report(
            headers, replace(result, images=(replace(first, findings=first.findings[:3]), second))
        ),
        "mapped": build_cad_report(headers[:1], replace(result, images=(first,)), kind=ObjectKind.CAD_DENSITY),
        "none": build_cad_report(*study_case(real, "none")),
        "not attempted": build_cad_report([], replace(few, images=spots), by_uid(headers)),
        "partial": build_cad_report(*case(headers, few, "partial")),
        "failed": build_cad_report(*study_case(real, "failed")),
        "spoilt": build_cad_report(headers[:1], replace(few, images=few.images[:1])),
    }
    (group,) = items(reports["spoilt"], codes.SINGLE_IMAGE_FINDING)
    group.ConceptCodeSequence[0].CodeValue = "4147007"
    del group.ContentSequence[0]
    lines = pixelmed_errors(*(write(ds, tmp_path / f"{kind}.dcm") for kind, ds in reports.items()))
    assert [line for line in lines if not line.startswith("spoilt") and not about_the_private_score(line)] == []
    assert any("Rendering Intent" in line and "Missing" in line for line in lines)
    assert any("4147007" in line for line in lines)


class Ending(NamedTuple):
    """What the report of a study says of how its analysis ended."""

    summary: str
    detections: str
    on: list[str]
    not_on: list[str]


ENDINGS = {
    "findings": Ending("111242", "111222", on=["2.25.22", "2.25.21"], not_on=[]),
    "partial": Ending("111244", "111223", on=["2.25.21"], not_on=["2.25.22"]),
    "failed": Ending("111245", "111224", on=[], not_on=["2.25.22", "2.25.21"]),
}


@pytest.mark.parametrize("kind", ENDINGS)
def test_it_says_how_it_ended_and_why(kind: str, tmp_path: Path) -> None:
    summary, detections, on, not_on = ENDINGS[kind]
    sources, result, missing = case(*two_views(tmp_path), kind)
    ds = build_cad_report(sources, result, missing)
    assert value_of(below(ds, codes.CAD_SUMMARY)) == summary
    assert value_of(below(ds, codes.SUMMARY_OF_DETECTIONS)) == detections
    assert value_of(below(ds, codes.SUMMARY_OF_ANALYSES)) == codes.NOT_ATTEMPTED.value
    for name, uids in ((codes.SUCCESSFUL_DETECTIONS, on), (codes.FAILED_DETECTIONS, not_on)):
        performed = [child.ds for container in items(ds, name) for child in children(container)]
        assert [referenced(ds, detection) for detection in performed] == [uids] * len(performed)
        assert bool(performed) is bool(uids)
    words = value_of(below(below(ds, codes.CAD_SUMMARY), codes.IMPRESSION_DESCRIPTION))
    assert words.startswith("Research use only. Not a medical device, not for diagnosis.\r\n")
    assert words.count(REASON) == len(not_on)
    reasons = [value_of(item) for item in items(ds, codes.ALGORITHM_PARAMETERS) if REASON in value_of(item)]
    assert len(reasons) == sum(len(children(container)) for container in items(ds, codes.FAILED_DETECTIONS))


@pytest.mark.parametrize(("analysed", "summary"), [(2, "111241"), (1, "111243")])
def test_without_findings(analysed: int, summary: str, tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    images = [replace(image, outcome=Outcome.NO_FINDINGS, findings=()) for image in result.images]
    result = replace(result, images=(images[0], images[1] if analysed == 2 else failed(images[1])))
    ds = build_cad_report(headers[:analysed], result, by_uid(headers[analysed:]))
    assert value_of(below(ds, codes.CAD_SUMMARY)) == summary
    assert not items(ds, codes.INDIVIDUAL_IMPRESSION)


def test_an_image_without_a_readable_header_is_told_of_in_words(tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    ds = build_cad_report(*case(headers[:1], replace(result, images=result.images[:1]), "partial"))
    assert value_of(below(ds, codes.CAD_SUMMARY)) == codes.NOT_ALL_SUCCEEDED_WITH_FINDINGS.value
    words = value_of(below(below(ds, codes.CAD_SUMMARY), codes.IMPRESSION_DESCRIPTION))
    assert "1 of 2 mammograms analysed.\r\nOne image failed: The file can't be read." in words


def test_it_reads_back_as_the_findings(study: Study, tmp_path: Path) -> None:
    result = study.result(findings=True)
    ds = dcmread(write(build_cad_report(study.headers, result), tmp_path / "cad.dcm"))
    found = {finding.tracking_uid: finding for finding in read_cad_findings(ds)}
    assert len(found) == sum(len(image.findings) for image in result.images)
    names = [value_of(item) for item in items(ds, codes.TRACKING_IDENTIFIER)]
    numbers = count(1)
    for image in result.hung:
        for n, finding in enumerate(image.findings, start=1):
            told = found[tracking_uid(image.sop_instance_uid, mg.MODEL, n)]
            place = [word for word in (image.laterality, image.view) if word]
            assert " ".join([*place, "lesion", str(next(numbers))]) in names
            assert told.source_uid == image.sop_instance_uid
            assert told.box == finding.box
            assert told.cancer_score == pytest.approx(finding.cancer_score, abs=6e-5)
            assert told.lesion_score == pytest.approx(finding.lesion_score, abs=6e-5)


def test_outline_and_centre_are_the_masks(tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    ds = dcmread(write(build_cad_report(headers, result), tmp_path / "cad.dcm"))
    lesions = result.images[0].findings
    for group, finding in zip(items(ds, codes.SINGLE_IMAGE_FINDING), lesions, strict=True):
        points, centre = outline(finding.mask)
        told = below(group, codes.OUTLINE)
        assert told.GraphicType == "POLYLINE"
        assert points_of(told).tolist() == [*points.tolist(), points[0].tolist()]
        x, y = points_of(told).T
        assert (x[:-1] @ y[1:] - x[1:] @ y[:-1]) / 2 == finding.mask.area_px
        assert below(group, codes.CENTER).GraphicType == "POINT"
        assert points_of(below(group, codes.CENTER))[0] == pytest.approx(centre, abs=1e-4)


def test_a_ragged_outline_is_thinned(tmp_path: Path) -> None:
    """Graphic Data has a 16-bit length in Explicit VR: an outline of any mask must fit."""
    headers, result = two_views(tmp_path)
    ragged = np.ones((150, 200), dtype=bool)
    ragged[:140, ::2] = False
    lesion = replace(mg.finding(), mask=LesionMask(ragged, 20, 30))
    result = replace(result, images=(replace(result.images[0], findings=(lesion,)), result.images[1]))
    path = write(build_cad_report(headers, result), tmp_path / "cad.dcm")
    check_object(path, Expected(ObjectKind.CAD, result, by_uid(headers), {}))
    (told,) = items(dcmread(path), codes.OUTLINE)
    assert len(points_of(told)) == MOST_POINTS + 1


def test_patient_and_study_are_those_of_the_measurement_report(study: Study) -> None:
    result = study.result(findings=False)
    cad = build_cad_report(study.headers, result, clock=noon)
    report = build_report(study.headers, result, {}, clock=noon)
    for keyword in PATIENT_AND_STUDY:
        assert cad.get(keyword) == report.get(keyword)
    for keyword in ("ContentDate", "ContentTime", "SoftwareVersions", "DeviceSerialNumber", "ManufacturerModelName"):
        assert cad.get(keyword) == report.get(keyword)
    assert (int(cad.SeriesNumber) % 10_000, int(report.SeriesNumber) % 10_000) == (899, 900)
    assert len({cad.SOPInstanceUID, cad.SeriesInstanceUID, report.SOPInstanceUID, report.SeriesInstanceUID}) == 4


@pytest.mark.parametrize("kind", OUTCOMES)
def test_two_builds_are_byte_identical(study: Study, kind: str) -> None:
    """In whatever order the results and the images without results came."""
    sources, result, missing = study_case(study, kind)
    turned = replace(result, images=result.images[::-1])
    builds = []
    for ds in (
        build_cad_report(sources, result, missing, clock=noon),
        build_cad_report(sources, turned, dict(reversed(missing.items())), clock=noon),
    ):
        file = BytesIO()
        ds.save_as(file, enforce_file_format=True)
        builds.append(file.getvalue())
    assert builds[0] == builds[1]


def test_another_outcome_is_another_object(tmp_path: Path) -> None:
    """An image that failed may succeed the next time: no report may come under the other's UID."""
    headers, result = two_views(tmp_path)
    reports = [build_cad_report(*case(headers, result, kind)) for kind in ("findings", "partial", "failed")]
    sources, partial, missing = case(headers, result, "partial")
    other = replace(partial, images=(partial.images[0], failed(partial.images[1], "Out of memory.")))
    reports += [build_cad_report(sources, other, missing), build_cad_report(sources, other)]
    assert len({report.SOPInstanceUID for report in reports}) == 5
    assert len({report.SeriesInstanceUID for report in reports}) == 5


def test_no_image_and_another_study_are_refused(tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    with pytest.raises(ValueError, match="at least one image"):
        build_cad_report([], result)
    with pytest.raises(ValueError, match=r"not in study 2\.25\.99"):
        build_cad_report(headers, replace(result, study_uid="2.25.99"))
    with pytest.raises(KeyError):
        build_cad_report(headers, replace(result, images=result.images[:1]))


@pytest.mark.parametrize("changes", AWKWARD.values(), ids=AWKWARD.keys())
@pytest.mark.parametrize("kind", ["findings", "failed"])
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_awkward_headers_give_valid_reports(
    changes: dict[str, object], kind: str, tmp_path: Path, run_tool: Run
) -> None:
    header = read_source(mg.write(header_with(**changes), tmp_path))
    result = mg.study_result([mg.image_result(header, [mg.finding()])])
    path = write(build_cad_report(*case([header], result, kind)), tmp_path / "cad.dcm")
    status, lines = run_tool("dciodvfy", "-new", path)
    assert not errors(lines)
    assert status == 0
    assert run_tool("dsrdump", path)[0] == 0


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_names_and_reasons_in_any_script_survive(tmp_path: Path) -> None:
    header = header_with(SpecificCharacterSet="ISO_IR 100", PatientName="Grün^Zoë")
    source = read_source(mg.write(header, tmp_path))
    result = mg.study_result([failed(mg.image_result(source), "Objekt der Modalität „МГ“")])
    ds = dcmread(write(build_cad_report([], result, by_uid([source])), tmp_path / "cad.dcm"))
    assert ds.PatientName == "Grün^Zoë"
    assert any("„МГ“" in value_of(item) for item in items(ds, codes.ALGORITHM_PARAMETERS))
