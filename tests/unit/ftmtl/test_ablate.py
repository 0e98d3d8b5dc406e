"""The ablation: every cell is trained and measured once, and the table says what the cases say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.recipes import write_recipe

from ftmtl.ablation.ablate import Plan, ablate
from ftmtl.datasets.catalogue import DataSource
from ftmtl.errors import EvaluationError
from ftmtl.evaluation.cases import read_cases
from ftmtl.training.data import held_out_images, list_data
from ftmtl.training.recipe import Holdout, Recipe, read_recipe

UNSEEN = DataSource.parse("phantoms:5@900")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("ablation")
    return read_recipe(write_recipe(folder, cache=folder / "cache", steps=2, every=2))


def test_variants_over_seeds_on_unseen_images(recipe: Recipe, tmp_path: Path) -> None:
    plan = Plan(recipe, ("B+", "D", "D-shuffle"), seeds=2, data=(UNSEEN,))
    text = ablate(plan, tmp_path)
    names = [f"{variant}-s{seed}" for seed in (5, 6) for variant in ("B+", "D", "D-shuffle")]
    assert sorted(p.stem for p in (tmp_path / "cases").iterdir()) == sorted(names)
    cases = {name: read_cases(tmp_path / "cases" / f"{name}.jsonl") for name in names}
    unseen = [f"phantom-{n}" for n in range(900, 905)]
    assert all([case.image_id for case in listed] == unseen for listed in cases.values())
    same, other = (
        [[getattr(f, key) for case in cases[name] for f in case.findings] for name in ("D-s5", "D-shuffle-s5")]
        for key in ("lesion_score", "malignancy_score")
    )
    assert same[0] == same[1]
    assert other[0] != other[1]
    table = json.loads((tmp_path / "ablation.json").read_text())
    assert table["variants"]["B+"]["difference"] is None
    first, second = (table["variants"][name]["seeds"]["dice_with_misses"] for name in ("D", "B+"))
    assert table["variants"]["D"]["by_seed"]["dice_with_misses"] == [a - b for a, b in zip(first, second, strict=True)]
    assert len(first) == 2
    assert "| D − B+ |" in text
    assert "Research use only" in text
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")}
    assert ablate(plan, tmp_path) == text
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")} == before


def test_folds_measure_every_patient_once(recipe: Recipe, tmp_path: Path) -> None:
    """Even without a validation part: then the last weights are measured."""
    recipe = recipe.altered(validation=recipe.validation.model_copy(update={"part": 0.0}))
    ablate(Plan(recipe, ("D", "B"), seeds=1, control="B", folds=2), tmp_path)
    folds = [read_cases(tmp_path / "cases" / f"D-s5-f{fold}.jsonl") for fold in (0, 1)]
    measured = [case.image_id for fold in folds for case in fold]
    assert sorted(measured) == [f"phantom-{n}" for n in range(500, 512)]
    for fold in (0, 1):
        held = recipe.altered(holdout=Holdout(folds=2, fold=fold), seed=77)
        trained = list_data(held)
        assert {c.patient for c in folds[fold]} == {image.patient for image in held_out_images(held)}
        assert not {c.patient for c in folds[fold]} & {i.patient for i in (*trained.training, *trained.validation)}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"variants": ("B+", "E")}, "no variant 'E'; known variants are A, B"),
        ({"variants": ("D",)}, r"the control B\+ has to be among"),
        ({"seeds": 0}, "at least one seed"),
        ({"data": ()}, "either on other data or on folds"),
        ({"folds": 3}, "either on other data or on folds"),
    ],
)
def test_plans_without_meaning(recipe: Recipe, given: dict[str, object], words: str) -> None:
    with pytest.raises(EvaluationError, match=words):
        Plan(**{"recipe": recipe, "variants": ("B+", "D"), "data": (UNSEEN,), **given})


def test_images_that_are_trained_on_are_no_test(recipe: Recipe, tmp_path: Path) -> None:
    plan = Plan(recipe, ("B+", "D"), seeds=1, data=(DataSource.parse("phantoms:5@510"),))
    with pytest.raises(EvaluationError, match="2 test images are trained on, including phantom-510"):
        ablate(plan, tmp_path)


def test_each_run_starts_from_the_weights_of_its_variant_and_seed(recipe: Recipe, tmp_path: Path) -> None:
    """This is how a variant that learned from one data set goes on with another."""
    ablate(Plan(recipe, ("B+", "D"), seeds=1, data=(UNSEEN,)), tmp_path / "first")
    weights = f"{tmp_path}/first/runs/{{variant}}-s{{seed}}/best.safetensors"
    further = recipe.altered(start=recipe.start.model_copy(update={"weights": weights}))
    ablate(Plan(further, ("B+", "D"), seeds=1, data=(UNSEEN,)), tmp_path / "second")
    for name in ("B+", "D"):
        run = json.loads((tmp_path / "second" / "runs" / f"{name}-s5" / "recipe.json").read_text())
        assert run["start"]["weights"] == f"{tmp_path}/first/runs/{name}-s5/best.safetensors"
