"""Operating points: cuts of the cancer score of what is reported, on cases whose answer is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.places import ROOT

from ftmtl.errors import EvaluationError
from ftmtl.evaluation.cases import Evaluation, FindingCase, ImageCase, LesionCase
from ftmtl.evaluation.measure import Figures
from ftmtl.evaluation.operating import choose_points, measure_points, points_from_report
from ftmtl.evaluation.report import Report
from ftmtl.evaluation.statistics import Resampling
from ftmtl.findings import FindingType, ModelIdentity, OperatingPoint
from ftmtl.network.ftmtlnet import build_network
from ftmtl.network.variants import NetworkConfig
from ftmtl.predictor import Predictor
from ftmtl.weights import WeightsCard, find_weights, load_weights, read_card, save_weights
from node.cli.main import main

BOX = (0.0, 0.0, 10.0, 10.0)
SMALL = NetworkConfig(channels=16, input_size=(128, 104), norm="group")
CARD = WeightsCard("FT-MTL-Net", "small-1", SMALL, 0.5, checksum="ab" * 32)
RESAMPLING = Resampling(samples=60)


def finding(lesion: float, malignancy: float, *overlaps: float) -> FindingCase:
    """A finding, and its overlap with each lesion of its image."""
    measures = ("iou", "dice", "centre", "circle")
    return FindingCase(BOX, lesion, malignancy, FindingType.MASS, dict.fromkeys(measures, overlaps))


def case(name: str, lesions: list[bool | None], *findings: FindingCase) -> ImageCase:
    """An image, and whether each of its lesions is malignant."""
    truth = tuple(LesionCase(BOX, FindingType.MASS, malignant, True, 0.5) for malignant in lesions)
    return ImageCase(name, name, "L", "CC", any(lesions), truth, findings)


CASES = [
    case("sure", [True], finding(0.9, 0.9, 0.8)),
    case("likely", [True], finding(0.8, 0.5, 0.8), finding(0.7, 0.4, 0.7)),
    case("not reported", [True], finding(0.3, 1.0, 0.8)),
    case("benign", [False], finding(0.95, 0.9, 0.8)),
    case("false", [], finding(0.9, 0.6)),
    case("false and low", [], finding(0.6, 0.1), finding(0.4, 0.9)),
    *(case(f"normal {n}", []) for n in range(4)),
]
"""Ten images, three malignant lesions. Of what is reported, two findings are false: 0.54 and 0.06."""


def test_points_are_the_lowest_cuts_within_the_rates() -> None:
    """Findings on benign lesions and second ones on a lesion are no false positives; what is not reported is missed."""
    points = choose_points(CASES, 0.5, [0.1, 0.05])
    assert points == (
        OperatingPoint(pytest.approx((0.81 + 0.54) / 2), pytest.approx(1 / 3), 0.0),
        OperatingPoint(pytest.approx((0.40 + 0.06) / 2), pytest.approx(2 / 3), pytest.approx(0.1)),
        OperatingPoint(0.0, pytest.approx(2 / 3), pytest.approx(0.2)),
    )


def test_what_is_reported_decides_the_last_point() -> None:
    points = choose_points(CASES, 0.2, [0.1])
    assert points[-1] == OperatingPoint(0.0, 1.0, pytest.approx(0.3))


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ([0.1, 0.12], "two operating points have the same 0.100"),
        ([0.3], "all that is reported has 0.200"),
    ],
)
def test_points_that_would_be_the_same(rates: list[float], words: str) -> None:
    with pytest.raises(EvaluationError, match=words):
        choose_points(CASES, 0.5, rates)


def test_rates_and_cases_without_a_point() -> None:
    with pytest.raises(EvaluationError, match="at least one lesion that counts"):
        choose_points(CASES[3:], 0.5, [0.05])
    with pytest.raises(EvaluationError, match=r"no finding counts at 0\.05 false positives per image"):
        choose_points([case("false", [], finding(1.0, 1.0)), *CASES[:3]], 0.5, [0.05])


def test_given_cuts_are_measured_on_other_cases() -> None:
    points = choose_points(CASES, 0.5, [0.05, 0.1])
    rows = measure_points(CASES, 0.5, points, Figures([c.patient for c in CASES], RESAMPLING))
    for point, row in zip(points, rows, strict=True):
        assert row["threshold"] == point.threshold
        for name in ("sensitivity", "false_positives"):
            assert row[name]["value"] == pytest.approx(getattr(point, name))
            assert row[name]["low"] <= row[name]["value"] <= row[name]["high"]
    assert rows[2]["false_positives"]["low"] < 0.2 < rows[2]["false_positives"]["high"]
    figures = Figures(["a", "b"], RESAMPLING)
    assert measure_points(CASES[4:6], 0.5, points[:1], figures)[0]["sensitivity"] is None
    assert "Operating point 1: A FROC curve needs at least one lesion that counts" in figures.notes[0]


def write_report(folder: Path, card: WeightsCard, threshold: float = 0.001) -> Path:
    model = ModelIdentity(card.name, card.version, "cd" * 32)
    evaluation = Evaluation(model, threshold, tuple(CASES))
    Report(evaluation, card=card, data_set="phantoms:10@5", resampling=Resampling(samples=0)).write(folder)
    return folder


def test_a_report_gives_a_card_its_points(tmp_path: Path) -> None:
    card = points_from_report(write_report(tmp_path / "report", CARD), CARD, (0.05, 0.1), "drawings")
    assert card.operating_points == choose_points(CASES, 0.5, (0.05, 0.1))
    assert card.measured_on == "10 drawings (phantoms:10@5), 3 malignant lesions, hit rule IoU 0.2"
    assert replace(card, operating_points=(), measured_on="") == CARD
    metrics = json.loads((write_report(tmp_path / "again", card) / "metrics.json").read_text())
    assert [row["sensitivity"]["value"] for row in metrics["operating_points"]] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert ">0.675<" in (tmp_path / "again" / "index.html").read_text()


@pytest.mark.parametrize("field", ["name", "version", "checksum"])
def test_a_report_of_other_weights_is_refused(field: str, tmp_path: Path) -> None:
    folder = write_report(tmp_path, CARD)
    with pytest.raises(EvaluationError, match=f"is of other weights: its .*, not {'ee' * 32}"):
        points_from_report(folder, replace(CARD, **{field: "ee" * 32}))


def test_reports_that_do_not_serve(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"keeps findings from lesion score 0\.6; the weights report them from 0"):
        points_from_report(write_report(tmp_path, CARD, threshold=0.6), CARD)
    (tmp_path / "metrics.json").write_text("[]")
    with pytest.raises(EvaluationError, match=r"metrics\.json is not of an evaluation"):
        points_from_report(tmp_path, CARD)
    (tmp_path / "metrics.json").unlink()
    with pytest.raises(EvaluationError, match=r"metrics\.json cannot be read"):
        points_from_report(tmp_path, CARD)


def test_the_command_writes_the_card_and_leaves_the_tensors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    save_weights(path, build_network(SMALL), CARD)
    before, old, sha256 = load_weights(path)
    report = write_report(tmp_path / "report", old)
    given = ["weights", "operating-points", str(path), str(report), "--rates", "0.05,0.1"]
    assert main([*given, "--out", str(tmp_path / "other.safetensors")]) == 0
    assert load_weights(path)[2] == sha256
    assert main(given) == 0
    assert "0.6750                     0.333                       0.000" in capsys.readouterr().out
    after, new, other = load_weights(path)
    assert other != sha256
    assert new.checksum == old.checksum
    assert all(torch.equal(t, after.state_dict()[name]) for name, t in before.state_dict().items())
    model = Predictor(path, device="cpu").model
    assert model.operating_points == new.operating_points == choose_points(CASES, 0.5, (0.05, 0.1))
    assert model.measured_on.startswith("10 images (phantoms:10@5)")
    assert main(["weights", "operating-points", str(path), str(tmp_path)]) == 1
    assert "cases.jsonl cannot be read" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*given[:-1], "0.05,nan"])


@pytest.mark.parametrize("path", find_weights(), ids=lambda path: path.stem)
def test_the_shipped_weights_have_points_from_phantoms_alone(path: Path) -> None:
    """Film is for evaluation only, and CDD-CESM was trained on: neither may choose a cut."""
    card = read_card(path)
    points = card.operating_points
    assert len(points) >= 3
    assert (
        card.measured_on == "500 synthetic mammograms (phantoms:500@3000000), 295 malignant lesions, hit rule IoU 0.2"
    )
    assert points[-1].threshold == 0
    assert [p.threshold for p in points] == sorted((p.threshold for p in points), reverse=True)
    for name in ("sensitivity", "false_positives"):
        values = [getattr(point, name) for point in points]
        assert len(set(values)) == len(values)
        assert values == sorted(values)


@pytest.mark.parametrize("path", find_weights(), ids=lambda path: path.stem)
def test_the_page_tells_what_the_cards_hold(path: Path) -> None:
    card = read_card(path)
    page = (ROOT / "docs" / "evidence" / "operating-points.md").read_text()
    for point in card.operating_points:
        row = page.split(f"| `{card.version}`, {round(point.threshold, 4):g} | malignant lesions found | ")[1]
        first, second, *_ = row.splitlines()
        assert first.startswith(f"{point.sensitivity:.3f} (")
        assert second.startswith(f"| | false positives per image | {point.false_positives:.3f} (")
