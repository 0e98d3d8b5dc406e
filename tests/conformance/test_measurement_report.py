"""The measurement report of every outcome, before the validators, other readers and our own checks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from highdicom.sr import ValueTypeValues, srread
from highdicom.sr.utils import find_content_items
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from support import mg
from support.headers import AWKWARD, broken
from support.outcomes import KINDS, REASON, Headers, below, by_uid, case, failed, study_case, two_views, write
from support.peers import pixelmed_errors
from support.realdata import real_data
from support.spoilers import Checked, faults_of, other_patient, verified
from support.studies import NAMES, Study, make_study
from support.validators import about_a_source_alone, errors

from ftmtl.findings import ImageResult, LesionMask, Outcome, StudyResult
from ftmtl.mammogram.spacing import read_spacing
from ftmtl.predictor import _area_mm2, _long_axis_mm
from node.domain import Predecessor
from node.errors import ResultRejected
from node.results.build import build_results
from node.results.cad.build import build_cad_report
from node.results.common import codes
from node.results.common.content import children, name_of, value_of, walk
from node.results.common.naming import device_uid, tracking_uid
from node.results.common.source import read_source
from node.results.conformance import check_object
from node.results.pr.build import build_presentation
from node.results.readback import read_findings
from node.results.sc.build import build_capture
from node.results.seg.build import build_segmentation
from node.results.sr.measurement_report import build_report
from node.results.study import Expected

Run = Callable[..., tuple[int, list[str]]]

COMPREHENSIVE_3D, COMPREHENSIVE = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.33"
FORMS = pytest.mark.parametrize("comprehensive", [False, True], ids=["3d", "comprehensive"])
OLDER = Predecessor("2.25.10", "2.25.900", COMPREHENSIVE_3D, "2.25.901")


def masks(headers: Sequence[Dataset], result: StudyResult) -> dict[str, Dataset]:
    """Return the segmentation of each image with findings."""
    known = by_uid(list(headers))
    return {
        image.sop_instance_uid: build_segmentation(known[image.sop_instance_uid], image, result.model, 901 + n)
        for n, image in enumerate(result.images)
        if image.findings
    }


def report(sources: list[Dataset], result: StudyResult, missing: Headers, **options: object) -> Dataset:
    return build_report(sources, result, masks(sources, result), missing, **options)


class Built(NamedTuple):
    """A study's report as it was written, and what it was built from."""

    path: Path
    study: Study
    sources: list[Dataset]
    result: StudyResult
    missing: Headers
    segmentations: dict[str, Dataset]


Build = Callable[..., Built]
CASES = [(name, kind) for name in NAMES for kind in KINDS]
OF_EACH = pytest.mark.parametrize(("name", "kind"), CASES, ids=[" ".join(words) for words in CASES])


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Write a study's report, once; checked as anything that is sent."""
    folder = tmp_path_factory.mktemp("reports")

    @cache
    def build(name: str, kind: str, comprehensive: bool = False) -> Built:
        study = make_study(name, folder / name)
        sources, result, missing = study_case(study, kind)
        segmentations = masks(sources, result)
        ds = build_report(sources, result, segmentations, missing, comprehensive=comprehensive)
        path = write(ds, folder / f"{name} {kind} {comprehensive}.dcm")
        check_object(path, Expected(result, by_uid(sources), segmentations, missing))
        return Built(path, study, sources, result, missing, segmentations)

    return build


def evaluations(ds: Dataset) -> Dataset:
    return below(ds, codes.QUALITATIVE_EVALUATIONS)


def comments(parent: Dataset) -> list[str]:
    return [value_of(item.ds) for item in children(parent) if item.name == codes.COMMENT.value]


def groups(ds: Dataset) -> list[Dataset]:
    (measurements,) = (item.ds for item in children(ds) if item.name == "126010")
    return list(measurements.ContentSequence)


