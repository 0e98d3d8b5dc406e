"""Presentation states: valid, the same twice, the image looks as it did, and the outline lies on the lesion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from support import mg
from support.clocks import LaterClock, noon
from support.headers import AWKWARD_FOR_PICTURES, header_with
from support.objects import enclosed, presentation
from support.pictures import NOTICE
from support.realdata import real_data
from support.studies import GH133, Study
from support.validators import Run, about_a_source_alone, errors

from ftmtl.findings import LesionMask
from ftmtl.mammogram.grayscale import codes, own_grey_scale
from ftmtl.mammogram.pixels import decode, display_pixels
from node.kinds import ObjectKind
from node.results.build import build_results
from node.results.common.naming import tracking_uid
from node.results.common.outline import MOST_STORED, contour, line
from node.results.common.source import read_source
from node.results.common.stamp import SCORES
from node.results.conformance import check_object
from node.results.pr.build import build_presentation
from node.results.readback import read_findings
from node.results.study import Expected


def write_states(study: Study, folder: Path) -> list[Path]:
    """Write a presentation state of each image with findings, checked as everything is before it is sent."""
    folder.mkdir(exist_ok=True)
    result = study.result(findings=True)
    paths = []
    for n, (header, image) in enumerate(zip(study.headers, result.images, strict=True)):
        if image.findings:
            ds = build_presentation(header, image, result, n, noon)
            paths.append(folder / f"{ds.SOPInstanceUID}.dcm")
            ds.save_as(paths[-1], enforce_file_format=True)
            check_object(paths[-1], Expected(ObjectKind.PR, result, {header.SOPInstanceUID: header}, {}))
    return paths


def test_validators_find_no_error(study: Study, tmp_path: Path, run_tool: Run) -> None:
    paths = write_states(study, tmp_path / "out")
    assert len(paths) == min(2, len(study.paths))
    for path in paths:
        status, lines = run_tool("dciodvfy", "-new", path)
        assert not errors(lines)
        assert status == 0
        assert "GrayscaleSoftcopyPresentationState" in lines
        assert run_tool("dcmpschk", "-q", path)[0] == 0


def test_dciodvfy_would_find_one(tmp_path: Path, run_tool: Run) -> None:
    """The gate can fail: with LUT entries of 12 bits, as the image may have them, the object is rejected."""
    header = read_source(mg.write(with_grey("VOI LUT"), tmp_path))
    ds = presentation(header, mg.image_result(header, [mg.finding()]))
    ds.SoftcopyVOILUTSequence[0].VOILUTSequence[0].LUTDescriptor[2] = 12
    ds.save_as(tmp_path / "broken.dcm", enforce_file_format=True)
    status, lines = run_tool("dciodvfy", "-new", tmp_path / "broken.dcm")
    assert status != 0
    assert any("LUTDescriptor" in line for line in errors(lines))


def test_dcentvfy_accepts_it_beside_the_others(study: Study, tmp_path: Path, run_tool: Run) -> None:
    objects = build_results(study.result(findings=True), study.paths, tmp_path / "others")
    states = write_states(study, tmp_path / "out")
    _, lines = run_tool("dcentvfy", *study.paths, *(made.path for made in objects), *states)
    assert not [line for line in errors(lines) if not about_a_source_alone(line, study.paths)]


def test_each_finding_is_outlined_and_named(study: Study, tmp_path: Path) -> None:
    result = study.result(findings=True)
    ds = dcmread(write_states(study, tmp_path / "out")[0])
    (annotation,) = ds.GraphicAnnotationSequence
    image = result.images[0]
    assert ds.SeriesDescription == "AI Lesion PR, FT-MTL-Net 1.2.0 (RESEARCH)"
    assert (ds.Modality, ds.SeriesNumber % 10_000, ds.ContentQualification) == ("PR", 5901, "RESEARCH")
    assert ds.GraphicLayerSequence[0].GraphicLayer == annotation.GraphicLayer == "AI_FINDINGS"
    lines, texts = annotation.GraphicObjectSequence, annotation.TextObjectSequence
    for n, finding in enumerate(image.findings, start=1):
        assert lines[n - 1].TrackingUID == tracking_uid(image.sop_instance_uid, mg.MODEL, n)
        points = np.reshape(lines[n - 1].GraphicData, (-1, 2))
        assert np.array_equal(enclosed(points, *finding.mask.pixels.shape, finding.mask), finding.mask.pixels)
    assert [text.UnformattedTextValue for text in texts] == [
        "1: lesion 90, cancer 72",
        "2: lesion 90, cancer 18",
        f"{NOTICE}\r\nFT-MTL-Net 1.2.0\r\n{SCORES}",
    ]
    assert [text.BoundingBoxAnnotationUnits for text in texts] == ["PIXEL", "PIXEL", "DISPLAY"]


@pytest.mark.parametrize(("right", "down"), [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)])
def test_the_outline_lies_on_the_lesion_that_dcmtk_shows(right: int, down: int, tmp_path: Path, run_tool: Run) -> None:
    """On the picture that dcmtk renders through it; a mask that is one pixel off is seen.

    dcmtk does not draw the line itself; it is taken from the state that dcmtk understood and wrote again.
    """
    source, finding = mg.mg_header(), mg.finding()
    pixels = np.tile(np.arange(300, dtype=np.uint16) * 4 + 200, (400, 1))
    pixels[finding.mask.paste(400, 300)] = 3500
    source.PixelData = pixels.tobytes()
    path = mg.write(source, tmp_path)
    mask = replace(finding.mask, column=finding.mask.column + right, row=finding.mask.row + down)
    image = mg.image_result(source, [replace(finding, mask=mask)])
    presentation(read_source(path), image).save_as(tmp_path / "state", enforce_file_format=True)
    picture = render(path, tmp_path / "state", tmp_path, run_tool)
    understood = dcmread(tmp_path / "understood").GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    assert understood.GraphicAnnotationUnits == "PIXEL"
    inside = enclosed(np.reshape(understood.GraphicData, (-1, 2)), 400, 300)
    assert np.array_equal(inside, picture > 128) is ((right, down) == (0, 0))


def render(image: Path, state: Path | None, folder: Path, run_tool: Run) -> NDArray[np.int64]:
    """Return how dcmtk shows an image, 0 to 255, with a presentation state or with its own grey scale."""
    options = ["-p", state, "+S", folder / "understood"] if state else []
    assert run_tool("dcmp2pgm", *options, image, folder / "shown.pgm")[0] == 0
    return np.asarray(Image.open(folder / "shown.pgm")).astype(np.int64)


def with_grey(kind: str) -> Dataset:
    """Return a synthetic image with a grey scale of one kind."""
    ds = mg.mg_header()
    ds.PixelData = np.linspace(0, 4095, 400 * 300).astype("<u2").tobytes()
    lut = Dataset()
    lut.LUTDescriptor = [3000, 600, 12]
    lut.LUTData = (np.linspace(0, 1, 3000) ** 2 * 4095).astype("<u2").tobytes()
    lut["LUTData"].VR = "OW"
    if kind == "two windows":
        ds.WindowCenter, ds.WindowWidth = [1500, 900], [1200.5, 300]
    elif kind in ("VOI LUT", "VOI LUT and window"):
        ds.VOILUTSequence = Items([lut])
    elif kind == "modality LUT":
        lut.LUTDescriptor, lut.ModalityLUTType = [3000, 600, 16], "US"
        lut.LUTData = (np.linspace(0, 1, 3000) ** 2 * 65535).astype("<u2").tobytes()
        ds.WindowCenter, ds.WindowWidth = 30000, 50000
        ds.ModalityLUTSequence = Items([lut])
        del ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType
    elif kind == "rescale":
        ds.RescaleIntercept, ds.RescaleSlope, ds.WindowCenter, ds.WindowWidth = -1000, 2, 2000, 3000
    elif kind == "MONOCHROME1":
        ds.PhotometricInterpretation, ds.PresentationLUTShape = "MONOCHROME1", "INVERSE"
        ds.WindowCenter, ds.WindowWidth = 1500, 1200
    elif kind == "shutter":
        ds.ShutterShape, ds.ShutterPresentationValue = "RECTANGULAR", 0
        ds.ShutterLeftVerticalEdge, ds.ShutterRightVerticalEdge = 20, 250
        ds.ShutterUpperHorizontalEdge, ds.ShutterLowerHorizontalEdge = 30, 330
    if kind in ("none", "VOI LUT"):
        del ds.WindowCenter, ds.WindowWidth
    return ds


GREYS = ["none", "two windows", "VOI LUT", "VOI LUT and window", "modality LUT", "rescale", "MONOCHROME1", "shutter"]


@pytest.mark.parametrize("kind", GREYS)
def test_the_image_looks_as_it_did(kind: str, tmp_path: Path, run_tool: Run) -> None:
    """dcmtk shows the same with the presentation state as without; and the same as we do."""
    path = mg.write(with_grey(kind), tmp_path)
    header = read_source(path)
    state = presentation(header, mg.image_result(header, [mg.finding()]))
    state.save_as(tmp_path / "state", enforce_file_format=True)
    assert not errors(run_tool("dciodvfy", "-new", tmp_path / "state")[1])
    alone, through = (render(path, given, tmp_path, run_tool) for given in (None, tmp_path / "state"))
    assert alone.std() > 20
    assert np.abs(alone - through).max() <= 1
    if kind not in ("none", "shutter"):  # without any VOI we stretch; and we don't draw shutters
        ds = dcmread(path)
        stored = decode(ds)
        assert np.abs(own_grey_scale(ds, stored).table[codes(stored)] * 255 - through).max() < 2


def test_a_real_image_looks_as_it_did(tmp_path: Path, run_tool: Run) -> None:
    """It has both three VOI LUTs of 12 bits and three SIGMOID windows."""
    source = dcmread(real_data(GH133))
    source.decompress(generate_instance_uid=False)
    source.save_as(tmp_path / "image")
    header = read_source(source)
    state = presentation(header, mg.image_result(header, [mg.finding()]))
    state.save_as(tmp_path / "state", enforce_file_format=True)
    alone, through = (render(tmp_path / "image", given, tmp_path, run_tool) for given in (None, tmp_path / "state"))
    assert np.array_equal(alone, through)
    assert np.abs(display_pixels(tmp_path / "image") * 255 - through).max() < 1


def test_a_sigmoid_stays_one(tmp_path: Path) -> None:
    source = with_grey("two windows")
    source.VOILUTFunction = "SIGMOID"
    header = read_source(source)
    ds = presentation(header, mg.image_result(header, [mg.finding()]))
    (voi,) = ds.SoftcopyVOILUTSequence
    assert (voi.WindowCenter, voi.WindowWidth, voi.VOILUTFunction) == (1500, 1200.5, "SIGMOID")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"PixelSpacing": [0.1, 0.05]}, {"PresentationPixelSpacing": [0.1, 0.05]}),
        ({}, {"PresentationPixelSpacing": [0.1, 0.1]}),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": [2, 1]}, {"PresentationPixelAspectRatio": [2, 1]}),
        ({"ImagerPixelSpacing": None}, {"PresentationPixelAspectRatio": [1, 1]}),
    ],
)
def test_the_displayed_area_is_the_whole_image(changes: dict[str, object], expected: dict[str, object]) -> None:
    source = mg.mg_header()
    for keyword, value in changes.items():
        setattr(source, keyword, value)
    header = read_source(source)
    ds = presentation(header, mg.image_result(header, [mg.finding()]))
    (area,) = ds.DisplayedAreaSelectionSequence
    assert (area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner) == ([1, 1], [300, 400])
    assert {e.keyword: e.value for e in area if e.keyword.startswith("PresentationPixel")} == expected


@pytest.mark.filterwarnings("ignore:A value of type 'DT'")
def test_two_builds_are_byte_identical(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = [path.read_bytes() for path in write_states(study, tmp_path / "out")]
    monkeypatch.setattr("highdicom.base.datetime.datetime", LaterClock)
    monkeypatch.setattr("highdicom.pr.content.datetime.datetime", LaterClock)
    assert [path.read_bytes() for path in write_states(study, tmp_path / "out")] == first


@pytest.mark.parametrize("changes", AWKWARD_FOR_PICTURES.values(), ids=AWKWARD_FOR_PICTURES)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_awkward_headers_give_valid_states(changes: dict[str, object], tmp_path: Path, run_tool: Run) -> None:
    header = read_source(header_with(**changes))
    image = mg.image_result(header, [mg.finding()])
    presentation(header, image).save_as(tmp_path / "state", enforce_file_format=True)
    check_object(
        tmp_path / "state", Expected(ObjectKind.PR, mg.study_result([image]), {header.SOPInstanceUID: header}, {})
    )
    assert not errors(run_tool("dciodvfy", "-new", tmp_path / "state")[1])
    assert str(dcmread(tmp_path / "state").PatientName or "") == str(header.PatientName or "")


def test_without_findings_there_is_none(study: Study) -> None:
    result = study.result(findings=False)
    with pytest.raises(ValueError, match="at least one finding"):
        build_presentation(study.headers[0], result.images[0], result)


def test_lesions_at_every_edge_keep_their_labels_on_the_image(tmp_path: Path, run_tool: Run) -> None:
    header = read_source(mg.mg_header())
    corners = [(0, 0), (269, 0), (0, 377), (269, 377), (135, 190), (140, 200)]
    image = mg.image_result(header, [mg.finding(column, row) for column, row in corners])
    ds = presentation(header, image)
    ds.save_as(tmp_path / "state", enforce_file_format=True)
    check_object(
        tmp_path / "state", Expected(ObjectKind.PR, mg.study_result([image]), {header.SOPInstanceUID: header}, {})
    )
    assert not errors(run_tool("dciodvfy", "-new", tmp_path / "state")[1])


def test_a_ragged_lesion_still_fits_into_graphic_data(tmp_path: Path) -> None:
    """More corners than an explicit FL can hold are thinned; the line stays closed and near."""
    comb = np.ones((3, 12000), dtype=bool)
    comb[:1, ::2] = False
    whole, thin = contour(LesionMask(comb, 0, 0)), line(LesionMask(comb, 0, 0))
    assert len(whole) > MOST_STORED + 1 >= len(thin)
    assert np.array_equal(thin[0], thin[-1])
    header = read_source(mg.mg_header(size=(40, 12000)))
    image = mg.image_result(header, [replace(mg.finding(), mask=LesionMask(comb, 0, 5))])
    presentation(header, image).save_as(tmp_path / "state", enforce_file_format=True)
    check_object(
        tmp_path / "state", Expected(ObjectKind.PR, mg.study_result([image]), {header.SOPInstanceUID: header}, {})
    )
    graphic = dcmread(tmp_path / "state").GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    assert graphic["GraphicData"].VR == "FL"


def test_findings_read_back_with_their_outlines(study: Study, tmp_path: Path) -> None:
    result = study.result(findings=True)
    objects = build_results(result, study.paths, tmp_path / "others")
    states = write_states(study, tmp_path / "out")
    found = {f.tracking_uid: f for f in read_findings([*states, *(made.path for made in objects)])}
    image = result.images[0]
    for n, finding in enumerate(image.findings, start=1):
        read = found[tracking_uid(image.sop_instance_uid, mg.MODEL, n)]
        assert read.outline is not None
        assert np.array_equal(read.outline, line(finding.mask))
        assert read.mask is not None
