"""Plots of an evaluation as PNG, on light or dark backgrounds."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ftmtl.evaluation.cases import ImageCase
from ftmtl.evaluation.figures import AUCS, RATES, TITLES, best_dice, curves, hits
from ftmtl.evaluation.hits import HIT_RULES, IOU_02
from ftmtl.evaluation.metrics import Froc
from ftmtl.evaluation.reliability import SCORES

_LIGHT, _DARK = ("#ffffff", "#1c2430", "#d9dee8"), ("#171b22", "#dfe5ef", "#333b48")
_COLOURS = {
    False: ("#0072b2", "#d55e00", "#009e73", "#8a4f9e", "#7a7f87"),
    True: ("#56b4e9", "#f08a4b", "#2fc79a", "#cc9bdd", "#a7adb8"),
}
_LAST_RATES = (2.1, 4.0)


def plots(cases: Sequence[ImageCase], metrics: dict[str, Any]) -> dict[str, bytes]:
    """Draw all plots.

    Parameters
    ----------
    metrics
        Content of ``metrics.json`` (`ftmtl.evaluation.report.Report`) for the cases.

    Returns
    -------
    dict
        PNG files by name: ``roc``, ``froc``, ``dice`` and ``reliability``, and these names with ``-dark``.
    """
    every = curves(cases)
    drawn = {}
    for dark in (False, True):
        suffix = "-dark" if dark else ""
        drawn[f"roc{suffix}"] = _png(lambda axes: _roc(axes, every.roc, metrics), dark)
        drawn[f"froc{suffix}"] = _png(lambda axes: _froc(axes, every.froc, metrics), dark)
        drawn[f"dice{suffix}"] = _png(lambda axes: _dice(axes, cases), dark)
        drawn[f"reliability{suffix}"] = _png(lambda axes: _reliability(axes, metrics["reliability"]), dark)
    return drawn


def froc_plot(found: Mapping[str, Froc], title: str) -> bytes:
    """Draw the FROC curves of several models in one plot, as PNG."""

    def draw(axes: Any) -> None:
        for number, (name, curve) in enumerate(found.items()):
            _steps(axes, curve, label=name, color=f"C{number}", lw=1.8)
        axes.set(xlabel="False positives per image", ylabel="Sensitivity", title=title)
        axes.set(xlim=(-0.03, _LAST_RATES[1]), ylim=(-0.01, 1.01))
        _legend(axes, "lower right", "")

    return _png(draw, dark=False)


def _roc(axes: Any, found: dict[str, Any], metrics: dict[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], lw=1, ls=":", color="#9aa3b2")
    for name in AUCS:
        if name in found:
            style = "--" if name == "breast_auc" else "-"
            label = f"{TITLES[name].replace(' AUC', '')}: {with_interval(metrics['classification'][name], 2)}"
            axes.plot(found[name].false_positive_rate, found[name].true_positive_rate, style, lw=2, label=label)
    axes.set(xlabel="False positive rate", ylabel="True positive rate", title="ROC, malignant against benign or normal")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    _legend(axes, "lower right", "AUC (95% interval)")


def _froc(axes: Any, found: dict[Any, Any], metrics: dict[str, Any]) -> None:
    for number, rule in enumerate(HIT_RULES.values()):
        if (rule.name, "all") in found:
            _steps(axes, found[rule.name, "all"], label=rule.name, color=f"C{number}", lw=3.4 - 0.6 * number)
    if (IOU_02.name, "normal") in found:
        label, number = f"{IOU_02.name}, on normal images", list(HIT_RULES).index(IOU_02.name)
        _steps(axes, found[IOU_02.name, "normal"], label=label, color=f"C{number}", lw=1.2, ls="--")
    for rate in RATES:
        figure = metrics["detection"][IOU_02.name]["all"][f"{rate:g}"]
        if figure and figure["low"] is not None:
            number = list(HIT_RULES).index(IOU_02.name)
            axes.plot(
                [rate, rate],
                [figure["low"], figure["high"]],
                color=f"C{number}",
                lw=6,
                alpha=0.35,
                solid_capstyle="butt",
            )
    axes.set(xlabel="False positives per image", ylabel="Sensitivity", title="FROC, all lesions, by hit rule")
    ends = [
        curve.false_positives[-1] for (_, counted), curve in found.items() if counted == "all" and len(curve.thresholds)
    ]
    axes.set(xlim=(-0.03, float(np.clip(max(ends, default=0.0), *_LAST_RATES))), ylim=(-0.01, 1.01))
    _legend(axes, "lower right", "False positives on all images")


def _steps(axes: Any, curve: Any, **style: Any) -> None:
    """Draw a FROC curve from (0, 0) to its last point."""
    x, y = np.append(0, curve.false_positives), np.append(0, curve.sensitivity)
    axes.step(x, y, where="post", **style)


def _dice(axes: Any, cases: Sequence[ImageCase]) -> None:
    found = [
        best_dice(case, number, on_it)
        for case in cases
        for number, on_it in enumerate(hits(case))
        if case.lesions[number].outlined
    ]
    values = [value for value in found if value is not None]
    axes.hist(values, bins=np.linspace(0, 1, 21), color="C0", label=f"detected: {len(values)}")
    axes.bar([-0.06], [len(found) - len(values)], width=0.05, color="C1", label=f"missed: {len(found) - len(values)}")
    axes.set(xlabel="Dice of the highest-scoring finding on the lesion", ylabel="Lesions", title="Segmentation")
    axes.set(xlim=(-0.1, 1.0))
    axes.yaxis.get_major_locator().set_params(integer=True)
    _legend(axes, "upper left", "Lesions with an outline")


def _reliability(axes: Any, found: dict[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], lw=1, ls=":", color="#9aa3b2")
    for marker, (name, words) in zip("os", SCORES.items(), strict=True):
        rows = found[name]["bins"]
        if rows:
            share = np.array([row["share"] for row in rows])
            bars = np.abs([[row["low"], row["high"]] for row in rows] - share[:, None]).T
            label = f"{words}, {found[name]['findings']} findings"
            axes.errorbar(
                [row["score"] for row in rows], share, bars, fmt=f"{marker}-", lw=1.4, ms=5, capsize=3, label=label
            )
    axes.set(xlabel="Mean score of the findings", ylabel="Share that is a lesion, or a malignant one")
    axes.set(title=f"Reliability, findings from lesion score {found['threshold']:g}")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.3), yticks=np.linspace(0, 1, 6))
    _legend(axes, "upper left", "Uncalibrated scores, 95% Wilson intervals")


def _legend(axes: Any, place: str, title: str) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=place, title=title, title_fontsize=8.5, fontsize=8.5, frameon=False)
    else:
        axes.text(0.5, 0.5, "not defined for these cases", ha="center", transform=axes.transAxes)


def _png(draw: Callable[[Any], None], dark: bool) -> bytes:
    with _figure(dark) as figure:
        draw(figure.subplots())
        data = io.BytesIO()
        figure.savefig(data, format="png", dpi=160)
    return data.getvalue()


@contextmanager
def _figure(dark: bool) -> Iterator[Any]:
    from cycler import cycler
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ground, ink, grid = _DARK if dark else _LIGHT
    style: Any = {
        "figure.facecolor": ground,
        "axes.facecolor": ground,
        "savefig.facecolor": ground,
        "axes.edgecolor": ink,
        "axes.labelcolor": ink,
        "text.color": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": grid,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 9.5,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.prop_cycle": cycler(color=_COLOURS[dark]),
    }
    with rc_context(style):
        figure = Figure(figsize=(4.7, 4.5), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def with_interval(figure: dict[str, Any] | None, digits: int = 3, sign: str = "") -> str:
    """Format a figure with its interval, such as ``0.913 (0.880 to 0.941)``, or a dash if it is not defined.

    With ``sign="+"``, for differences, positive numbers have a sign as well.
    """
    if figure is None:
        return "–"
    form = f"{sign}.{digits}f"
    text = f"{figure['value']:{form}}"
    return text if figure["low"] is None else f"{text} ({figure['low']:{form}} to {figure['high']:{form}})"


def with_spread(values: Sequence[float | None], form: str = ".3f") -> str:
    """Format the mean ± standard deviation over runs, a single value by itself, or a dash if there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    return f"{np.mean(known):{form}}" + (f" ± {np.std(known, ddof=1):{form.lstrip('+')}}" if len(known) > 1 else "")
