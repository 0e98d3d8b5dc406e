"""The measurement report of every outcome, before the validators and other readers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from highdicom.sr import srread
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from support import mg
from support.clocks import noon
from support.measurement_reports import COMPREHENSIVE, COMPREHENSIVE_3D, OLDER, groups, masks, report
from support.objects import below, enclosed, write
from support.outcomes import OUTCOMES, failed, study_case, two_views
from support.peers import pixelmed_errors
from support.studies import NAMES, Headers, Study, by_uid, make_study
from support.validators import Run, about_a_source_alone, errors

from ftmtl.findings import StudyResult
from node.domain import Predecessor
from node.kinds import ObjectKind as Kind
from node.results.common import codes
from node.results.common.content import children
from node.results.common.naming import tracking_uid
from node.results.conformance import check_object
from node.results.readback import read_findings
from node.results.sr.measurement_report import build_report
from node.results.study import Expected

FORMS = pytest.mark.parametrize("form", [Kind.SR, Kind.SR_COMPREHENSIVE])


class Built(NamedTuple):
    """A study's report as it was written, and what it was built from."""

    path: Path
    study: Study
    sources: list[Dataset]
    result: StudyResult
    missing: Headers
    segmentations: dict[str, Dataset]


Build = Callable[..., Built]

CASES = [(name, kind) for name in NAMES for kind in OUTCOMES]

OF_EACH = pytest.mark.parametrize(("name", "kind"), CASES, ids=[" ".join(words) for words in CASES])


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Write a study's report, once, and check it as everything is checked before it is sent."""
    folder = tmp_path_factory.mktemp("reports")

    @cache
    def build(name: str, kind: str, form: Kind = Kind.SR) -> Built:
        study = make_study(name, folder / name)
        sources, result, missing = study_case(study, kind)
        segmentations = masks(sources, result)
        ds = build_report(sources, result, segmentations, missing, kind=form, clock=noon)
        path = write(ds, folder / f"{name} {kind} {form}.dcm")
        check_object(path, Expected(form, result, by_uid(sources), segmentations, missing))
        return Built(path, study, sources, result, missing, segmentations)

    return build


@FORMS
@OF_EACH
def test_validators_and_readers_accept_it(name: str, kind: str, form: Kind, build: Build, run_tool: Run) -> None:
    path, study, _, result, *_ = build(name, kind, form)
    status, lines = run_tool("dciodvfy", "-new", path)
    assert not errors(lines)
    assert status == 0
    assert ("ComprehensiveSR" if form is Kind.SR_COMPREHENSIVE else "Comprehensive3DSR") in lines
    status, lines = run_tool("dsrdump", "+Pl", path)
    assert status == 0
    text = "\n".join(lines)
    assert "Research use only" in text
    assert ("POLYLINE" in text) is (kind in ("findings", "partial"))
    lesions = sum(len(image.findings) for image in result.images)
    content = srread(path).content
    assert len(content.get_planar_roi_measurement_groups()) == lesions
    assert len(content.get_image_measurement_groups()) == (0 if lesions else len(study.headers))


@OF_EACH
def test_dcmqi_reads_what_happened(name: str, kind: str, build: Build, tmp_path: Path, run_tool: Run) -> None:
    """An independent reader finds every group, with the finding's numbers and the image's outcome."""
    path, study, _, result, *_ = build(name, kind)
    status, lines = run_tool("tid1500reader", "--inputDICOM", path, "--outputMetadata", tmp_path / "read.json")
    assert status == 0
    assert not [line for line in lines if line.startswith(("E:", "ERROR", "F:"))]
    told = json.loads((tmp_path / "read.json").read_text())["Measurements"]
    numbers = {
        (group["TrackingUniqueIdentifier"], item["quantity"]["CodeMeaning"]): float(item["value"])
        for group in told
        for item in group.get("measurementItems", [])
    }
    outcomes = {
        evaluation["conceptValue"]["CodeValue"]
        for group in told
        for evaluation in group.get("qualitativeEvaluations", [])
        if evaluation["conceptCode"]["CodeValue"] == codes.SUMMARY_OF_DETECTIONS.value
    }
    lesions = [(image, n, f) for image in result.images for n, f in enumerate(image.findings, start=1)]
    assert len(told) == (len(lesions) or len(study.headers))
    for image, n, finding in lesions:
        uid = tracking_uid(image.sop_instance_uid, mg.MODEL, n)
        assert numbers[uid, "Cancer score, uncalibrated"] == pytest.approx(100 * finding.cancer_score, abs=0.006)
        assert numbers.get((uid, "Area")) == (None if study.spacing is None else round(finding.area_mm2, 2))
    assert outcomes == {"none": {"111222"}, "failed": {"111224"}}.get(kind, set())


