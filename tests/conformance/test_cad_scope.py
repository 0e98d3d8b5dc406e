"""What a CAD report speaks of: mammograms that were to be read, as they were taken, and what was looked for on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from support import mg
from support.headers import AWKWARD, header_with
from support.objects import below, items, write
from support.outcomes import REASON, TOMOSYNTHESIS, failed, measured, not_read, two_views
from support.studies import by_uid

from ftmtl.findings import Attempt, FindingType, ImageResult, Outcome, StudyResult
from node.domain import Predecessor
from node.kinds import ObjectKind
from node.results.cad.build import build_cad_report
from node.results.cad.check import faults
from node.results.common import codes
from node.results.common.content import children, item_at, name_of, value_of
from node.results.common.source import read_source
from node.results.conformance import check_object
from node.results.study import Expected

RAW = "This is a For Processing image; there is one For Presentation."
DENSITY, CLUSTER, DISTORTION = "129793001", "129769006", "129792006"


def library(ds: Dataset) -> list[str]:
    """Return the images of the Image Library."""
    images = children(below(ds, codes.IMAGE_LIBRARY))
    return [str(image.ds.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for image in images]


def evidence(ds: Dataset) -> list[str]:
    """Return the images that are evidence."""
    (study,) = ds.CurrentRequestedProcedureEvidenceSequence
    return [
        str(i.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for i in series.ReferencedSOPSequence
    ]


def detected(ds: Dataset, name: codes.Code) -> set[tuple[str, str]]:
    """Return what was looked for on which images, with or without success."""
    performed = [child.ds for item in items(ds, name) for child in children(item)]
    return {
        (
            value_of(one),
            str(item_at(ds, i.ds.ReferencedContentItemIdentifier).ReferencedSOPSequence[0].ReferencedSOPInstanceUID),
        )
        for one in performed
        for i in children(one)
        if not i.type
    }


def words(ds: Dataset) -> list[str]:
    """Return the lines of the impression."""
    return str(value_of(below(below(ds, codes.CAD_SUMMARY), codes.IMPRESSION_DESCRIPTION))).split("\r\n")


def mixed(folder: Path) -> tuple[list[Dataset], StudyResult]:
    """Return R CC without findings, L CC that failed, two spot views, their two raw twins, and a volume."""
    folder.mkdir(exist_ok=True)
    places = [("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"), ("R", "ML"), ("L", "ML")]
    headers = [
        read_source(mg.write(mg.mg_header(*place, uid=f"2.25.3{n}", number=n), folder))
        for n, place in enumerate(places)
    ]
    headers.append(read_source(mg.write(mg.tomosynthesis(uid="2.25.36"), folder)))
    images = [mg.image_result(header) for header in headers]
    images[1] = failed(images[1], "Out of memory.")
    images[2:4] = [not_read(image, Attempt.NOT_MADE, REASON) for image in images[2:4]]
    images[4:6] = [not_read(image, Attempt.NOT_APPLICABLE, RAW) for image in images[4:6]]
    images[6] = not_read(replace(images[6], laterality="L", view="MLO"), Attempt.NOT_APPLICABLE, TOMOSYNTHESIS)
    return headers, mg.study_result(images)


def test_only_mammograms_that_were_tried_are_in_library_evidence_and_outcome(tmp_path: Path) -> None:
    headers, result = mixed(tmp_path)
    path = write(build_cad_report(headers[:1], result, by_uid(headers[1:])), tmp_path / "cad.dcm")
    check_object(path, Expected(ObjectKind.CAD, result, by_uid(headers[:1]), missing=by_uid(headers[1:])))
    ds = dcmread(path)
    assert library(ds) == evidence(ds) == ["2.25.30", "2.25.31"]
    assert value_of(below(ds, codes.CAD_SUMMARY)) == codes.NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS.value
    assert value_of(below(ds, codes.SUMMARY_OF_DETECTIONS)) == codes.PARTIALLY_SUCCEEDED.value
    assert detected(ds, codes.SUCCESSFUL_DETECTIONS) == {(DENSITY, "2.25.30")}
    assert detected(ds, codes.FAILED_DETECTIONS) == {(DENSITY, "2.25.31")}


def test_what_was_not_tried_is_told_of_in_words(tmp_path: Path) -> None:
    headers, result = mixed(tmp_path)
    told = words(build_cad_report(headers[:1], result, by_uid(headers[1:])))
    assert told[1:5] == [
        "1 of 2 mammograms analysed.",
        "L CC failed: Out of memory.",
        f"R MLO not attempted: {REASON}",
        f"L MLO not attempted: {REASON}",
    ]
    assert [line.count(RAW) for line in told[5:7]] == [1, 0]
    assert "2 images" in told[5]
    assert TOMOSYNTHESIS in told[6]


def test_images_left_aside_do_not_spoil_the_outcome(tmp_path: Path) -> None:
    headers, result = mixed(tmp_path)
    result = replace(result, images=(result.images[0], *result.images[2:]))
    ds = build_cad_report(headers[:1], result, by_uid(headers[2:]))
    assert value_of(below(ds, codes.CAD_SUMMARY)) == codes.ALL_SUCCEEDED_WITHOUT_FINDINGS.value
    assert value_of(below(ds, codes.SUMMARY_OF_DETECTIONS)) == codes.SUCCEEDED.value
    assert library(ds) == evidence(ds) == ["2.25.30"]


@pytest.mark.parametrize("spots", [True, False], ids=["spot views", "volume"])
def test_where_nothing_was_tried_the_report_names_what_there_is(spots: bool, tmp_path: Path) -> None:
    headers, result = mixed(tmp_path)
    result = replace(result, images=result.images[2:] if spots else result.images[6:])
    ds = build_cad_report([], result, by_uid(headers[2:] if spots else headers[6:]))
    assert not list(
        faults(ds, Expected(ObjectKind.CAD, result, {}, missing=by_uid(headers[2:] if spots else headers[6:])))
    )
    assert library(ds) == (["2.25.32", "2.25.33"] if spots else ["2.25.36"])
    assert value_of(below(ds, codes.CAD_SUMMARY)) == codes.NONE_SUCCEEDED.value
    detections = below(ds, codes.SUMMARY_OF_DETECTIONS)
    assert (value_of(detections), children(detections)) == (codes.NOT_ATTEMPTED.value, [])
    assert any("not attempted" in line for line in words(ds))


@pytest.mark.parametrize("outcome", ["findings", "none", "failed"])
def test_detections_are_what_the_model_looks_for(outcome: str, tmp_path: Path) -> None:
    """Also where it found nothing: a list without calcifications says that nobody looked for any (PS3.17 E.3.1)."""
    headers, result = two_views(tmp_path)
    images = {
        "findings": result.images,
        "none": [replace(image, outcome=Outcome.NO_FINDINGS, findings=()) for image in result.images],
        "failed": [failed(image) for image in result.images],
    }[outcome]
    result = measured(replace(result, images=tuple(images)))
    sources, missing = ([], by_uid(headers)) if outcome == "failed" else (headers, {})
    ds = build_cad_report(sources, result, missing)
    done, other = codes.SUCCESSFUL_DETECTIONS, codes.FAILED_DETECTIONS
    done, other = (other, done) if outcome == "failed" else (done, other)
    uids = ("2.25.21", "2.25.22")
    assert detected(ds, done) == {(code, uid) for code in (DENSITY, CLUSTER, DISTORTION) for uid in uids}
    assert not items(ds, other)


def test_where_nobody_knows_what_it_looks_for_detections_are_what_it_found(tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    only = [f for f in result.images[0].findings if f.type is FindingType.CALCIFICATION]
    result = replace(result, images=(replace(result.images[0], findings=tuple(only)), result.images[1]))
    ds = build_cad_report(headers, result)
    assert {code for code, _ in detected(ds, codes.SUCCESSFUL_DETECTIONS)} == {DENSITY, CLUSTER}


def test_it_names_the_report_that_it_replaces(tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    earlier = build_cad_report(headers[:1], replace(result, images=result.images[:1]))
    assert "PredecessorDocumentsSequence" not in earlier
    replaced = Predecessor("2.25.10", earlier.SeriesInstanceUID, earlier.SOPClassUID, earlier.SOPInstanceUID)
    path = write(build_cad_report(headers, result, predecessor=replaced), tmp_path / "cad.dcm")
    expected = Expected(ObjectKind.CAD, result, by_uid(headers))
    check_object(path, replace(expected, predecessor=replaced))
    (study,) = dcmread(path).PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == ("2.25.10", earlier.SeriesInstanceUID)
    assert (instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID) == (
        earlier.SOPClassUID,
        earlier.SOPInstanceUID,
    )
    assert [f for f in faults(dcmread(path), expected) if "replaces" in f]
    with pytest.raises(ValueError, match="predecessor"):
        build_cad_report(headers, result, predecessor=replace(replaced, study_uid="2.25.99"))


def in_library(header: Dataset, image: ImageResult) -> dict[str, Dataset]:
    """Return what the library says of an image, by name."""
    (entry,) = children(below(build_cad_report([header], mg.study_result([image])), codes.IMAGE_LIBRARY))
    return {name_of(item.ds): item.ds for item in children(entry.ds)}


def test_the_library_says_how_images_were_taken(tmp_path: Path) -> None:
    headers, result = two_views(tmp_path)
    listed = children(below(build_cad_report(headers, result), codes.IMAGE_LIBRARY))
    right, left = ([(name_of(i.ds), i.ds) for i in children(image.ds)] for image in listed)
    names = [codes.IMAGE_LATERALITY, codes.IMAGE_VIEW, codes.ORIENTATION_ROW, codes.ORIENTATION_COLUMN]
    names += [codes.STUDY_DATE, codes.STUDY_TIME, codes.CONTENT_DATE, codes.CONTENT_TIME]
    names += [codes.HORIZONTAL_SPACING, codes.VERTICAL_SPACING]
    assert [name for name, _ in right] == [name for name, _ in left] == [name.value for name in names]
    told = dict(right)
    assert value_of(told[codes.IMAGE_LATERALITY.value]) == codes.BREASTS["R"].value
    assert value_of(told[codes.IMAGE_VIEW.value]) == codes.VIEWS["CC"].value
    (modifier,) = children(told[codes.IMAGE_VIEW.value])
    assert value_of(modifier.ds) == codes.VIEW_MODIFIERS["ID"].value
    assert not children(dict(left)[codes.IMAGE_VIEW.value])
    assert value_of(told[codes.ORIENTATION_ROW.value]) + value_of(told[codes.ORIENTATION_COLUMN.value]) == "PL"
    assert told[codes.STUDY_DATE.value].Date + told[codes.STUDY_TIME.value].Time == "20250102101500"
    assert told[codes.CONTENT_DATE.value].Date + told[codes.CONTENT_TIME.value].Time == "20250102101702"


@pytest.mark.parametrize(
    ("imager", "pixel", "told"),
    [([0.0941, 0.07], [0.05, 0.05], (94.1, 70.0)), (None, [0.05, 0.0435], (50.0, 43.5)), (None, None, None)],
    ids=["detector plane", "film", "unknown"],
)
def test_pixel_spacing_is_what_the_image_says(
    imager: list[float] | None, pixel: list[float] | None, told: tuple[float, float] | None, tmp_path: Path
) -> None:
    """By it a workstation tells whether it has the same image (PS3.17 E.5); sizes rest on a corrected spacing."""
    source = header_with(ImagerPixelSpacing=imager, **({"PixelSpacing": pixel} if pixel else {}))
    header = read_source(mg.write(source, tmp_path))
    found = in_library(header, mg.image_result(header, spacing=0.033))
    names = (codes.VERTICAL_SPACING.value, codes.HORIZONTAL_SPACING.value)
    assert (tuple(value_of(found[name]) for name in names if name in found) or None) == told
    assert {
        found[n].MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue for n in names if n in found
    } <= {"um"}


def test_what_nobody_knows_is_left_out(tmp_path: Path) -> None:
    header = read_source(mg.write(header_with(**AWKWARD["type 2 missing"], ImagerPixelSpacing=None), tmp_path))
    image = replace(mg.image_result(header, spacing=None), laterality=None, view="XCC")
    assert in_library(header, image).keys() == {codes.CONTENT_DATE.value, codes.CONTENT_TIME.value}
