"""The model's page tells what the shipped weights do, on whatever machine this runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from support.places import ROOT

from ftmtl.cli import main

PAGE = ROOT / "docs" / "model.md"
COMMAND = "ftmtl evaluate --data phantoms:40@3000000 --out report"


def figures(text: str) -> dict[str, float]:
    """Every line ``title: 0.123 (…`` of a text."""
    return {title: float(value) for title, value in re.findall(r"^([A-Z][^:\n]+): ([01]\.\d+)", text, re.MULTILINE)}


def leeway(title: str) -> float:
    """How far a figure may be off: one lesion of 50, or one malignant one of 28, or one finding in another bin."""
    leeways = {"found at": 0.025, "found from": 0.04, "calibration error": 0.025}
    return next((value for words, value in leeways.items() if words in title), 0.005)


def test_the_shipped_weights_repeat_the_figures_of_the_models_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A lesion may be found one rank earlier or later where arithmetic rounds differently, but no more than that."""
    _, after = PAGE.read_text().split(f"$ {COMMAND}\n")
    told = figures(after.split("```")[0])
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(COMMAND)[1:]) == 0
    measured = figures(capsys.readouterr().out)
    assert measured.keys() == told.keys()
    assert len(told) == 16
    for title, value in measured.items():
        assert value == pytest.approx(told[title], abs=leeway(title)), title
    assert measured["Lesions found at 0.5 false positives per image (IoU 0.2)"] > 0.8
    assert measured["Dice on detected lesions"] > 0.8
