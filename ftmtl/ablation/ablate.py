"""The ablation: variants of the network, trained with several seeds, are compared on the same test images.

All results are kept in one folder, and nothing is computed twice: unfinished runs are resumed, existing cases are read.

    runs/VARIANT-sSEED[-fFOLD]/          run folders (`ftmtl.training.runs`)
    cases/VARIANT-sSEED[-fFOLD].jsonl    findings of the run's best weights on the test images
    ablation.json, ablation.md           the table
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ftmtl.datasets.annotated import AnnotatedImage, Lesion
from ftmtl.datasets.catalogue import DataSource, list_images
from ftmtl.errors import EvaluationError
from ftmtl.evaluation.cases import ImageCase, read_cases, write_cases
from ftmtl.evaluation.evaluate import LOWEST_SCORE, evaluate
from ftmtl.evaluation.figures import TITLES, statistics
from ftmtl.evaluation.measure import compare_runs
from ftmtl.evaluation.plots import with_interval, with_spread
from ftmtl.mammogram.load import Mammogram
from ftmtl.network.variants import VARIANTS, WEIGHTS_OF, variant
from ftmtl.predictor import Predictor
from ftmtl.training.data import held_out_images
from ftmtl.training.recipe import Holdout, Recipe
from ftmtl.training.runs import BEST, LAST
from ftmtl.training.train import train
from ftmtl.weights import load_weights, save_weights

log = logging.getLogger(__name__)

_BATCH = 8
"""Images per forward pass; shuffled features are exchanged between the RoIs of these images."""


@dataclass(frozen=True)
class Plan:
    """The plan of an ablation.

    Attributes
    ----------
    recipe
        Recipe by which each variant is trained; its seed is the first of the seeds.
    variants
        Names of `VARIANTS`.
    seeds
        Number of seeds.
    control
        The variant that the others are compared with.
    data
        Sources of test images, which must not be trained on. Either this or `folds` is given.
    folds
        Number of folds for cross-validation on the recipe's own data.
    """

    recipe: Recipe
    variants: tuple[str, ...]
    seeds: int = 5
    control: str = "B+"
    data: tuple[DataSource, ...] = ()
    folds: int = 0

    def __post_init__(self) -> None:
        if unknown := [name for name in (*self.variants, self.control) if name not in VARIANTS]:
            raise EvaluationError(f"there is no variant {unknown[0]!r}; known variants are {', '.join(VARIANTS)}")
        if self.control not in self.variants:
            raise EvaluationError(f"the control {self.control} has to be among the variants {', '.join(self.variants)}")
        if self.seeds < 1:
            raise EvaluationError(f"an ablation needs at least one seed, not {self.seeds}")
        if bool(self.data) == bool(self.folds):
            raise EvaluationError("an ablation is tested either on other data or on folds of the recipe's own data")


@dataclass(frozen=True)
class _Cell:
    """One training run: a variant, a seed, and the fold that is held out, or -1 for none."""

    variant: str
    seed: int
    fold: int

    def __str__(self) -> str:
        return f"{self.variant}-s{self.seed}" + (f"-f{self.fold}" if self.fold >= 0 else "")


@dataclass(frozen=True, kw_only=True)
class _Kept(AnnotatedImage):
    """A test image that is loaded once for all runs, because phantoms take longer to draw than to analyse."""

    image: AnnotatedImage

    def load(self) -> tuple[Mammogram, tuple[Lesion, ...]]:
        return self._loaded

    @cached_property
    def _loaded(self) -> tuple[Mammogram, tuple[Lesion, ...]]:
        return self.image.load()

    @property
    def fingerprint(self) -> str:
        return self.image.fingerprint

    @classmethod
    def of(cls, image: AnnotatedImage) -> _Kept:
        return cls(image=image, **{f.name: getattr(image, f.name) for f in fields(AnnotatedImage)})


def ablate(plan: Plan, out: Path) -> str:
    """Train, evaluate and compare the variants; write the table and return it as Markdown.

    Raises
    ------
    EvaluationError
        If test images are trained on.
    FtmtlError
        If training or evaluation fails.
    """
    tested = [_Kept.of(image) for source in plan.data for image in list_images(source)]
    _check_unseen(plan, tested)
    runs: dict[str, list[list[ImageCase]]] = {}
    for seed in range(plan.recipe.seed, plan.recipe.seed + plan.seeds):
        for name in plan.variants:
            folds = range(plan.folds) if plan.folds else (-1,)
            cases = [case for fold in folds for case in _cases(plan, _Cell(name, seed, fold), tested, out)]
            runs.setdefault(name, []).append(cases)
    table = _table(plan, runs)
    (out / "ablation.json").write_text(json.dumps(table, indent=2) + "\n")
    text = _markdown(plan, table)
    (out / "ablation.md").write_text(text)
    return text


def _check_unseen(plan: Plan, tested: Sequence[AnnotatedImage]) -> None:
    trained = {image.image_id for source in plan.recipe.sources() for image in list_images(source)}
    if both := [image.image_id for image in tested if image.image_id in trained]:
        raise EvaluationError(f"{len(both)} test images are trained on, including {both[0]}")


def _cases(plan: Plan, cell: _Cell, tested: Sequence[AnnotatedImage], out: Path) -> list[ImageCase]:
    path = out / "cases" / f"{cell}.jsonl"
    if path.exists():
        return read_cases(path)
    recipe = _recipe(plan, cell)
    weights = _weights(recipe, cell, out)
    images = tested or held_out_images(recipe)
    predictor = Predictor(weights, device=recipe.machine.device or None, threshold=LOWEST_SCORE, batch=_BATCH)
    log.info("evaluating cell=%s images=%d", cell, len(images))
    evaluation = evaluate(predictor, images)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    write_cases(evaluation.cases, partial)
    partial.replace(path)
    return list(evaluation.cases)


def _recipe(plan: Plan, cell: _Cell) -> Recipe:
    """Return the recipe of one cell; a variant without its own weights uses the recipe of the variant that has them."""
    trained = WEIGHTS_OF.get(cell.variant, cell.variant)
    holdout = Holdout(folds=plan.folds, fold=cell.fold) if plan.folds else plan.recipe.holdout
    weights = plan.recipe.start.weights.replace("{variant}", trained).replace("{seed}", str(cell.seed))
    start = plan.recipe.start.model_copy(update={"weights": weights})
    return plan.recipe.altered(variant=trained, seed=cell.seed, holdout=holdout, start=start)


def _weights(recipe: Recipe, cell: _Cell, out: Path) -> Path:
    """Train a cell, or save another variant's weights with this variant's configuration; return the weights' path."""
    run = out / "runs" / str(replace(cell, variant=recipe.variant))
    train(recipe, run)
    path = run / (BEST if (run / BEST).exists() else LAST)
    if recipe.variant == cell.variant:
        return path
    network, card, _ = load_weights(path)
    taken = out / "runs" / str(cell) / path.name
    save_weights(taken, network, replace(card, network=variant(cell.variant, card.network)))
    return taken