@FORMS
@OF_EACH
def test_validators_and_readers_accept_it(
    name: str, kind: str, comprehensive: bool, build: Build, run_tool: Run
) -> None:
    path, study, _, result, *_ = build(name, kind, comprehensive)
    status, lines = run_tool("dciodvfy", "-new", path)
    assert not errors(lines)
    assert status == 0
    assert ("ComprehensiveSR" if comprehensive else "Comprehensive3DSR") in lines
    status, lines = run_tool("dsrdump", "+Pl", path)
    assert status == 0
    text = "\n".join(lines)
    assert "Research use only" in text
    assert ("POLYLINE" in text) is (kind in ("findings", "partial"))
    lesions = 2 * sum(len(image.findings) for image in result.images)
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
        if evaluation["conceptCode"]["CodeValue"] == codes.CAD_SUMMARY.value
    }
    lesions = [(image, n, f) for image in result.images for n, f in enumerate(image.findings, start=1)]
    assert len(told) == (2 * len(lesions) or len(study.headers))
    for image, n, finding in lesions:
        uid = tracking_uid(image.sop_instance_uid, mg.MODEL, n)
        assert numbers[uid, "Probability of cancer"] == pytest.approx(100 * finding.cancer_probability, abs=0.006)
        assert numbers.get((uid, "Area")) == (None if study.spacing is None else round(finding.area_mm2, 2))
    assert outcomes == {"none": {"111241"}, "failed": {"111245"}}.get(kind, set())


def test_pixelmed_accepts_every_outcome_and_rejects_spoilt_reports(build: Build, tmp_path: Path) -> None:
    """The only validator that knows TID 1500. Two of its errors are why the report is built as it is."""
    chosen = {"synthetic": KINDS[2:3], "GH133": KINDS[:2], "CBIS pair": KINDS[2:]}
    paths = [build(name, kind).path for name in NAMES for kind in chosen[name]]
    headers, result = two_views(tmp_path / "source")
    result = replace(
        result, images=(replace(result.images[0], findings=result.images[0].findings[:1]), failed(result.images[1]))
    )
    options = {"comprehensive": True, "predecessor": OLDER}
    paths.append(write(report(headers[:1], result, by_uid(headers[1:]), **options), tmp_path / "comprehensive.dcm"))
    spoilt = report(headers[:1], result, by_uid(headers[1:]))
    (procedure,) = (item.ds for item in children(spoilt) if item.name == "121058")
    procedure.ConceptCodeSequence[0].CodeValue = codes.MAMMOGRAPHY.value
    images = report([], replace(result, images=tuple(map(failed, result.images))), by_uid(headers))
    measurements = spoilt.ContentSequence[-2]
    measurements.ContentSequence = Items([*groups(spoilt), *groups(images)])
    lines = pixelmed_errors(*paths, write(spoilt, tmp_path / "spoilt.dcm"))
    found = [line for line in lines if ": Error" in line]
    assert [line for line in found if not line.startswith("spoilt")] == []
    assert any(f"{codes.MAMMOGRAPHY.value},SCT" in line and "context group 100" in line for line in found)
    assert any("Template 1410" in line and "Missing conditional content item" in line for line in found)


@OF_EACH
def test_dcentvfy_accepts_it_beside_sources_and_masks(
    name: str, kind: str, build: Build, tmp_path: Path, run_tool: Run
) -> None:
    """A report that replaces another refers to what is there, too."""
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


