"""The page about reading results says and shows what the objects say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import peers
from support.places import ROOT

from ftmtl.findings import FindingType
from ftmtl.phantom.make import make_phantom
from node.kinds import ObjectKind
from node.results.common import codes
from node.results.common.content import children, value_of, walk
from node.results.readback import read_cad_findings

FILE = ROOT / "docs" / "reading_results.py"


@pytest.fixture(scope="module")
def generator() -> Iterator[ModuleType]:
    """The script, imported as Python runs it: with its own folder at the head of the path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FILE.parent)
        yield import_module(FILE.stem)


@pytest.fixture(scope="module")
def studies(generator: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The results of the four studies, as read from their files."""
    return dict(generator.make_studies(tmp_path_factory.mktemp("reading")))


@pytest.fixture(scope="module")
def text(generator: ModuleType) -> str:
    """The page as it lies in docs."""
    return str(generator.FILE.read_text())


@pytest.fixture(scope="module")
def sections(text: str) -> Mapping[str, str]:
    """The page's section about each study."""
    parts = re.split(r"^## \d\. .*$", text, flags=re.MULTILINE)[1:]
    return dict(zip(("findings", "no-findings", "partly-read", "failed"), parts, strict=True))


def test_the_page_is_what_the_objects_say(generator: ModuleType, studies: Mapping[str, Any], text: str) -> None:
    assert text == generator.page(studies), "run `python docs/reading_results.py`"


def test_the_pictures_are_what_is_drawn_now(generator: ModuleType, studies: Mapping[str, Any], text: str) -> None:
    peers.tool("dcmp2pgm")
    drawn = generator.pages(studies) | generator.shown(studies["findings"])
    assert set(drawn) == set(re.findall(r'src="([^"]+)"', text))
    files = [FILE.with_name(name) for name in drawn]
    for file in files:
        with Image.open(file) as kept:
            assert kept.size == drawn[file.name].size
            assert largest_difference(kept, drawn[file.name]) < 12, "run `python docs/reading_results.py`"
        assert file.stat().st_size < 250_000
    assert sum(file.stat().st_size for file in files) < 1_000_000


def largest_difference(one: Image.Image, other: Image.Image) -> float:
    """Return by how much the grey values, 0 to 255, differ on average in that block of 16 x 16 where they do most.

    JPEG makes it about 6, a letter that is another one 20 and more.
    """
    away = np.abs(np.subtract(*(np.asarray(picture.convert("L"), dtype=float) for picture in (one, other))))
    rows, columns = (size // 16 for size in away.shape)
    return float(away[: 16 * rows, : 16 * columns].reshape(rows, 16, columns, 16).mean(axis=(1, 3)).max())


def test_another_number_on_a_picture_would_be_seen(generator: ModuleType) -> None:
    file = FILE.with_name(generator.picture_file("findings"))
    with Image.open(file) as kept:
        other = kept.convert("RGB")
    other.paste(other.crop((1355, 420, 1400, 442)), (1355, 448))  # the second row's cancer score becomes the first's
    with Image.open(file) as kept:
        assert largest_difference(kept, other) > 20


def test_the_model_outlined_what_was_drawn(studies: Mapping[str, Any], sections: Mapping[str, str]) -> None:
    report = studies["findings"].only(ObjectKind.SR)
    found = read_cad_findings(studies["findings"].only(ObjectKind.CAD))
    drawn = []
    for view in ("CC", "MLO"):
        for side in "RL":
            lesions = make_phantom(375, laterality=side, view=view, spacing_mm=0.2).lesions
            benign = {lesion.type for lesion in lesions if not lesion.malignant}
            malignant = {lesion.type for lesion in lesions if lesion.malignant}
            assert (benign, malignant) == ({FindingType.CALCIFICATION}, {FindingType.MASS} if side == "L" else set())
            drawn += [(f"{side} {view}", lesion.box) for lesion in lesions]
    for finding in found:
        assert finding.box is not None
        x, y = (finding.box[0] + finding.box[2]) / 2, (finding.box[1] + finding.box[3]) / 2
        place = studies["findings"].names[finding.source_uid]
        hit = [lesion for lesion in drawn if lesion[0] == place and _is_inside(lesion[1], x, y)]
        drawn.remove(*hit)
    assert not drawn
    groups = [item for item in walk(report) if item.name == "125007" and _told(item.ds).get(codes.FINDING.value)]
    assert len(groups) == len(found) == 6
    assert "6 findings on 4 images" in sections["findings"]


def _is_inside(box: tuple[float, ...], x: float, y: float) -> bool:
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _told(group: Any) -> dict[str, Any]:
    return {item.name: item.ds for item in children(group)}


def test_numbers_and_scores_are_the_same_everywhere(studies: Mapping[str, Any], sections: Mapping[str, str]) -> None:
    """Each lesion has one name and one score in both reports, the presentation states and the page's words."""
    results, section = studies["findings"], sections["findings"]
    report, cad = results.only(ObjectKind.SR), results.only(ObjectKind.CAD)
    told = [_told(item.ds) for item in walk(report) if item.name == "125007"]
    lesions = {
        str(value_of(items[codes.TRACKING_IDENTIFIER.value])): value_of(items[codes.CANCER_SCORE.value])
        for items in told
        if codes.FINDING.value in items
    }
    marks = [_told(item.ds) for item in walk(cad) if item.name == codes.SINGLE_IMAGE_FINDING.value]
    assert lesions == {
        str(value_of(items[codes.TRACKING_IDENTIFIER.value])): value_of(items[codes.CANCER_SCORE.value])
        for items in marks
    }
    comments = str(results.only(ObjectKind.SC).ImageComments)
    labels = [
        label.UnformattedTextValue
        for state in results.objects[ObjectKind.PR]
        for label in state.GraphicAnnotationSequence[0].TextObjectSequence
    ]
    for number, (name, score) in enumerate(lesions.items(), start=1):
        assert name.endswith(f"lesion {number}")
        assert section.count(f"Tracking Identifier: **{name}**") == 2
        assert section.count(f"Tracking Unique Identifier: that of {name} in the measurement report") == 1
        assert sum(bool(re.fullmatch(rf"{number}: lesion \d+, cancer {score:.0f}", label)) for label in labels) == 1
        assert re.search(rf"^{name} \(.*, cancer score {score:.0f}, \d+ mm\r?$", comments, re.MULTILINE)
    assert section.count("Cancer score, uncalibrated: ") == 2 * (len(lesions) + 3)


def test_what_a_workstation_is_to_show_follows_the_score(studies: Mapping[str, Any], text: str) -> None:
    marks = [
        _told(item.ds)
        for item in walk(studies["findings"].only(ObjectKind.CAD))
        if item.name == codes.SINGLE_IMAGE_FINDING.value
    ]
    shown = {
        n: items[codes.RENDERING_INTENT.value].ConceptCodeSequence[0].CodeValue for n, items in enumerate(marks, 1)
    }
    scores = {n: value_of(items[codes.CANCER_SCORE.value]) for n, items in enumerate(marks, 1)}
    required = {n for n, score in scores.items() if score >= 68.42}
    assert required == {n for n, code in shown.items() if code == codes.PRESENTATION_REQUIRED.value} == {2, 5}
    assert {code for n, code in shown.items() if n not in required} == {codes.PRESENTATION_OPTIONAL.value}
    assert "2 and 5 are *Presentation Required*, 1, 3, 4 and 6 *Presentation Optional*, from operating point 2" in text


OUTCOMES = {
    "findings": (codes.ALL_SUCCEEDED_WITH_FINDINGS, [4, 0, 0], "Read: R CC, L CC, R MLO, L MLO."),
    "no-findings": (codes.ALL_SUCCEEDED_WITHOUT_FINDINGS, [4, 0, 0], "Read: R CC, L CC, R MLO, L MLO."),
    "partly-read": (codes.ALL_SUCCEEDED_WITHOUT_FINDINGS, [3, 1, 0], "Read: R CC, L CC, R MLO. Not read: L MLO."),
    "failed": (codes.NONE_SUCCEEDED, [0, 0, 4], ""),
}
"""Of each study: its outcome; on how many images detections succeeded, were not attempted, failed; what was read."""


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcome_and_coverage(name: str, studies: Mapping[str, Any], sections: Mapping[str, str]) -> None:
    outcome, statuses, coverage = OUTCOMES[name]
    report, cad = studies[name].only(ObjectKind.SR), studies[name].only(ObjectKind.CAD)
    (evaluations,) = (i.ds for i in children(report) if i.name == codes.QUALITATIVE_EVALUATIONS.value)
    for top in (evaluations, cad):
        assert next(value_of(i.ds) for i in children(top) if i.name == codes.CAD_SUMMARY.value) == outcome.value
    said = [value_of(i.ds) for i in children(evaluations) if i.name == codes.SUMMARY_OF_DETECTIONS.value]
    expected = (codes.SUCCEEDED, codes.NOT_ATTEMPTED, codes.FAILED)
    assert [said.count(code.value) for code in expected] == statuses
    assert sections[name].count(f"*{outcome.meaning}*") == 1
    assert sections[name].count(coverage) >= 3 if coverage else "Read:" not in sections[name]


@pytest.mark.parametrize("name", ["no-findings", "partly-read", "failed"])
def test_without_findings_there_is_no_score(name: str, studies: Mapping[str, Any], sections: Mapping[str, str]) -> None:
    """The only numbers are sizes and spacings of images and operating points."""
    for kind in (ObjectKind.SR, ObjectKind.CAD):
        found = {item.name for item in walk(studies[name].only(kind)) if item.type == "NUM"}
        assert not found & {c.value for c in (codes.CANCER_SCORE, codes.LESION_SCORE, codes.CERTAINTY_OF_FINDING)}
    assert not studies[name].objects[ObjectKind.SEG]
    assert not studies[name].objects[ObjectKind.PR]
    assert "score, uncalibrated: " not in sections[name]


def test_what_is_left_aside_is_in_no_library(studies: Mapping[str, Any], sections: Mapping[str, str]) -> None:
    results = studies["partly-read"]
    names = sorted(results.names.values())
    assert names == ["L CC", "L MLO", "R CC", "R CC", "R MLO"]
    libraries = [
        sum(
            item.type == "IMAGE"
            for top in children(ds)
            if top.name == codes.IMAGE_LIBRARY.value
            for item in walk(top.ds)
        )
        for ds in (results.only(ObjectKind.SR), results.only(ObjectKind.CAD))
    ]
    assert libraries == [4, 3]
    assert "R CC left aside: This is a raw (For Processing) image" in results.only(ObjectKind.SC).ImageComments
    assert [f"Image Library: {n} images" in sections["partly-read"] for n in libraries] == [True, True]


def test_research_use_is_visible_and_no_score_is_a_probability(studies: Mapping[str, Any], text: str) -> None:
    assert "**Research use only." in text
    assert {ds.ContentQualification for results in studies.values() for ds in results.every()} == {"RESEARCH"}
    assert text.count("Research use only. Not a medical device, not for diagnosis.") >= 2 * len(studies)
    assert "Probability" not in text
    assert "%" not in re.sub(r'width="\d+%"', "", text)
