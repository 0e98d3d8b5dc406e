"""Every kind of object, of every outcome, of every kind of study, before every validator and reader that takes it.

What each kind has to say is tested kind by kind; here is what a PACS would make of all of it together.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from highdicom.seg import segread
from highdicom.sr import srread
from support import mg
from support.every_kind import CADS, OF_THE_STUDY, REPORTS
from support.headers import image_with
from support.outcomes import OUTCOMES, REASON, TOMOSYNTHESIS, measured, study_case
from support.peers import pixelmed_errors
from support.reader import Mask, Reader, in_the_middle
from support.studies import WITH_PIXELS, make_study
from support.validators import Run, about_a_source_alone, about_the_private_score, errors

from ftmtl.findings import StudyResult
from ftmtl.mammogram.load import Mammogram
from ftmtl.mammogram.pixels import display_pixels
from node.domain import ResultObject
from node.kinds import ObjectKind as Kind
from node.results.build import build_results
from workers.analyse import Order, analyse_study

CASES = [case for case in product((*WITH_PIXELS, "tomosynthesis"), OUTCOMES) if case != ("tomosynthesis", "findings")]
"""A tomosynthesis volume is never analysed: alone it is a failure, beside a mammogram a study analysed in part."""

INFORMATION_OBJECTS = {
    Kind.SR: "Comprehensive3DSR",
    Kind.SR_COMPREHENSIVE: "ComprehensiveSR",
    Kind.SR_OHIF: "Comprehensive3DSR",
    Kind.CAD: "MammographyCADSR",
    Kind.CAD_DENSITY: "MammographyCADSR",
    Kind.PR: "GrayscaleSoftcopyPresentationState",
    Kind.SC: "SCImage",
}
"""What dciodvfy takes each for, if not for a segmentation."""


class Case(NamedTuple):
    """A study's files, how its analysis ended, and what was written."""

    paths: list[Path]
    result: StudyResult
    objects: list[ResultObject]

    def of(self, *kinds: Kind) -> list[Path]:
        """Return the objects of some kinds."""
        return [made.path for made in self.objects if made.kind in kinds]

    @property
    def lesions(self) -> int:
        """How many there are in the study."""
        return sum(len(image.findings) for image in self.result.images)


