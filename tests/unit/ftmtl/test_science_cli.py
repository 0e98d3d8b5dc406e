"""The science's commands: what they print and write, and that every fault is a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from support.recipes import write_recipe

from ftmtl.network.ftmtlnet import build_network
from ftmtl.network.variants import NetworkConfig
from ftmtl.weights import SHIPPED, WeightsCard, save_weights
from node.cli.main import main

SMALL = NetworkConfig(channels=16, input_size=(128, 104), norm="group")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Small weights of a network that has learned nothing."""
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    save_weights(path, build_network(SMALL), WeightsCard("FT-MTL-Net", "small-1", SMALL, 0.5, data="nothing"))
    return path


def test_evaluate_writes_figures_and_a_page(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report"
    given = ["evaluate", str(weights), "--data", "phantoms:3@900", "--data", "phantoms:2@950", "--device", "cpu"]
    assert main([*given, "--out", str(out)]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["counts"]["images"] == 5
    assert metrics["model"]["version"] == "small-1"
    assert "--data phantoms:3@900 --data phantoms:2@950" in metrics["command"]
    page = (out / "index.html").read_text()
    assert "RESEARCH USE ONLY" in page
    assert "phantoms:3@900, phantoms:2@950" in page
    printed = capsys.readouterr().out
    assert "Lesions found at 0.5 false positives per image (IoU 0.2): " in printed
    assert "Image AUC: " in printed


def test_the_baseline_is_evaluated_like_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "blobs", "--data", "phantoms:4@900", "--out", str(tmp_path / "report")]) == 0
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert metrics["model"]["name"] == "Laplacian-of-Gaussian blobs"
    assert metrics["counts"]["findings"] > 4


def test_train_runs_a_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_recipe(tmp_path, steps=2, every=2)
    assert main(["train", str(recipe), "--out", str(tmp_path / "run")]) == 0
    assert "finished after 2 steps, best" in capsys.readouterr().out
    assert main(["weights", "verify", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.count("ok ") == 2
    assert {p.name for p in (tmp_path / "run").iterdir()} >= {"best.safetensors", "curves.png", "history.jsonl"}


def test_weights_tell_what_they_are(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list"]) == 0
    assert SHIPPED.name in capsys.readouterr().out
    assert main(["weights", "show", str(weights)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["version"] == "small-1"
    assert shown["network"]["channels"] == 16


def test_altered_weights_are_no_longer_verified(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One byte of one tensor: the file still parses."""
    content = bytearray(weights.read_bytes())
    content[-100] ^= 0x40
    weights.write_bytes(content)
    assert main(["weights", "verify", str(weights)]) == 1
    assert "do not have the checksum on their card" in capsys.readouterr().out


def test_data_are_counted_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = tmp_path / "sheet.png"
    assert main(["data", "phantoms:4", "--sheet", str(sheet), "--count", "2"]) == 0
    assert '"patients": 4' in capsys.readouterr().out
    assert sheet.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("given", "words", "status"),
    [
        (["evaluate", "none.safetensors", "--data", "phantoms:1", "--out", "x"], "none.safetensors cannot be read", 1),
        (
            ["evaluate", "--data", "ddsm:/x", "--out", "x"],
            "there is no data set 'ddsm'; known data sets are phantoms",
            1,
        ),
        (["evaluate", "--data", "mias:/nowhere", "--out", "x"], "/nowhere/labels.csv is missing", 1),
        (["train", "none.toml", "--out", "x"], "recipe none.toml cannot be read: No such file", 2),
        (["weights", "show", "none"], "weights none do not exist", 1),
        (["data", "phantoms:0"], "phantoms need a count of at least 1", 1),
    ],
)
def test_a_fault_is_a_sentence(given: list[str], words: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(given) == status
    errors = capsys.readouterr().err.strip()
    assert words in errors
    assert "Traceback" not in errors


def test_a_recipe_tells_all_its_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_recipe(tmp_path, extra='\n[start]\nweigths = "x"\n', steps=0)
    assert main(["train", str(recipe), "--out", str(tmp_path / "run")]) == 2
    errors = capsys.readouterr().err
    assert "start.weigths: there is no such key" in errors
    assert "phases.0.steps" in errors


def test_an_ablation_that_has_no_control(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_recipe(tmp_path)
    assert main(["ablate", str(recipe), "--variants", "D,E", "--folds", "2", "--out", str(tmp_path / "x")]) == 1
    assert "there is no variant 'E'" in capsys.readouterr().err