def _table(plan: Plan, runs: dict[str, list[list[ImageCase]]]) -> dict[str, Any]:
    """Return the figures of each variant by seed, and its differences from the control, with interval and by seed."""
    result: dict[str, Any] = {}
    for name, seeds in runs.items():
        figures = {key: [_value(cases, key) for cases in seeds] for key in TITLES}
        difference = None if name == plan.control else compare_runs(seeds, runs[plan.control])
        result[name] = {"seeds": figures, "difference": difference}
    for name, row in result.items():
        if name != plan.control:
            row["by_seed"] = {key: _gaps(row["seeds"][key], result[plan.control]["seeds"][key]) for key in TITLES}
    return {"control": plan.control, "seeds": plan.seeds, "variants": result}


def _value(cases: Sequence[ImageCase], key: str) -> float | None:
    try:
        return statistics(cases)[key](np.arange(len(cases)))
    except EvaluationError:
        return None


def _gaps(one: Sequence[float | None], other: Sequence[float | None]) -> list[float | None]:
    """Return the differences between two variants, seed by seed."""
    pairs = zip(one, other, strict=True)
    return [None if a is None or b is None else a - b for a, b in pairs]


def _markdown(plan: Plan, table: dict[str, Any]) -> str:
    """Format figures as mean ± standard deviation over seeds, differences with their 95% interval over patients."""
    lines = [f"| variant | {' | '.join(TITLES.values())} |", "|---" * (len(TITLES) + 1) + "|"]
    for name, row in table["variants"].items():
        lines.append(f"| {name} | {' | '.join(with_spread(row['seeds'][key]) for key in TITLES)} |")
        if row["difference"] is not None:
            gaps = [with_interval(row["difference"][key], sign="+") for key in TITLES]
            lines.append(f"| {name} − {plan.control} | {' | '.join(gaps)} |")
            by_seed = [with_spread(row["by_seed"][key], "+.3f") for key in TITLES]
            lines.append(f"| {name} − {plan.control}, by seed | {' | '.join(by_seed)} |")
    tested = f"{plan.folds} folds of patients" if plan.folds else ", ".join(str(source) for source in plan.data)
    seeds = f"{plan.seeds} seed{'s' if plan.seeds > 1 else ''}"
    words = f"{seeds}, tested on {tested}. Mean ± standard deviation over seeds. Differences have the 95% interval of "
    words += "a paired bootstrap over patients; differences by seed are mean ± standard deviation. Research use only."
    return "\n".join([*lines, "", words, ""])
