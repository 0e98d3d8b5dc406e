"""Models side by side: the table's figures are those of each alone, and differences are of the same resamples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ftmtl.errors import EvaluationError
from ftmtl.evaluation.cases import FindingCase, ImageCase, LesionCase, write_cases
from ftmtl.evaluation.comparison import write_comparison
from ftmtl.evaluation.hits import CENTRE_IN_CIRCLE, IOU_02
from ftmtl.evaluation.statistics import Resampling
from ftmtl.findings import FindingType
from node.cli.main import main

BOX = (10.0, 10.0, 30.0, 30.0)


def image(number: int, *, found: bool, label: str = "CIRC", alarms: int = 0) -> ImageCase:
    """An image with one lesion, found with certainty or not at all, and a number of weaker false positives."""
    lesion = LesionCase(BOX, FindingType.MASS, number % 2 == 0, False, 0.5, label)
    near = dict.fromkeys(("iou", "dice", "centre", "circle"), (1.0,))
    far = dict.fromkeys(("iou", "dice", "centre", "circle"), (0.0,))
    hits = [FindingCase(BOX, 0.9, 0.5, FindingType.MASS, near)] if found else []
    false = [FindingCase((60.0, 60.0, 70.0, 70.0), 0.1, 0.5, FindingType.MASS, far)] * alarms
    return ImageCase(f"i{number}", f"p{number}", "L", "CC", number % 2 == 0, (lesion,), tuple(hits + false))


GOOD = [image(n, found=n != 3, label="CIRC" if n < 6 else "SPIC") for n in range(8)]
WORSE = [image(n, found=n < 4, label="CIRC" if n < 6 else "SPIC", alarms=3) for n in range(8)]


def rows(text: str) -> dict[str, list[str]]:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {first: rest for first, *rest in reversed(cells)}


def test_the_table_says_what_each_finds_and_how_far_apart_they_are(tmp_path: Path) -> None:
    text = write_comparison(
        {"worse": WORSE, "good": GOOD}, tmp_path, rule=CENTRE_IN_CIRCLE, resampling=Resampling(samples=50)
    )
    lines = [line for line in text.splitlines() if line.startswith("| good") or line.startswith("| worse")]
    assert [line.split("|")[2].split()[0] for line in lines] == ["0.500", "0.875", "+0.375"]
    assert (tmp_path / "comparison.md").read_text() == text
    assert (tmp_path / "froc.png").read_bytes().startswith(b"\x89PNG")
    assert "all lesions: 8" in text
    assert "Research use only" in text


def test_kinds_of_lesions_are_told_apart(tmp_path: Path) -> None:
    text = write_comparison({"good": GOOD}, tmp_path, rule=IOU_02, kinds=("SPIC",), resampling=Resampling(samples=50))
    assert rows(text)["good"][0].startswith("1.000")
    assert "SPIC: 2" in text


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="not of the same images"):
        write_comparison({"a": GOOD, "b": GOOD[1:]}, tmp_path, rule=IOU_02)
    with pytest.raises(EvaluationError, match="no lesion of the kind ARCH"):
        write_comparison({"a": GOOD}, tmp_path, rule=IOU_02, kinds=("ARCH",))
    moved = [replace(GOOD[0], lesions=()), *GOOD[1:]]
    with pytest.raises(EvaluationError, match="not of the same images with the same lesions"):
        write_comparison({"a": GOOD, "b": moved}, tmp_path, rule=IOU_02)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, cases in (("one", WORSE), ("two", GOOD)):
        (tmp_path / name).mkdir()
        write_cases(cases, tmp_path / name / "cases.jsonl")
    out = tmp_path / "out"
    folders = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert main(["compare", *folders, "--out", str(out), "--rule", "centre in circle", "--kinds", "CIRC,SPIC"]) == 0
    assert "| minus one |" in capsys.readouterr().out
    assert main(["compare", *folders, "--out", str(out), "--rule", "touching"]) == 1
    assert "there is no hit rule 'touching'; there are IoU 0.5" in capsys.readouterr().err


def test_folds_of_an_ablation_are_one_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is compared on the images that an evaluation has, if that is asked for."""
    folds, whole, part = tmp_path / "folds", tmp_path / "whole", tmp_path / "part"
    for folder in (folds / "cases", whole, part):
        folder.mkdir(parents=True)
    write_cases(GOOD[:5], folds / "cases" / "D-s1-f0.jsonl")
    write_cases(GOOD[5:], folds / "cases" / "D-s1-f1.jsonl")
    write_cases(WORSE, whole / "cases.jsonl")
    write_cases(WORSE[:6], part / "cases.jsonl")
    out = ["--out", str(tmp_path / "out"), "--rule", "centre in circle"]
    assert main(["compare", str(whole), str(folds), *out]) == 0
    assert "all lesions: 8" in capsys.readouterr().out
    assert main(["compare", str(part), str(folds), *out]) == 1
    assert "not of the same images" in capsys.readouterr().err
    assert main(["compare", str(part), str(folds), *out, "--common"]) == 0
    assert "all lesions: 6" in capsys.readouterr().out
    write_cases(GOOD[:1], folds / "cases" / "B-s1-f0.jsonl")
    assert main(["compare", str(folds), *out]) == 1
    assert "holds several runs: image i0 appears 2 times" in capsys.readouterr().err
