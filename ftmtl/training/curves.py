"""A picture of the history of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_BLACK, _GREY, _RULE = "#202124", "#5f6368", "#d9dce1"
_COLOURS = ("#2563a8", "#d1701f", "#2d8659", "#b83a4b", "#7a5ab5", "#8a6d3b", "#c2569b", "#3d8f9e")


def draw_curves(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Plot losses, learning rate and validation metrics over the steps, as PNG.

    Parameters
    ----------
    history
        Lines of the run's history.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = [line for line in history if line["kind"] == "step"]
    validations = [line for line in history if line["kind"] == "validation"]
    figure = Figure(figsize=(10, 9.5), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    losses, rate, metrics = figure.subplots(3, 1, sharex=True, height_ratios=(5, 1.6, 4))
    _draw_losses(losses, steps)
    rate.plot([line["step"] for line in steps], [line["rate"] for line in steps], color=_COLOURS[0], lw=1.6)
    if validations:
        _draw_metrics(metrics, validations)
    for axes, title in ((losses, "Losses, weighted"), (rate, "Learning rate"), (metrics, "Validation, network pixels")):
        _tidy(axes, title, [line["step"] for line in steps if line["first"]][1:])
    rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    metrics.set_xlabel("step", color=_GREY)
    figure.savefig(path, dpi=110)


def _draw_losses(axes: Any, steps: Sequence[dict[str, Any]]) -> None:
    """Plot each loss, smoothed if there are many steps, and their sum as a thick line."""
    numbers = [line["step"] for line in steps]
    for colour, name in zip(_COLOURS, steps[0]["losses"] if steps else (), strict=False):
        axes.plot(*_smooth(numbers, [line["losses"][name] for line in steps]), color=colour, lw=1.3, label=name)
    if steps:
        totals = [sum(line["losses"].values()) for line in steps]
        axes.plot(numbers, totals, color=_BLACK, lw=0.6, alpha=0.25)
        axes.plot(*_smooth(numbers, totals), color=_BLACK, lw=2.2, label="sum")
        axes.set_yscale("log")


def _draw_metrics(axes: Any, validations: Sequence[dict[str, Any]]) -> None:
    numbers = [line["step"] for line in validations]
    names = list(dict.fromkeys(name for line in validations for name in line["metrics"]))
    for colour, name in zip(_COLOURS, (n for n in names if n != "score"), strict=False):
        values = [line["metrics"].get(name, np.nan) for line in validations]
        axes.plot(numbers, values, color=colour, lw=1.4, marker="o", ms=3.5, label=name)
    _plot_score(axes, validations)
    axes.set_ylim(-0.02, 1.02)


def _plot_score(axes: Any, validations: Sequence[dict[str, Any]]) -> None:
    numbers = [line["step"] for line in validations]
    scores = [line["metrics"].get("score", np.nan) for line in validations]
    axes.plot(numbers, scores, color=_BLACK, lw=2.2, marker="o", ms=4, label="score")
    best = next((i for i in reversed(range(len(validations))) if validations[i]["best"]), None)
    if best is None:
        return
    axes.plot(numbers[best], scores[best], marker="o", ms=11, mfc="none", mec=_BLACK, mew=1.5)
    axes.annotate(
        f"best, step {numbers[best]}",
        (numbers[best], scores[best]),
        xytext=(0, -14),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=9,
        color=_BLACK,
        bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.85},
    )


def _smooth(numbers: Sequence[int], values: Sequence[float]) -> tuple[Sequence[int], Any]:
    """Return moving averages over a fiftieth of the steps, each at the centre of its window."""
    width = max(1, len(values) // 50)
    half = width // 2
    means = np.convolve(values, np.full(width, 1 / width), mode="valid")
    return numbers[half : half + len(means)], means


def _tidy(axes: Any, title: str, phases: Sequence[int]) -> None:
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=_BLACK)
    axes.grid(axis="y", color=_RULE, lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_RULE)
    axes.tick_params(colors=_GREY, labelsize=9)
    for step in phases:
        axes.axvline(step - 0.5, color=_GREY, lw=1, ls=(0, (4, 3)))
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), frameon=False, fontsize=9)
