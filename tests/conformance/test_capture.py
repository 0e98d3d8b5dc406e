"""The page of a study: valid, the same twice, all that was found is on it, and the patient's name is not."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread
from pydicom.dataset import Dataset
from scipy import ndimage
from support import mg
from support.realdata import real_data
from support.spoilers import faults_of, for_the_clinic
from support.studies import Study

from ftmtl.findings import ImageResult, Outcome, StudyResult
from node.results.build import build_results
from node.results.common.source import read_source
from node.results.conformance import check_object
from node.results.sc import page
from node.results.sc.build import MORE, build_capture
from node.results.sc.hanging import Hung, arrange, hanging_turns
from node.results.study import Expected

Run = Callable[..., tuple[int, list[str]]]
Pixels = Mapping[str, NDArray[np.float32]]
NOTICE = "RESEARCH USE ONLY - NOT FOR DIAGNOSIS"
REASON = "This is a spot compression view; the model reads whole-breast views only."


def errors(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("Error")]


def displayed(headers: Sequence[Dataset]) -> dict[str, NDArray[np.float32]]:
    """Return something grey for each image, reduced to at most a thousand rows."""
    pixels = {}
    for header in headers:
        factor = -(-header.Rows // 1000)
        rows, columns = header.Rows // factor, header.Columns // factor
        pixels[str(header.SOPInstanceUID)] = np.tile(np.linspace(0.1, 0.6, columns, dtype=np.float32), (rows, 1))
    return pixels


def partial(study: Study) -> StudyResult:
    """Return a result in which the study's last image was not analysed, and one failed of which nothing is known."""
    images = list(study.result(findings=True).images)
    last = images.pop()
    failed = ImageResult("2.25.404", None, None, Outcome.FAILED, "The pixels can't be decoded.\nSorry.")
    refused = replace(last, outcome=Outcome.NOT_PROCESSED, findings=(), reason=REASON)
    return mg.study_result([*images, refused, failed], study.headers[0].StudyInstanceUID)


RESULTS: dict[str, Callable[[Study], StudyResult]] = {
    "findings": lambda study: study.result(findings=True),
    "no findings": lambda study: study.result(findings=False),
    "partial": partial,
}


def write_page(study: Study, result: StudyResult, path: Path) -> Dataset:
    """Write a study's page, checked as anything that is sent, and read it back."""
    analysed = {image.sop_instance_uid for image in result.images if image.score is not None}
    sources = {str(h.SOPInstanceUID): h for h in study.headers if h.SOPInstanceUID in analysed}
    missing = {str(h.SOPInstanceUID): h for h in study.headers if h.SOPInstanceUID not in analysed}
    ds = build_capture(list(sources.values()), result, displayed(list(sources.values())), missing)
    ds.save_as(path, enforce_file_format=True)
    check_object(path, Expected(result, sources, {}))
    return dcmread(path)


@pytest.mark.parametrize("kind", RESULTS)
def test_validators_find_no_error(study: Study, kind: str, tmp_path: Path, run_tool: Run) -> None:
    result = RESULTS[kind](study)
    ds = write_page(study, result, tmp_path / "page")
    status, lines = run_tool("dciodvfy", "-new", tmp_path / "page")
    assert not errors(lines)
    assert status == 0
    assert "SCImage" in lines
    objects = build_results(result, study.paths, tmp_path / "others")
    _, lines = run_tool("dcentvfy", *study.paths, *(made.path for made in objects), tmp_path / "page")
    sources = [str(path) for path in study.paths]
    assert not [line for line in errors(lines) if not ("Missing SOP" in line and any(s in line for s in sources))]
    assert (ds.Rows, ds.Columns) <= (page.MAX_HEIGHT, page.MAX_WIDTH)
    assert ds.pixel_array.shape == (ds.Rows, ds.Columns, 3)


