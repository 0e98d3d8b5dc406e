"""The science's commands: train, evaluate, compare, ablate, weights, data. ``node.cli`` adds its own to them.

Each command imports what it needs when it runs; ``python -m ftmtl.cli`` has these commands alone.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from ftmtl.errors import FtmtlError, RecipeError
from ftmtl.extras import words_for

_DATA = "phantoms:COUNT[@SEED], or NAME:FOLDER[#train|#test] with NAME inbreast, cbis-ddsm, vindr-mammo, cdd-cesm, mias"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status: 0 done, 1 it failed, 2 it was not understood."""
    parser = argparse.ArgumentParser(prog="python -m ftmtl.cli", description="FT-MTL-Net. Research use only.")
    add_commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    return int(arguments.run(arguments))


def add_commands(commands: Any) -> None:
    """Add the commands to a parser's subparsers; each sets ``run`` to a function of its arguments."""
    train = _command(commands, "train", _train, "train weights from a recipe, or go on with a run")
    train.add_argument("recipe", type=Path, metavar="RECIPE.toml")
    train.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    train.add_argument("--device", help="cpu, cuda, cuda:1 (default what the recipe says)")

    evaluate = _command(commands, "evaluate", _evaluate, "measure weights on annotated images; writes a report page")
    evaluate.add_argument(
        "weights", type=Path, nargs="?", help="a safetensors file (default the shipped one); or blobs, the baseline"
    )
    evaluate.add_argument("--data", action="append", required=True, metavar="DATA", help=f"{_DATA}; may repeat")
    evaluate.add_argument("--out", type=Path, required=True, metavar="DIR")
    evaluate.add_argument("--threshold", type=float, help="lesion score from which findings are kept (default 0.001)")
    evaluate.add_argument("--device", help="cpu, cuda, cuda:1 (default the GPU if there is one)")
    _add_faults(evaluate)

    compare = _command(commands, "compare", _compare, "set evaluations of the same images side by side")
    compare.add_argument(
        "reports", type=Path, nargs="+", metavar="REPORT", help="folders of ftmtl evaluate, or ftmtl ablate --folds"
    )
    compare.add_argument("--out", type=Path, required=True, metavar="DIR")
    compare.add_argument("--rule", default="IoU 0.2", help="hit rule (default IoU 0.2), or: centre in circle, ...")
    compare.add_argument("--kinds", default="", help="comma-separated kinds of lesion that count (default all)")
    compare.add_argument("--common", action="store_true", help="of images that all have; others are left out")

    ablate = _command(commands, "ablate", _ablate, "train and compare the variants of the network over seeds")
    ablate.add_argument("recipe", type=Path, metavar="RECIPE.toml")
    ablate.add_argument("--out", type=Path, required=True, metavar="DIR", help="runs, cases and the table")
    ablate.add_argument("--variants", default="B+,D", help="comma-separated (default B+,D)")
    ablate.add_argument("--seeds", type=int, default=5, help="how many, from the recipe's own on (default 5)")
    ablate.add_argument("--control", default="B+", help="what the others are compared with (default B+)")
    tested = ablate.add_mutually_exclusive_group(required=True)
    tested.add_argument("--data", action="append", metavar="DATA", help=f"test images: {_DATA}; may repeat")
    tested.add_argument("--folds", type=int, help="cross-validate on the recipe's own data, patients grouped")
    ablate.add_argument("--device", help="cpu, cuda, cuda:1 (default what the recipe says)")

    _add_weights(commands)

    data = _command(commands, "data", _data, "list a data set, check that it can be read, draw a sheet of it")
    data.add_argument("source", metavar="DATA", help=_DATA)
    data.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw images with their lesions")
    data.add_argument("--count", type=int, default=24, help="how many images are drawn (default 24)")
    data.add_argument("--seed", type=int, default=0, help="which images are drawn")
    _add_faults(data)