def test_pixelmed_accepts_every_outcome_and_rejects_spoilt_reports(build: Build, tmp_path: Path) -> None:
    """The only validator that knows TID 1500. One of its errors is why the scores stand among derived measurements."""
    chosen = {"synthetic": OUTCOMES[2:3], "GH133": OUTCOMES[:2], "CBIS pair": OUTCOMES[2:]}
    paths = [build(name, kind).path for name in NAMES for kind in chosen[name]]
    headers, result = two_views(tmp_path / "source")
    result = replace(
        result, images=(replace(result.images[0], findings=result.images[0].findings[:1]), failed(result.images[1]))
    )
    options = {"kind": Kind.SR_COMPREHENSIVE, "predecessor": OLDER}
    paths.append(write(report(headers[:1], result, by_uid(headers[1:]), **options), tmp_path / "comprehensive.dcm"))
    spoilt = report(headers[:1], result, by_uid(headers[1:]))
    (procedure,) = (item.ds for item in children(spoilt) if item.name == codes.PROCEDURE_REPORTED.value)
    procedure.ConceptCodeSequence[0].CodeValue = "24623002"
    moved = groups(spoilt, codes.DERIVED_MEASUREMENTS)
    below(spoilt, codes.IMAGING_MEASUREMENTS).ContentSequence = Items([*groups(spoilt), *moved])
    lines = pixelmed_errors(*paths, write(spoilt, tmp_path / "spoilt.dcm"))
    found = [line for line in lines if ": Error" in line]
    assert [line for line in found if not line.startswith("spoilt")] == []
    assert any("24623002,SCT" in line and "context group 100" in line for line in found)
    assert any("Template 1410" in line and "Missing conditional content item" in line for line in found)


@OF_EACH
def test_dcentvfy_accepts_it_beside_sources_and_masks(
    name: str, kind: str, build: Build, tmp_path: Path, run_tool: Run
) -> None:
    """So it does a report that replaces another."""
    path, study, sources, result, missing, segmentations = build(name, kind)
    newer = replace(result, model=replace(mg.MODEL, version="2.0.0"))
    others = masks(sources, newer)
    ds = build_report(sources, newer, others, missing, predecessor=predecessor_of(dcmread(path)))
    paths = [path, write(ds, tmp_path / "newer.dcm")]
    for seg in (*segmentations.values(), *others.values()):
        paths.append(write(seg, tmp_path / f"{seg.SOPInstanceUID}.dcm"))
    _, lines = run_tool("dcentvfy", *study.paths, *paths)
    assert not [line for line in errors(lines) if not about_a_source_alone(line, study.paths)]


def predecessor_of(ds: Dataset) -> Predecessor:
    return Predecessor(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPClassUID, ds.SOPInstanceUID)


@OF_EACH
def test_two_builds_are_byte_identical(name: str, kind: str, build: Build) -> None:
    """In whatever order the results and the images without results came."""
    path, _, sources, result, missing, segmentations = build(name, kind)
    turned = replace(result, images=result.images[::-1])
    segs, others = dict(reversed(segmentations.items())), dict(reversed(missing.items()))
    file = BytesIO()
    build_report(sources, turned, segs, others, clock=noon).save_as(file, enforce_file_format=True)
    assert file.getvalue() == path.read_bytes()


@FORMS
@pytest.mark.parametrize("name", NAMES)
def test_findings_read_back(name: str, form: Kind, build: Build) -> None:
    path, _, _, result, *_ = build(name, "findings", form)
    assert dcmread(path).SOPClassUID == (COMPREHENSIVE if form is Kind.SR_COMPREHENSIVE else COMPREHENSIVE_3D)
    told = {finding.tracking_uid: finding for finding in read_findings([path])}
    due = [(image, n, f) for image in result.images for n, f in enumerate(image.findings, start=1)]
    assert len(told) == len(due)
    for image, n, finding in due:
        read = told[tracking_uid(image.sop_instance_uid, mg.MODEL, n)]
        assert (read.source_uid, read.box) == (image.sop_instance_uid, finding.box)
        assert [read.lesion_score, read.cancer_score] == [
            pytest.approx(value, abs=6e-5) for value in (finding.lesion_score, finding.cancer_score)
        ]
        inside = enclosed(read.outline, *finding.mask.pixels.shape, finding.mask)
        assert np.array_equal(inside, finding.mask.pixels)