@pytest.mark.parametrize("kind", RESULTS)
def test_it_tells_in_words_what_is_drawn(study: Study, kind: str, tmp_path: Path) -> None:
    result = RESULTS[kind](study)
    ds = write_page(study, result, tmp_path / "page")
    lines = ds.ImageComments.splitlines()
    assert lines[0] == NOTICE
    assert "Model: FT-MTL-Net 1.2.0" in lines
    assert "Weights: ab12ab12" in lines
    assert (sum("90% lesion, 72% cancer" in line for line in lines) == 1) is bool(result.images[0].findings)
    assert sum(line.endswith(": no findings") and not line.startswith("Prob") for line in lines) == sum(
        image.outcome is Outcome.NO_FINDINGS for image in result.images
    )
    if kind == "partial":
        assert any(line.endswith(f"not analysed: {REASON}") for line in lines)
        assert "Unknown view not analysed: The pixels can't be decoded. Sorry." in lines
    referenced = [item.ReferencedSOPInstanceUID for item in ds.get("SourceImageSequence", [])]
    assert set(referenced) == {image.sop_instance_uid for image in result.images if image.score is not None}
    assert (ds.SeriesNumber, ds.ContentQualification, ds.BurnedInAnnotation) == (898, "RESEARCH", "NO")
    assert ds.SeriesDescription == "AI Mammography Summary (RESEARCH)"
    assert not ds.PatientOrientation
    assert not ds.Laterality


def test_a_score_says_of_how_many_images_it_is(tmp_path: Path) -> None:
    headers = [read_source(mg.mg_header("R", view, uid=f"2.25.2{n}")) for n, view in enumerate(("CC", "MLO"))]
    refused = ImageResult(headers[1].SOPInstanceUID, "R", "MLO", Outcome.FAILED, REASON)
    for findings, score in (([], "no findings"), ([mg.finding()], "72%")):
        result = mg.study_result([mg.image_result(headers[0], findings), refused])
        ds = write_page(Study([], headers, 0.1), result, tmp_path / "page")
        assert f"Probability of cancer, right breast: {score}, 1 of 2 images" in ds.ImageComments.splitlines()


def test_a_lossy_source_makes_a_lossy_page(tmp_path: Path, run_tool: Run) -> None:
    path = real_data("mg/MG1_J2KI.dcm")
    header = read_source(path)
    study = Study([path], [header], None)
    result = mg.study_result([mg.image_result(header, [mg.finding()])], header.StudyInstanceUID)
    assert write_page(study, result, tmp_path / "page").LossyImageCompression == "01"
    assert not errors(run_tool("dciodvfy", "-new", tmp_path / "page")[1])


def test_nothing_analysed_is_a_page_too(tmp_path: Path, run_tool: Run) -> None:
    headers = [read_source(mg.mg_header(uid=f"2.25.2{n}")) for n in range(2)]
    images = [ImageResult(h.SOPInstanceUID, None, None, Outcome.NOT_PROCESSED, REASON) for h in headers]
    ds = write_page(Study([], headers, None), mg.study_result(images), tmp_path / "page")
    assert f"L CC (1), L CC (2) not analysed: {REASON}" in ds.ImageComments.splitlines()
    assert "SourceImageSequence" not in ds
    assert not errors(run_tool("dciodvfy", "-new", tmp_path / "page")[1])