Make = Callable[[str, str], Case]
OF_EACH = pytest.mark.parametrize(("name", "outcome"), CASES, ids=[" ".join(words) for words in CASES])


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Write all kinds of objects of a study, once."""
    folder = tmp_path_factory.mktemp("matrix")
    study_of = cache(lambda name: make_study(name, folder / name, pixels=True))

    @cache
    def make(name: str, outcome: str) -> Case:
        out = folder / f"{name} {outcome}"
        if name == "tomosynthesis":
            return beside_a_volume(out, outcome)
        study = study_of(name)
        _, result, _ = study_case(study, outcome)
        result = measured(result)
        return Case(study.paths, result, build_results(result, study.paths, out, list(Kind), display=display_pixels))

    return make


def beside_a_volume(folder: Path, outcome: str) -> Case:
    folder.mkdir()
    paths = [mg.write(mg.tomosynthesis(), folder)] + [mg.write(image_with({}), folder)] * (outcome != "failed")
    analysis = analyse_study(
        paths, Reader(nothing if outcome == "none" else in_the_middle), folder / "out", Order(tuple(Kind))
    )
    return Case(paths, analysis.result, list(analysis.objects))


def nothing(mammogram: Mammogram) -> Mask:
    """Find nothing."""
    return np.zeros(mammogram.pixels.shape, dtype=bool)


@OF_EACH
def test_there_is_what_there_should_be(name: str, outcome: str, make: Make) -> None:
    """All kinds where there are lesions, else those that say that there are none, or why."""
    case = make(name, outcome)
    kinds = list(dict.fromkeys(made.kind for made in case.objects))
    assert kinds == (list(Kind) if outcome in ("findings", "partial") else OF_THE_STUDY)
    assert bool(case.lesions) is (outcome in ("findings", "partial"))


@OF_EACH
def test_dciodvfy_takes_each_for_what_it_is(name: str, outcome: str, make: Make, run_tool: Run) -> None:
    case = make(name, outcome)
    for made in case.objects:
        status, lines = run_tool("dciodvfy", "-new", made.path)
        assert not errors(lines), made.kind
        assert status == 0, made.kind
        assert INFORMATION_OBJECTS.get(made.kind, "Segmentation") in lines, made.kind


@OF_EACH
def test_dcentvfy_takes_all_for_one_study(name: str, outcome: str, make: Make, run_tool: Run) -> None:
    case = make(name, outcome)
    _, lines = run_tool("dcentvfy", *case.paths, *(made.path for made in case.objects))
    assert not [line for line in errors(lines) if not about_a_source_alone(line, case.paths)]


@OF_EACH
def test_dcmtk_reads_and_renders_every_report(name: str, outcome: str, make: Make, run_tool: Run) -> None:
    """As text and as a page for people; what was not analysed is in both, with the reason."""
    case = make(name, outcome)
    reasons = {image.reason for image in case.result.images} - {""}
    assert reasons <= {REASON, TOMOSYNTHESIS, "The file can't be read."}
    for made in case.objects:
        if made.kind not in (*REPORTS, *CADS):
            continue
        for tool in (("dsrdump", "+Pl"), ("dsr2html",)):
            status, lines = run_tool(*tool, made.path)
            told = " ".join(lines).replace("&#39;", "'").replace("&apos;", "'")
            assert status == 0, (made.kind, tool)
            assert not [line for line in lines if line.startswith(("E:", "F:"))], (made.kind, tool)
            assert "Research use only" in told, (made.kind, tool)
            if made.kind is not Kind.SR_OHIF:
                assert all(reason in told for reason in reasons), (made.kind, tool)


@OF_EACH
def test_highdicom_reads_reports_and_segmentations(name: str, outcome: str, make: Make) -> None:
    """It refuses Pixel Measures without Slice Thickness, so that it can't read segmentations for OHIF."""
    case = make(name, outcome)
    for kind in REPORTS:
        groups = [g for path in case.of(kind) for g in srread(path).content.get_planar_roi_measurement_groups()]
        assert len(groups) == case.lesions, kind
    for kind in (Kind.SEG, Kind.SEG_FRACTIONAL, Kind.SEG_LABELMAP):
        assert sum(len(segread(path).segment_numbers) for path in case.of(kind)) == case.lesions, kind


@OF_EACH
def test_dcmqi_reads_every_measurement_report(
    name: str, outcome: str, make: Make, tmp_path: Path, run_tool: Run
) -> None:
    """One group per image where there are no lesions: dcmqi reads no more than that."""
    case = make(name, outcome)
    images = len(case.result.mammograms)
    for kind in REPORTS:
        told = 0
        for path in case.of(kind):
            status, lines = run_tool("tid1500reader", "--inputDICOM", path, "--outputMetadata", tmp_path / "read.json")
            assert status == 0, kind
            assert not [line for line in lines if line.startswith(("E:", "ERROR", "F:"))], kind
            told += len(json.loads((tmp_path / "read.json").read_text())["Measurements"])
        assert told == (case.lesions or (0 if kind is Kind.SR_OHIF else images)), kind


def test_pixelmed_accepts_reports_by_their_templates(make: Make) -> None:
    """TID 1500 and TID 4000. A report takes seconds, so one is judged for each case, the kinds taking turns."""
    turns = (Kind.SR, Kind.CAD, Kind.SR_COMPREHENSIVE, Kind.SR_OHIF, Kind.CAD_DENSITY)
    judged: dict[Path, Kind] = {}
    for n, case in enumerate(CASES):
        kind = turns[n % len(turns)]
        kind = kind if make(*case).of(kind) else Kind.SR
        judged[make(*case).of(kind)[0]] = kind
    assert set(judged.values()) == set(turns)
    cads = tuple(path.name for path, kind in judged.items() if kind in CADS)
    lines = pixelmed_errors(*judged)
    assert not [line for line in lines if ": Error" in line]
    warned = [line for line in lines if line.startswith(cads) and not about_the_private_score(line)]
    assert not warned, "not even a warning, but for our own concept"