@pytest.mark.parametrize(
    ("kind", "summary", "words", "told"),
    [
        ("findings", "111242", "2 of 2 images analysed; findings: 5.", ["R CC: no findings"]),
        ("none", "111241", "2 of 2 images analysed; findings: 0.", ["L CC: no findings", "R CC: no findings"]),
        ("partial", "111244", "1 of 2 images analysed; findings: 5.", [f"R CC not processed: {REASON}"]),
        (
            "failed",
            "111245",
            "0 of 2 images analysed; findings: 0.",
            [f"L CC not processed: {REASON}", f"R CC not processed: {REASON}"],
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
    assert uids == (["2.25.21", "2.25.22"] if len(told) == 2 else ["2.25.22"])
    evidence = ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert {i.ReferencedSOPInstanceUID for series in evidence for i in series.ReferencedSOPSequence} >= by_uid(
        headers
    ).keys()
    assert ds.CompletionFlag == "COMPLETE"
    assert ds.VerificationFlag == "UNVERIFIED"


def test_a_failure_is_not_a_refusal(tmp_path: Path) -> None:
    """It is told apart, in the image's group and in the document."""
    headers, result = two_views(tmp_path)
    crash = replace(result.images[0], outcome=Outcome.FAILED, reason="Out of memory.", findings=())
    ds = report(headers[1:], replace(result, images=(crash, result.images[1])), by_uid(headers[:1]))
    assert comments(evaluations(ds)) == ["L CC failed: Out of memory.", "R CC: no findings"]
    analysed, lost = groups(ds)
    assert value_of(below(analysed, codes.CAD_SUMMARY)) == "111241"
    assert value_of(below(lost, codes.CAD_SUMMARY)) == "111245"
    assert [comments(analysed), comments(lost)] == [[], ["L CC failed: Out of memory."]]
    assert "363698007" not in {name_of(item.ds) for item in children(lost)}, "a finding site without a finding"
    assert value_of(below(evaluations(ds), codes.CAD_SUMMARY)) == "111243"


def test_an_image_without_a_readable_header_is_told_of_in_words(tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    ds = report(*case(headers[:1], replace(result, images=result.images[:1]), "partial"))
    (about,) = (item.ds for item in children(evaluations(ds)) if item.name == codes.COMMENT.value)
    assert value_of(about) == "One image failed: The file can't be read."
    assert "ContentSequence" not in about


@OF_EACH
def test_two_builds_are_byte_identical(name: str, kind: str, build: Build) -> None:
    """In whatever order the results and the images without results came."""
    path, _, sources, result, missing, segmentations = build(name, kind)
    turned = replace(result, images=result.images[::-1])
    segs, others = dict(reversed(segmentations.items())), dict(reversed(missing.items()))
    file = BytesIO()
    build_report(sources, turned, segs, others).save_as(file, enforce_file_format=True)
    assert file.getvalue() == path.read_bytes()


def test_another_outcome_model_form_or_predecessor_is_another_object(tmp_path: Path) -> None:
    """Whatever a report says otherwise, it says under its own UIDs: a PACS may keep the first of two."""
    headers, result = two_views(tmp_path)
    sources, partial, missing = case(headers, result, "partial")
    other = replace(partial, images=(partial.images[0], failed(partial.images[1], "Out of memory.")))
    built = [report(*case(headers, result, kind)) for kind in ("findings", "partial", "failed")]
    built += [report(sources, other, missing), report(sources, other, {})]
    built.append(report(headers, result, {}, comprehensive=True))
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
    check_object(path, Expected(result, by_uid(headers), masks(headers, result), {}, OLDER))
    (study,) = dcmread(path).PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == ("2.25.10", "2.25.900")
    assert (instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID) == (COMPREHENSIVE_3D, "2.25.901")
    with pytest.raises(ResultRejected, match=r"replaces 2\.25\.901"):
        check_object(path, Expected(result, by_uid(headers), masks(headers, result)))
    with pytest.raises(ValueError, match=r"predecessor 2\.25\.901 is not of study"):
        report(headers, result, {}, predecessor=replace(OLDER, study_uid="2.25.99"))


def test_no_image_and_another_study_are_refused(tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    with pytest.raises(ValueError, match="at least one image"):
        build_report([], result, {})
    with pytest.raises(ValueError, match=r"not of study 2\.25\.99"):
        build_report([], replace(result, study_uid="2.25.99"), {}, by_uid(headers))
    with pytest.raises(KeyError):
        build_report([], replace(result, images=result.images[:1]), {}, by_uid(headers))


@FORMS
@pytest.mark.parametrize("name", NAMES)
def test_findings_read_back(name: str, comprehensive: bool, build: Build) -> None:
    path, _, _, result, *_ = build(name, "findings", comprehensive)
    assert dcmread(path).SOPClassUID == (COMPREHENSIVE if comprehensive else COMPREHENSIVE_3D)
    told = {finding.tracking_uid: finding for finding in read_findings([path])}
    due = [(image, n, f) for image in result.images for n, f in enumerate(image.findings, start=1)]
    assert len(told) == len(due)
    for image, n, finding in due:
        read = told[tracking_uid(image.sop_instance_uid, mg.MODEL, n)]
        assert (read.source_uid, read.box) == (image.sop_instance_uid, finding.box)


def every_object(headers: list[Dataset], result: StudyResult) -> dict[str, Dataset]:
    """Return one result object of each kind."""
    source, image = headers[0], result.images[0]
    pixels = {str(header.SOPInstanceUID): np.zeros((header.Rows, header.Columns), np.float32) for header in headers}
    return {
        "sr": report(headers, result, {}),
        "sr-comprehensive": report(headers, result, {}, comprehensive=True),
        "cad": build_cad_report(headers, result),
        "seg": build_segmentation(source, image, result.model),
        "pr": build_presentation(source, image, result.model, 921),
        "sc": build_capture(headers, result, pixels),
    }


@pytest.mark.parametrize("sha256", ["ab12" * 16, "cd34" * 16])
def test_every_object_names_the_model_as_its_equipment(sha256: str, tmp_path: Path) -> None:
    """IHE AIR: one processing equipment, whose Device UID is the observer's and changes with the weights."""
    headers, result = two_views(tmp_path)
    result = replace(result, model=replace(mg.MODEL, weights_sha256=sha256))
    uid = device_uid(result.model)
    assert (uid == device_uid(mg.MODEL)) is (sha256 == mg.MODEL.weights_sha256)
    check = result, by_uid(headers), masks(headers, result)
    for kind, ds in every_object(headers, result).items():
        path = write(ds, tmp_path / kind)
        check_object(path, Expected(*check))
        (made_by,) = dcmread(path).ContributingEquipmentSequence
        purpose = made_by.PurposeOfReferenceCodeSequence[0]
        assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109102", "DCM")
        assert (made_by.Manufacturer, made_by.ManufacturerModelName) == ("ftmtl-node", "FT-MTL-Net")
        assert (made_by.SoftwareVersions[1], made_by.DeviceSerialNumber) == ("1.2.0", sha256[:16])
        assert made_by.DeviceUID == uid
        assert ds.ContentQualification == "RESEARCH"
        observers = [value_of(item.ds) for item in walk(ds) if item.name == "121012"]
        assert observers == [uid] * kind.startswith("sr")
        for spoil in SPOILT_EQUIPMENT:
            spoilt = dcmread(path)
            spoil(spoilt)
            with pytest.raises(ResultRejected, match=r"equipment|DeviceUID"):
                check_object(write(spoilt, tmp_path / "spoilt"), Expected(*check))


def other_device(ds: Dataset) -> None:
    ds.ContributingEquipmentSequence[0].DeviceUID = "2.25.404"


def other_version(ds: Dataset) -> None:
    ds.ContributingEquipmentSequence[0].SoftwareVersions = ["0.1.0", "1.3.0"]


def other_manufacturer(ds: Dataset) -> None:
    ds.Manufacturer = "Somebody"


def more_equipment(ds: Dataset) -> None:
    ds.ContributingEquipmentSequence.append(ds.ContributingEquipmentSequence[0])


SPOILT_EQUIPMENT = (other_device, other_version, other_manufacturer, more_equipment)


def test_sizes_on_an_image_with_two_spacings(tmp_path: Path) -> None:
    """The file has 0.25 mm calibrated, 0.5 mm at the detector and a magnification of 1.5, by its own header."""
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
        told, source = read_spacing(ds)
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
        check_object(path, Expected(result, by_uid([header]), masks([header], result)))
        _, mask_group = groups(dcmread(path))
        assert value_of(below(mask_group, codes.AREA)) == pytest.approx(69 * spacing**2, abs=0.006)
        assert value_of(below(mask_group, codes.LONG_AXIS)) == pytest.approx(50 * spacing, abs=0.006)
        notes = [value_of(i.ds) for i in children(mask_group) if i.name == codes.ALGORITHM_PARAMETERS.value]
        assert notes[1] == f"pixel spacing {spacing:.5g} x {spacing:.5g} mm (row x column), {meaning}"


@pytest.mark.parametrize("changes", AWKWARD.values(), ids=AWKWARD.keys())
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_awkward_headers_that_were_not_analysed(changes: dict[str, object], tmp_path: Path, run_tool: Run) -> None:
    header = read_source(mg.write(broken(**changes), tmp_path))
    result = mg.study_result([failed(mg.image_result(header))])
    path = write(report([], result, by_uid([header])), tmp_path / "sr.dcm")
    check_object(path, Expected(result, {}, {}, by_uid([header])))
    status, lines = run_tool("dciodvfy", "-new", path)
    assert not errors(lines)
    assert status == 0
    assert run_tool("dsrdump", path)[0] == 0


def test_names_and_reasons_in_any_script_survive(tmp_path: Path) -> None:
    header = broken(SpecificCharacterSet="ISO_IR 100", PatientName="Grün^Zoë")
    source = read_source(mg.write(header, tmp_path))
    result = mg.study_result([failed(mg.image_result(source), "Objekt der Modalität „МГ“")])
    ds = dcmread(write(report([], result, by_uid([source])), tmp_path / "sr.dcm"))
    assert ds.PatientName == "Grün^Zoë"
    assert comments(evaluations(ds)) == ["L CC not processed: Objekt der Modalität „МГ“"]


def test_an_image_of_a_class_that_highdicom_does_not_know(tmp_path: Path) -> None:
    """Nothing else may fail over what was refused: here a retired ultrasound class, under its own name."""
    header = read_source(mg.write(broken(SOPClassUID="1.2.840.10008.5.1.4.1.1.6"), tmp_path))
    result = mg.study_result([failed(mg.image_result(header))])
    path = write(report([], result, by_uid([header])), tmp_path / "sr.dcm")
    check_object(path, Expected(result, {}, {}, by_uid([header])))
    found = find_content_items(srread(path), value_type=ValueTypeValues.IMAGE, recursive=True)
    assert [i.ReferencedSOPSequence[0].ReferencedSOPClassUID for i in found] == [header.SOPClassUID] * 2


def test_results_of_a_study_in_which_nothing_was_analysed(tmp_path: Path) -> None:
    """A report and nothing else; of an image without a readable header it tells in words; without any there is none."""
    path = mg.write(mg.mg_header(), tmp_path)
    image = failed(mg.image_result(read_source(path)))
    unread = ImageResult("2.25.404", None, None, Outcome.FAILED, "The file can't be read.")
    (tmp_path / "unread.dcm").write_bytes(b"nonsense")
    paths = [tmp_path / "unread.dcm", path]
    (made,) = build_results(mg.study_result([unread, image]), paths, tmp_path / "out")
    assert (made.kind, made.sop_class_uid) == ("sr", COMPREHENSIVE_3D)
    ds = dcmread(made.path)
    assert comments(evaluations(ds)) == [f"L CC not processed: {REASON}", "One image failed: The file can't be read."]
    assert not ds.PerformedProcedureCodeSequence, "nobody knows whether it was mammography"
    assert build_results(mg.study_result([unread]), paths[:1], tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


# --- spoilt reports ----------------------------------------------------------------------------------------


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
    another_report: "is no Imaging Measurement Report by TID 1500",
    other_outcome: "CAD Processing and Findings Summary is ['111241'], not '111244'",
    lost_evaluations: "CAD Processing and Findings Summary is []",
    without_notice: "Impression Description is",
    untold_reason: f"it is not told of an image: R CC not processed: {REASON}",
    other_reason: "it is told of an image what did not happen: R CC not processed: no idea",
    reason_of_another: f"it is not told of an image: R CC not processed: {REASON}",
    missing_evidence: "2.25.22 is no evidence",
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
    untold_spacing: "it is not told which pixel spacing its sizes rest on",
    doubled_group: "tracking UIDs of the groups are not the findings'",
    verified: "VerificationFlag is not UNVERIFIED",
    other_patient: "PatientID is not the source's",
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
    group_of_another: "group of 2.25.21: it is not that of its image",
    group_without_reason: "group of 2.25.21: Comment is []",
    invented_success: "group of 2.25.21: CAD Processing and Findings Summary is ['111241']",
    invented_probability: "group of 2.25.21: Probability of cancer is [0.0]",
    lost_group: "tracking UIDs of the groups are not the findings'",
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
    """A report that hides an image that was not analysed, and one that tells of a failure that never was."""
    headers, result = two_views(tmp_path)
    sources, partial, missing = case(headers, result, "partial")
    hiding = write(report(headers, result, {}), tmp_path / "hiding.dcm")
    with pytest.raises(ResultRejected, match="it is not told of an image: R CC not processed"):
        check_object(hiding, Expected(partial, by_uid(sources), masks(sources, partial), missing))
    inventing = write(report(sources, partial, missing), tmp_path / "inventing.dcm")
    with pytest.raises(ResultRejected, match="it is told of an image what did not happen: R CC not processed"):
        check_object(inventing, Expected(result, by_uid(headers), masks(headers, result)))