class _LaterClock(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> _LaterClock:
        return cls(2040, 2, 29, 1, 2, 3)


@pytest.mark.filterwarnings("ignore:A value of type 'DT'")
def test_two_builds_are_byte_identical(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the clock says and in whatever order the images came."""
    result = study.result(findings=True)
    pixels = displayed(study.headers)
    build_capture(study.headers, result, pixels).save_as(tmp_path / "1", enforce_file_format=True)
    monkeypatch.setattr("highdicom.base.datetime.datetime", _LaterClock)
    turned = StudyResult(result.study_uid, result.model, result.images[::-1])
    build_capture(study.headers[::-1], turned, pixels).save_as(tmp_path / "2", enforce_file_format=True)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


@pytest.mark.parametrize("changes", mg.AWKWARD.values(), ids=mg.AWKWARD)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_awkward_headers_give_valid_pages(changes: dict[str, object], tmp_path: Path, run_tool: Run) -> None:
    header = read_source(mg.awkward(changes))
    result = mg.study_result([mg.image_result(header, [mg.finding()])])
    ds = write_page(Study([], [header], 0.1), result, tmp_path / "page")
    assert not errors(run_tool("dciodvfy", "-new", tmp_path / "page")[1])
    assert str(ds.PatientName or "") == str(header.PatientName or "")


def test_other_reasons_give_another_page() -> None:
    header = read_source(mg.mg_header())
    images = [ImageResult(header.SOPInstanceUID, "L", "CC", Outcome.FAILED, reason) for reason in "ab"]
    pages = [build_capture([], mg.study_result([image]), {}, {header.SOPInstanceUID: header}) for image in images]
    assert pages[0].SOPInstanceUID != pages[1].SOPInstanceUID
    assert pages[0].SeriesInstanceUID != pages[1].SeriesInstanceUID


def test_what_is_missing_or_does_not_fit_is_refused() -> None:
    header = read_source(mg.mg_header())
    result = mg.study_result([mg.image_result(header)])
    with pytest.raises(ValueError, match="at least one image"):
        build_capture([], result, {})
    with pytest.raises(ValueError, match="no header or no pixels"):
        build_capture([header], result, {})
    for shape in ((300, 400), (400, 200), (90, 75)):
        with pytest.raises(ValueError, match=r"pixels of 2\.25\.20 are"):
            build_capture([header], result, {"2.25.20": np.zeros(shape, np.float32)})
    for shape in ((400, 300), (200, 150), (133, 100), (134, 100), (57, 43), (58, 42)):
        build_capture([header], result, {"2.25.20": np.zeros(shape, np.float32)})


def test_no_patient_name_reaches_page_log_or_warnings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every text that is drawn is looked at."""
    ds = mg.mg_header()
    ds.PatientName = ds.PatientID = ds.AccessionNumber = ds.ReferringPhysicianName = "SecretName"
    ds.PatientBirthDate = "19551111"
    header = read_source(ds)
    drawn: list[str] = []
    original = ImageDraw.ImageDraw.text
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda *a, **k: (drawn.append(a[2]), original(*a, **k))[1])
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        made = build_capture([header], mg.study_result([mg.image_result(header)]), displayed([header]))
    assert NOTICE in drawn
    told = [*drawn, made.ImageComments, made.DerivationDescription, caplog.text, *(str(w.message) for w in caught)]
    assert not [text for text in told if "Secret" in text or "1955" in text]
    assert made.PatientName == "SecretName"


# --- where the outlines lie --------------------------------------------------------------------------------

ORIENTATIONS = [
    ("R", "PL", (False, False)),
    ("R", "AL", (True, False)),
    ("R", "PR", (False, True)),
    ("R", "AR", (True, True)),
    ("L", "AR", (False, False)),
    ("L", "PR", (True, False)),
    ("L", "AL", (False, True)),
    ("R", ["P", "FL"], (False, False)),
    ("L", "AF", (False, False)),
    ("L", "PH", (True, True)),
    ("L", "FA", None),
    ("L", None, None),
    (None, "AR", None),
]


@pytest.mark.parametrize(("laterality", "orientation", "turns"), ORIENTATIONS)
def test_turned_as_it_hangs(laterality: str | None, orientation: object, turns: tuple[bool, bool] | None) -> None:
    header = Dataset()
    header.PatientOrientation = list(orientation) if orientation else None  # type: ignore[call-overload]
    assert hanging_turns(header, laterality) == turns


@pytest.mark.parametrize(
    ("orientation", "across", "down", "factor"),
    [("AR", 1, 1, 1), ("PR", -1, 1, 1), ("AL", 1, -1, 3), ("PL", -1, -1, 2)],
)
def test_the_outline_surrounds_the_lesion_however_it_is_turned(
    orientation: str, across: int, down: int, factor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Picture and line are turned alike: what the line encloses is what is bright, but for the line's width."""
    monkeypatch.setattr(page, "_draw_labels", lambda picture, marks: None)
    source = mg.mg_header(rows=1000, columns=750)
    source.PatientOrientation = list(orientation)
    header = read_source(source)
    finding = mg.finding(120, 600, 241, 181)
    full = finding.mask.paste(1000, 750)
    rows, columns = 1000 // factor, 750 // factor
    blocks = full[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    pixels = {"2.25.20": blocks.mean(axis=(1, 3), dtype=np.float32)}
    ds = build_capture([header], mg.study_result([mg.image_result(header, [finding])]), pixels)
    view = ds.pixel_array[ds.Rows - 1064 : ds.Rows - 64, 24:774].astype(int)
    amber = np.abs(view - page.COLOURS[0]).max(axis=2) < 40
    enclosed = ndimage.binary_fill_holes(amber)
    expected = full[::down, ::across]
    assert enclosed[ndimage.binary_erosion(expected, iterations=4)].all()
    assert not enclosed[~ndimage.binary_dilation(expected, iterations=4)].any()
    bright = (view > 250).all(axis=2)
    assert bright[ndimage.binary_erosion(expected, iterations=6)].all()


# --- the layout --------------------------------------------------------------------------------------------

CROWDS = {
    "four": [("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO")],
    "one": [("L", "MLO")],
    "two of a side": [("R", "CC"), ("R", "CC"), ("L", "CC")],
    "unknown": [(None, None), (None, "CC"), ("R", None)],
    "twelve": [("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO")] * 2
    + [("R", "XCCL"), ("L", "TAN"), (None, None), (None, "CC")],
    "twelve of one": [("R", "CC")] * 12,
    "thirty": [("R", "CC"), (None, None), ("L", "AT")] * 10,
}


@pytest.mark.parametrize("crowd", CROWDS.values(), ids=CROWDS)
def test_views_never_overlap_nor_leave_their_space(crowd: list[tuple[str | None, str | None]]) -> None:
    width, height = 1400, 1600
    grid = arrange([Hung(side, view, 0.75) for side, view in crowd], width, height)
    assert grid.width <= width
    assert grid.height <= height
    taken = np.zeros((height, width), dtype=int)
    for left, top, across, down in grid.cells:
        assert left >= 0
        assert top >= 14
        taken[top - 20 : top + down, left : left + across] += 1
    assert taken.max() == 1
    if len(crowd) <= 12:
        assert min(down for _, _, _, down in grid.cells) >= 300


def test_they_hang_as_mammograms_do() -> None:
    """Right breasts at the left, left ones at the right, back to back; CC above MLO."""
    grid = arrange([Hung(side, view, 0.75) for side, view in CROWDS["four"]], 1400, 1600)
    (rcc, lcc, rmlo, lmlo) = grid.cells
    assert rcc[0] + rcc[2] < lcc[0] <= rcc[0] + rcc[2] + 10
    assert rmlo[0] == rcc[0]
    assert lmlo[0] == lcc[0]
    assert rcc[1] == lcc[1] < rmlo[1] == lmlo[1]


@pytest.mark.parametrize("count", [1, 30, 120])
def test_the_panel_never_overflows(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long reasons and many findings: every word stays on the page, beside the views, and off the others."""
    boxes: list[tuple[float, float, float, float]] = []
    texts: list[str] = []
    original = ImageDraw.ImageDraw.text

    def record(
        pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, font: ImageFont.FreeTypeFont, **more: object
    ) -> None:
        texts.append(text)
        boxes.append(pen.textbbox(at, text, font=font, anchor=more.get("anchor")))  # type: ignore[arg-type]
        original(pen, at, text, font=font, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", record)
    rows = tuple(page.Row(f"R XCCL ({n})", n % 9 + 1, "architectural distortion", 1, 1, 100) for n in range(count))
    refused = tuple((f"R XCCL ({n}), L MLO", "word " * 20 + "x" * 300) for n in range(min(count, 11)))
    drawn = page.draw_page(
        page.Page((), rows, (("Right breast", "100%"),), refused, (("Model", "m" * 200),), ("note",))
    )
    assert (drawn.width, drawn.height) <= (page.MAX_WIDTH, page.MAX_HEIGHT)
    told = texts.count("distortion")
    assert told == count or f"and {count - told} more: see the structured report" in texts
    panel = [box for box in boxes if box[3] < drawn.height - 40 and box[1] > 60]
    for left, _, right, bottom in panel:
        assert left >= 0
        assert right <= drawn.width
        assert bottom <= drawn.height - 40
    for n, a in enumerate(boxes):
        for b in boxes[n + 1 :]:
            assert min(a[2], b[2]) - max(a[0], b[0]) <= 1 or min(a[3], b[3]) - max(a[1], b[1]) <= 1


def test_very_much_to_tell_is_cut_and_said_to_be(tmp_path: Path) -> None:
    """Hundreds of findings and of refused images still give a page that passes its check."""
    header = read_source(mg.mg_header())
    image = mg.image_result(header, [mg.finding(n % 20 * 10, n // 20 * 20) for n in range(240)])
    refused = [ImageResult(f"2.25.5{n}", None, None, Outcome.FAILED, f"reason {n % 30}") for n in range(200)]
    ds = write_page(Study([], [header], 0.1), mg.study_result([image, *refused]), tmp_path / "page")
    assert len(ds.ImageComments) <= 10240
    assert ds.ImageComments.endswith(MORE)


# --- broken pages are caught -------------------------------------------------------------------------------


def blank(ds: Dataset) -> None:
    ds.PixelData = bytes(len(ds.PixelData))


def without_outlines(ds: Dataset) -> None:
    pixels = np.frombuffer(ds.PixelData, np.uint8).reshape(ds.Rows, ds.Columns, 3).copy()
    pixels[60:] = pixels[60:].mean(axis=2, keepdims=True).astype(np.uint8)
    ds.PixelData = pixels.tobytes()


def cut_short(ds: Dataset) -> None:
    ds.PixelData = ds.PixelData[:-2]


def other_score(ds: Dataset) -> None:
    ds.ImageComments = ds.ImageComments.replace("72% cancer", "7% cancer")


def other_view(ds: Dataset) -> None:
    ds.ImageComments = ds.ImageComments.replace("L CC lesion 1", "R CC lesion 1")


def lost_finding(ds: Dataset) -> None:
    ds.ImageComments = "\r\n".join(line for line in ds.ImageComments.splitlines() if "lesion 2" not in line)


def invented(ds: Dataset) -> None:
    ds.ImageComments += "\r\nL CC lesion 3 (mass): 99% lesion, 99% cancer"


def unsaid(ds: Dataset) -> None:
    ds.ImageComments = ds.ImageComments.replace(REASON, "")


def no_notice(ds: Dataset) -> None:
    ds.ImageComments = ds.ImageComments.replace("RESEARCH", "CLINICAL")


def other_source(ds: Dataset) -> None:
    ds.SourceImageSequence[0].ReferencedSOPInstanceUID = "2.25.404"


def like_an_original(ds: Dataset) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY"]


def like_a_mammogram(ds: Dataset) -> None:
    ds.Modality = "MG"


SPOILERS: dict[Callable[[Dataset], None], str] = {
    blank: "the research notice is not burnt in",
    without_outlines: "the page has nothing in the colour of finding 1",
    cut_short: "bytes of pixels, not",
    other_score: "it is not told of L CC: lesion 1 (mass): 90% lesion, 72% cancer, 3 mm",
    other_view: "it is told of R CC what was not found",
    lost_finding: "it is not told of L CC: lesion 2",
    invented: "it is told of L CC what was not found: lesion 3",
    unsaid: "it is not told why images were not analysed: This is a spot",
    no_notice: "ImageComments lacks the research notice",
    other_source: "the source images are not the images that were analysed",
    like_an_original: "ImageType is",
    like_a_mammogram: "Modality is MG, not OT",
    for_the_clinic: "ContentQualification is not RESEARCH",
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset, StudyResult]:
    """A page that passes its check, its source and what it tells of."""
    folder = tmp_path_factory.mktemp("sound")
    header = read_source(mg.mg_header())
    refused = ImageResult("2.25.404", "L", "MLO", Outcome.NOT_PROCESSED, REASON)
    image = mg.image_result(header, [mg.finding(), mg.finding(150, 200, 50, 41, 0.2)])
    result = mg.study_result([image, refused])
    write_page(Study([], [header], 0.1), result, folder / "page")
    return folder / "page", header, result


@pytest.mark.parametrize(("spoil", "fault"), SPOILERS.items(), ids=[f.__name__ for f in SPOILERS])
def test_a_spoilt_page_is_rejected(
    spoil: Callable[[Dataset], None], fault: str, sound: tuple[Path, Dataset, StudyResult], tmp_path: Path
) -> None:
    path, source, result = sound
    checked = path, lambda copy: check_object(copy, Expected(result, {source.SOPInstanceUID: source}, {}))
    assert fault in faults_of(spoil, checked, tmp_path)


def test_dcmtk_shows_the_page(tmp_path: Path, run_tool: Run) -> None:
    """A reader that is not ours sees the same pixels."""
    header = read_source(mg.mg_header())
    ds = write_page(Study([], [header], 0.1), mg.study_result([mg.image_result(header)]), tmp_path / "page")
    assert run_tool("dcm2pnm", "--write-raw-pnm", tmp_path / "page", tmp_path / "page.ppm")[0] == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "page.ppm")), ds.pixel_array)