def _add_weights(commands: Any) -> None:
    words = "list weights, show what they say of themselves, verify them, give them operating points"
    weights = commands.add_parser("weights", help=words, description=f"{words.capitalize()}.")
    actions = weights.add_subparsers(required=True, dest="action", metavar="ACTION")
    for name, words in (
        ("list", "list weights"),
        ("show", "show what weights say of themselves"),
        ("verify", "check that weights are what was written"),
    ):
        action = _command(actions, name, _weights, words)
        action.add_argument(
            "paths", nargs="*", type=Path, metavar="PATH", help="files or folders (default the shipped)"
        )
        action.add_argument("--json", action="store_true", help="for programs")
    points = _command(
        actions,
        "operating-points",
        _operating_points,
        "choose cuts of the cancer score by an evaluation of the weights",
    )
    points.add_argument("weights", type=Path, metavar="WEIGHTS", help="a safetensors file; its card is written anew")
    points.add_argument("report", type=Path, metavar="REPORT", help="folder of ftmtl evaluate")
    points.add_argument(
        "--rates", type=_rates, metavar="RATES", help="comma-separated false positives per image (default 0.03,0.1)"
    )
    points.add_argument("--images", default="images", metavar="WORDS", help="what the images are, in words")
    points.add_argument("--out", type=Path, metavar="FILE", help="write another file instead")


def _rates(text: str) -> tuple[float, ...]:
    rates = tuple(float(rate) for rate in text.split(","))
    if not all(0 < rate < float("inf") for rate in rates):
        raise ValueError(text)
    return rates


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=words, description=f"{words[:1].upper()}{words[1:]}."
    )
    parser.set_defaults(run=lambda arguments: _explained(run, arguments))
    return parser


