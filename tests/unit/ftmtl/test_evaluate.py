"""Evaluation: known cases give known figures, files give them again, and what cannot be computed is said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from ftmtl.datasets.annotated import AnnotatedImage, Lesion
from ftmtl.errors import DatasetError, EvaluationError, NotAnalysable
from ftmtl.evaluation.evaluate import (
    Report,
    Resampling,
    compare,
    compare_runs,
    evaluate,
    measure,
    read_cases,
    write_cases,
)
from ftmtl.evaluation.sheets import spots, threshold_at
from ftmtl.findings import Finding, FindingType, ImageResult, LesionMask, ModelIdentity, Outcome, StudyResult
from ftmtl.mammogram.load import Mammogram, from_array

ROWS, COLUMNS = 160, 120
RESAMPLING = Resampling(samples=60)
NO_INTERVALS = Resampling(samples=0)
MASS, CALCIFICATION = FindingType.MASS, FindingType.CALCIFICATION


def square(x: int, y: int, width: int = 20, height: int = 20) -> LesionMask:
    return LesionMask(np.ones((height, width), dtype=bool), x, y)


def box_of(mask: LesionMask) -> tuple[float, float, float, float]:
    height, width = mask.pixels.shape
    return (mask.column, mask.row, mask.column + width, mask.row + height)


def lesion(mask: LesionMask, malignant: bool | None, type: FindingType = MASS, outlined: bool = True) -> Lesion:
    return Lesion(box_of(mask), type, malignant, mask if outlined else None)


def finding(mask: LesionMask, probability: float, malignancy: float) -> Finding:
    return Finding(box_of(mask), mask, probability, malignancy)


@dataclass(frozen=True, kw_only=True)
class Drawn(AnnotatedImage):
    """A half disc as a breast, with given lesions; ``fault`` is raised instead if there is one."""

    lesions: tuple[Lesion, ...] = ()
    fault: Exception | None = None

    def load(self) -> tuple[Mammogram, tuple[Lesion, ...]]:
        if self.fault:
            raise self.fault
        y, x = np.mgrid[:ROWS, :COLUMNS]
        breast = np.hypot(y - ROWS / 2, x) < 75
        grey = np.where(breast, 0.4 + 0.1 * np.sin(x / 3), 0.0).astype(np.float32)
        mammogram = from_array(grey, self.laterality, view=self.view)
        return replace(
            mammogram, acquisition=replace(mammogram.acquisition, sop_instance_uid=self.image_id)
        ), self.lesions

    @property
    def fingerprint(self) -> str:
        return self.image_id


class Scripted:
    """A model that says what it is told, by image id; it counts how many images it has seen."""

    model = ModelIdentity("Scripted", "1", "ab" * 32)
    threshold = 0.02

    batch = 3

    def __init__(self, findings: dict[str, list[Finding]], malignancy: dict[str, list[float]] | None = None) -> None:
        self.findings, self.malignancy = findings, malignancy or {}
        self.seen = 0

    def predict(self, study_uid: str, mammograms: Sequence[Mammogram]) -> StudyResult:
        self.seen += len(mammograms)
        return StudyResult(study_uid, self.model, tuple(self.describe(self.name_of(m)) for m in mammograms))

    def describe(self, name: str) -> ImageResult:
        found = tuple(self.findings.get(name, ()))
        outcome = Outcome.FINDINGS if found else Outcome.NO_FINDINGS
        return ImageResult(name, "L", "CC", outcome, findings=found)

    def examine(
        self, mammograms: Sequence[Mammogram], boxes: Sequence[list]
    ) -> tuple[list[ImageResult], list[list[float]]]:
        known = [
            self.malignancy.get(self.name_of(m), [0.5] * len(given)) for m, given in zip(mammograms, boxes, strict=True)
        ]
        return list(self.predict("", mammograms).images), known

    @staticmethod
    def name_of(mammogram: Mammogram) -> str:
        return mammogram.acquisition.sop_instance_uid


def image(name: str, *lesions: Lesion, malignant: bool | None, **more) -> Drawn:
    given = {"patient": name, "laterality": "L", "view": "CC", **more}
    return Drawn(image_id=name, lesions=lesions, malignant=malignant, **given)


HERE, THERE = square(20, 70), square(20, 30)
FOUR = [
    image("found", lesion(HERE, True), malignant=True),
    image("missed", lesion(HERE, True, CALCIFICATION), malignant=True),
    image("benign", lesion(HERE, False), malignant=False),
    image("normal", malignant=False),
]
MODEL = Scripted(
    {
        "found": [finding(HERE, 0.9, 0.8), finding(HERE, 0.3, 0.9)],
        "benign": [finding(square(20, 70, 10), 0.8, 0.5)],
        "normal": [finding(THERE, 0.6, 0.1)],
    },
    {"found": [0.9], "missed": [0.7], "benign": [0.2]},
)


@pytest.fixture(scope="module")
def evaluation():
    return evaluate(MODEL, FOUR)


def test_known_cases_give_known_figures(evaluation) -> None:
    metrics = measure(evaluation, resampling=RESAMPLING)
    values = {name: figure["value"] for name, figure in metrics["classification"].items()}
    assert values == pytest.approx(
        {
            "lesion_auc_true_boxes": 1.0,
            "lesion_auc_end_to_end": 0.5,
            "lesion_auc_found": 1.0,
            "image_auc": 0.5,
            "breast_auc": 0.5,
        }
    )
    assert metrics["segmentation"]["dice_detected"]["value"] == pytest.approx((1 + 2 / 3) / 2)
    assert metrics["segmentation"]["dice_with_misses"]["value"] == pytest.approx((1 + 2 / 3) / 3)
    iou_02 = metrics["detection"]["IoU 0.2"]["all"]
    assert {rate: figure["value"] for rate, figure in iou_02.items()} == pytest.approx(
        {"0.25": 2 / 3, "0.5": 2 / 3, "1": 2 / 3, "2": 2 / 3, "mean": 2 / 3}
    )
    assert all(figure["low"] <= figure["value"] <= figure["high"] for figure in iou_02.values())
    by_kind = metrics["detection_by_kind"]
    kinds = {kind: (row["lesions"], row["IoU 0.2"]["1"]["value"]) for kind, row in by_kind.items()}
    assert kinds == {"mass": (2, 1), "calcification": (1, 0), "malignant": (2, 0.5), "benign": (1, 1)}
    assert metrics["counts"] == {
        "patients": 4,
        "breasts": 4,
        "images": 4,
        "malignant_images": 2,
        "images_of_unknown_pathology": 0,
        "normal_images": 1,
        "lesions": 3,
        "malignant_lesions": 2,
        "benign_lesions": 1,
        "lesions_with_outline": 3,
        "findings": 4,
        "skipped_images": 0,
    }
    assert metrics["notes"] == []


def test_hit_rules_differ_where_they_should() -> None:
    """One on the upper third of the lesion overlaps by IoU 0.3, one in its corner by 0.04, outside the circle."""
    model = Scripted({"found": [finding(square(20, 70, 20, 20 // 3), 0.9, 0.5)]})
    metrics = measure(evaluate(model, FOUR[:1]), resampling=NO_INTERVALS)
    values = {rule: by_images["all"]["1"]["value"] for rule, by_images in metrics["detection"].items()}
    assert values == {"IoU 0.5": 0, "IoU 0.2": 1, "Dice 0.2": 1, "centre in box": 1, "centre in circle": 1}
    corner = Scripted({"found": [finding(square(20, 70, 4, 4), 0.9, 0.5)]})
    metrics = measure(evaluate(corner, FOUR[:1]), resampling=NO_INTERVALS)
    values = {rule: by_images["all"]["1"]["value"] for rule, by_images in metrics["detection"].items()}
    assert values == {"IoU 0.5": 0, "IoU 0.2": 0, "Dice 0.2": 0, "centre in box": 1, "centre in circle": 0}


def test_a_breast_scores_as_its_worst_view_and_a_patient_stays_whole() -> None:
    images = [
        image("a-cc", malignant=True, patient="a"),
        image("a-mlo", malignant=None, patient="a", view="MLO"),
        image("b-cc", malignant=False, patient="b"),
        image("b-mlo", malignant=None, patient="b", view="MLO"),
        image("c-cc", malignant=False, patient="c"),
        image("d", malignant=False, patient="d", laterality=None),
    ]
    model = Scripted({"a-mlo": [finding(HERE, 0.9, 0.9)], "c-cc": [finding(HERE, 0.5, 0.5)]})
    metrics = measure(evaluate(model, images), resampling=RESAMPLING)
    assert metrics["classification"]["image_auc"]["value"] == pytest.approx(1 / 3)
    assert metrics["classification"]["breast_auc"]["value"] == 1.0
    assert metrics["classification"]["breast_auc"]["skipped"] > 0
    assert metrics["counts"]["breasts"] == 3
    assert "Images of unknown laterality, which are left out of the breast figures: 1." in metrics["notes"]


def test_what_cannot_be_computed_is_null_and_a_note_says_why() -> None:
    alone = [image("one", lesion(HERE, None, outlined=False), malignant=None)]
    metrics = measure(evaluate(MODEL, alone), resampling=RESAMPLING)
    assert set(metrics["classification"].values()) == {None}
    assert set(metrics["segmentation"].values()) == {None}
    assert set(metrics["detection"]["IoU 0.2"]["normal"].values()) == {None}
    assert metrics["detection"]["IoU 0.2"]["all"]["1"]["value"] == 0
    assert metrics["detection"]["IoU 0.2"]["all"]["1"]["low"] is None
    assert "Image AUC: An AUC needs cases of both classes, and there is no positive one." in metrics["notes"]
    assert any("two patients" in note for note in metrics["notes"])
    assert len(set(metrics["notes"])) == len(metrics["notes"])
    json.dumps(metrics, allow_nan=False)
    assert measure([], resampling=RESAMPLING)["detection"]["IoU 0.2"]["all"]["1"] is None


def test_cases_from_a_file_give_the_same_figures(evaluation, tmp_path: Path) -> None:
    write_cases(evaluation.cases, tmp_path / "cases.jsonl")
    cases = read_cases(tmp_path / "cases.jsonl")
    assert tuple(cases) == evaluation.cases
    assert measure(cases, resampling=RESAMPLING) == measure(evaluation, resampling=RESAMPLING)


def test_a_file_that_holds_no_cases(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"absent\.jsonl cannot be read"):
        read_cases(tmp_path / "absent.jsonl")
    (tmp_path / "bad.jsonl").write_text('{"image_id": "x"}\n')
    with pytest.raises(EvaluationError, match=r"bad\.jsonl, line 1 is not a case"):
        read_cases(tmp_path / "bad.jsonl")


def test_a_model_does_not_differ_from_itself(evaluation) -> None:
    result = compare(evaluation.cases, list(reversed(evaluation.cases)), resampling=RESAMPLING)
    assert result.pop("notes") == []
    for figure in result.values():
        assert figure["first"] == figure["second"]
        assert (figure["value"], figure["low"], figure["high"], figure["p"]) == (0, 0, 0, 1)


def test_a_better_model_is_told_from_a_worse_one() -> None:
    images = [image(f"p{i}", lesion(HERE, i % 2 == 0), malignant=i % 2 == 0) for i in range(12)]
    good = Scripted({x.image_id: [finding(HERE, 0.9, 0.9 if x.malignant else 0.1)] for x in images})
    poor = Scripted({x.image_id: [finding(square(20, 70, 12), 0.9, 0.5)] for x in images})
    first, second = (evaluate(model, images).cases for model in (good, poor))
    result = compare(first, second, resampling=RESAMPLING)
    assert (result["image_auc"]["first"], result["image_auc"]["second"]) == (1.0, 0.5)
    assert result["image_auc"]["p"] < 0.05
    assert result["dice_detected"]["value"] == pytest.approx(1 - 24 / 32)
    runs = compare_runs([first, second], [second, second], resampling=RESAMPLING)
    assert runs["image_auc"]["value"] == pytest.approx(0.25)


def test_different_images_or_lesions_cannot_be_compared(evaluation) -> None:
    cases = evaluation.cases
    moved = replace(cases[0].lesions[0], box=(0.0, 0.0, 5.0, 5.0))
    for other in (cases[:-1], [*cases[:-1], cases[0]], [replace(cases[0], lesions=(moved,)), *cases[1:]]):
        with pytest.raises(EvaluationError, match="not of the same images"):
            compare(cases, other, resampling=RESAMPLING)


@pytest.mark.parametrize("fault", [DatasetError("x.png is missing"), NotAnalysable("No breast."), OSError("disk")])
def test_an_image_that_cannot_be_read_is_refused_or_skipped_by_name(fault: Exception) -> None:
    images = [*FOUR, image("broken", malignant=False, fault=fault)]
    with pytest.raises(EvaluationError, match=f"Image broken cannot be evaluated: {fault}"):
        evaluate(MODEL, images)
    seen = []
    result = evaluate(MODEL, images, faults="skip", on_image=lambda done, of: seen.append((done, of)))
    assert result.skipped == (("broken", str(fault)),)
    assert seen == [(3, 5), (5, 5)]
    metrics = measure(result, resampling=NO_INTERVALS)
    assert metrics["counts"]["skipped_images"] == 1
    assert f"Image broken was skipped: {fault}" in metrics["notes"]


def test_a_data_set_that_makes_no_sense() -> None:
    with pytest.raises(EvaluationError, match="no image"):
        evaluate(MODEL, [])
    with pytest.raises(EvaluationError, match="found appears twice"):
        evaluate(MODEL, [FOUR[0], FOUR[0]])


def test_spots_are_hits_misses_and_false_positives(evaluation) -> None:
    assert threshold_at(evaluation.cases, 0.1) == 0.8
    shown = spots(evaluation.cases, 0.85)
    names = {kind: [spot.case.image_id for spot in group] for kind, group in shown.items()}
    assert names == {"hits": ["found"], "misses": ["missed", "benign"], "false_positives": []}
    assert [s.case.image_id for s in spots(evaluation.cases, 0.5)["false_positives"]] == ["normal"]


def test_the_report(evaluation, tmp_path: Path) -> None:
    model = Scripted(MODEL.findings)
    told = {"data_set": "four <drawings>", "command": "ftmtl evaluate & more", "resampling": RESAMPLING}
    folder = tmp_path / "new" / "report"
    metrics = Report(evaluation, images=FOUR, predict=model.predict, **told).write(folder)
    names = {"index.html", "metrics.json", "cases.jsonl", "hits.png", "misses.png", "false_positives.png"}
    plots = {f"{name}{suffix}.png" for name in ("roc", "froc", "dice", "reliability") for suffix in ("", "-dark")}
    assert {path.name for path in folder.iterdir()} == names | plots
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    assert tuple(read_cases(folder / "cases.jsonl")) == evaluation.cases
    page = (folder / "index.html").read_text()
    figure = metrics["segmentation"]["dice_detected"]
    for text in (
        "RESEARCH USE ONLY",
        "Scripted 1",
        "ab" * 32,
        "four &lt;drawings&gt;",
        "ftmtl evaluate &amp; more",
        f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})",
    ):
        assert text in page
    assert "$" not in page
    assert "http" not in page
    assert page.count("data:image/png;base64,") == 11
    assert model.seen == 4


def test_a_report_of_cases_with_nothing_to_measure(tmp_path: Path) -> None:
    result = evaluate(Scripted({}), [image("normal", malignant=False)])
    metrics = Report(result, resampling=RESAMPLING).write(tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert metrics["notes"]
    assert "No pictures were requested." in page
    assert not (tmp_path / "hits.png").exists()