def _explained(run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Run a command; an error becomes a sentence."""
    try:
        return run(arguments)
    except RecipeError as error:
        for fault in error.faults:
            print(f"ftmtl: {fault}", file=sys.stderr)
        return 2
    except FtmtlError as error:
        print(f"ftmtl: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        words = words_for(error)
        if words is None:
            raise
        print(f"ftmtl: {words}", file=sys.stderr)
        return 1


def _add_faults(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--faults", choices=("refuse", "skip"), default="refuse", help="what to do about missing or damaged files"
    )


def _train(arguments: argparse.Namespace) -> int:
    import_module("matplotlib")  # or its absence would be noticed only after hours
    from ftmtl.training.recipe import read_recipe
    from ftmtl.training.train import train

    progress = train(read_recipe(arguments.recipe, device=arguments.device), arguments.out)
    if os.environ.get("RANK", "0") != "0":  # torchrun: the first process speaks for all
        return 0
    best = "" if progress.best is None else f", best {progress.best:.4f} at step {progress.best_step}"
    print(f"{arguments.out}: finished after {progress.total} steps{best}")
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    import_module("matplotlib")
    from ftmtl.datasets.catalogue import DataSource, list_images
    from ftmtl.evaluation.blobs import BlobDetector
    from ftmtl.evaluation.evaluate import LOWEST_SCORE, Model, evaluate
    from ftmtl.evaluation.report import Report, summary
    from ftmtl.predictor import Predictor
    from ftmtl.weights import SHIPPED, read_card

    sources = [DataSource.parse(text, arguments.faults) for text in arguments.data]
    images = [image for source in sources for image in list_images(source)]
    predictor: Model
    card = None
    if arguments.weights == Path("blobs"):
        predictor = BlobDetector()
    else:
        card = read_card(arguments.weights or SHIPPED)
        lowest = LOWEST_SCORE if arguments.threshold is None else arguments.threshold
        predictor = Predictor(arguments.weights, device=arguments.device, threshold=lowest)
    evaluation = evaluate(predictor, images, faults=arguments.faults, on_image=_progress)
    command = ["ftmtl", "evaluate", *([str(arguments.weights)] if arguments.weights else [])]
    command += [part for source in sources for part in ("--data", str(source))]
    command += [] if arguments.threshold is None else ["--threshold", str(arguments.threshold)]
    report = Report(
        evaluation,
        images=images,
        predict=predictor.predict,
        card=card,
        data_set=", ".join(str(source) for source in sources),
        command=" ".join([*command, "--out", str(arguments.out)]),
    )
    metrics = report.write(arguments.out)
    print(summary(metrics))
    print(f"report: {arguments.out / 'index.html'}")
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    import_module("matplotlib")
    from ftmtl.errors import EvaluationError
    from ftmtl.evaluation.cases import common, read_report
    from ftmtl.evaluation.comparison import write_comparison
    from ftmtl.evaluation.hits import HIT_RULES

    if arguments.rule not in HIT_RULES:
        raise EvaluationError(f"there is no hit rule {arguments.rule!r}; there are {', '.join(HIT_RULES)}")
    models = {report.resolve().name: read_report(report) for report in arguments.reports}
    if arguments.common:
        models = dict(zip(models, common(models.values()), strict=True))
    kinds = [kind.strip() for kind in arguments.kinds.split(",") if kind.strip()]
    print(write_comparison(models, arguments.out, rule=HIT_RULES[arguments.rule], kinds=kinds))
    return 0


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {of} images", end="\n" if done == of else "", file=sys.stderr, flush=True)


def _ablate(arguments: argparse.Namespace) -> int:
    import_module("matplotlib")
    from ftmtl.ablation.ablate import Plan, ablate
    from ftmtl.datasets.catalogue import DataSource
    from ftmtl.training.recipe import read_recipe

    plan = Plan(
        recipe=read_recipe(arguments.recipe, device=arguments.device),
        variants=tuple(name.strip() for name in arguments.variants.split(",")),
        seeds=arguments.seeds,
        control=arguments.control,
        data=tuple(DataSource.parse(text) for text in arguments.data or ()),
        folds=arguments.folds or 0,
    )
    print(ablate(plan, arguments.out))
    return 0


def _weights(arguments: argparse.Namespace) -> int:
    from ftmtl.weights import find_weights, load_weights, read_card, sha256_of

    paths = find_weights(arguments.paths)
    good = True
    for path in paths:
        if arguments.action == "verify":
            good = _verified(path, load_weights) and good
            continue
        card, digest = read_card(path), sha256_of(path)
        if arguments.action == "show" or arguments.json:
            print(json.dumps({"path": str(path), "sha256": digest, **asdict(card)}, indent=2))
        else:
            print(f"{card.name}  {card.version}  sha256 {digest[:12]}  {path.stat().st_size / 1e6:.1f} MB  {path}")
            print(f"    trained on {card.data}\n    {card.use}")
    return 0 if good else 1


def _operating_points(arguments: argparse.Namespace) -> int:
    from ftmtl.evaluation.operating import DEFAULT_RATES, points_from_report
    from ftmtl.weights import read_card, write_card

    card = read_card(arguments.weights)
    card = points_from_report(arguments.report, card, arguments.rates or DEFAULT_RATES, arguments.images)
    out = arguments.out or arguments.weights
    digest = write_card(arguments.weights, card, out)
    print(f"measured on {card.measured_on}")
    print("cancer score from   malignant lesions found   false positives per image")
    for point in card.operating_points:
        print(f"{point.threshold:17.4f}   {point.sensitivity:23.3f}   {point.false_positives:25.3f}")
    print(f"{out}: sha256 {digest}")
    return 0


def _verified(path: Path, load: Callable[[Path], Any]) -> bool:
    try:
        _, card, digest = load(path)
    except FtmtlError as error:
        print(f"FAIL  {error}")
        return False
    print(f"ok    {path}: {card.name} {card.version}, sha256 {digest}")
    return True


def _data(arguments: argparse.Namespace) -> int:
    from ftmtl.datasets.catalogue import DataSource, list_images
    from ftmtl.datasets.survey import picture_sheet, survey

    images = list_images(DataSource.parse(arguments.source, arguments.faults))
    print(json.dumps(survey(images), indent=2))
    if arguments.sheet:
        picture_sheet(images, arguments.count, arguments.seed).save(arguments.sheet)
        print(f"sheet: {arguments.sheet}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
