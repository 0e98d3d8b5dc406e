"""The report of an evaluation: figures, curves and pictures in one self-contained HTML page."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from ftmtl.datasets.annotated import AnnotatedImage
from ftmtl.errors import EvaluationError
from ftmtl.evaluation.cases import Evaluation, write_cases
from ftmtl.evaluation.figures import RATES, TITLES, natural_rule
from ftmtl.evaluation.hits import IOU_02
from ftmtl.evaluation.measure import Figures, measure
from ftmtl.evaluation.operating import measure_points
from ftmtl.evaluation.plots import plots, with_interval
from ftmtl.evaluation.reliability import SCORES, measure_reliability, title
from ftmtl.evaluation.sheets import SPOT_KINDS, Predict, Spot, sheets, spots, threshold_at
from ftmtl.evaluation.statistics import DEFAULT_RESAMPLING, Resampling
from ftmtl.overlay import NOTICE
from ftmtl.weights import WeightsCard

_TEMPLATE = Path(__file__).with_name("page.html")
_IDENTITY = ("name", "version", "weights_sha256", "configuration")
_PLOTS = {
    "roc": "ROC curves. The score of lesions end to end and of images is the cancer score, 0 without findings.",
    "froc": "FROC curves. Bars are the 95% intervals for IoU 0.2. Curves end at the detection of the lowest score.",
    "dice": "Dice of each lesion that has an outline.",
    "reliability": "How often reported findings of a score are right, with 95% Wilson intervals. On the dotted line a "
    "score would be a probability.",
}
_CAPTIONS = {
    "hits": "Hits, evenly spaced from the highest to the lowest score",
    "misses": "Misses, evenly spaced over the data set; findings drawn here are below the threshold",
    "false_positives": "False positives, the highest score first",
}


@dataclass(frozen=True)
class Report:
    """The report of an evaluation, ready to be written.

    Attributes
    ----------
    evaluation
        The evaluation to report.
    images
        The images of the evaluation, for the picture sheets; without them there are no sheets.
    predict
        The predictor's ``predict``, to outline findings on the sheets; without it, their boxes are drawn.
    card
        Card of the model's weights: where findings are reported, and operating points. Without it, all findings count
        as reported.
    data_set, command
        What the model was evaluated on, and how to repeat it; for the reader.
    resampling
        Resampling of the bootstrap over patients.
    """

    evaluation: Evaluation
    images: Sequence[AnnotatedImage] = ()
    predict: Predict | None = None
    card: WeightsCard | None = None
    data_set: str = ""
    command: str = ""
    resampling: Resampling = DEFAULT_RESAMPLING

    def write(self, folder: Path) -> dict[str, Any]:
        """Write ``metrics.json``, ``cases.jsonl``, ``index.html`` and its pictures as PNG.

        Parameters
        ----------
        folder
            Created if it does not exist; files of these names are replaced.

        Returns
        -------
        dict
            The content of ``metrics.json``: the result of `ftmtl.evaluation.measure.measure`, where it comes from,
            ``operating_points`` (`ftmtl.evaluation.operating.measure_points`) and ``reliability``
            (`ftmtl.evaluation.reliability.measure_reliability`).

        Raises
        ------
        DatasetError
            If an image for the sheets cannot be read.
        OSError
            If the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        metrics = self._metrics()
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
        write_cases(self.evaluation.cases, folder / "cases.jsonl")
        counting, chosen = _chosen(self.evaluation)
        pictures = plots(self.evaluation.cases, metrics) | self._sheets(chosen)
        for name, png in pictures.items():
            (folder / f"{name}.png").write_bytes(png)
        (folder / "index.html").write_text(_page(metrics, pictures, counting), encoding="utf-8")
        return metrics

    def _metrics(self) -> dict[str, Any]:
        cases, card = self.evaluation.cases, self.card
        measured = measure(self.evaluation, resampling=self.resampling)
        figures = Figures([case.patient for case in cases], self.resampling)
        threshold = self.evaluation.threshold if card is None else card.threshold
        points = measure_points(cases, threshold, () if card is None else card.operating_points, figures)
        reliability = measure_reliability(cases, threshold, figures)
        model = {name: getattr(self.evaluation.model, name) for name in _IDENTITY}
        return {
            "model": {**model, "tensors_sha256": "" if card is None else card.checksum},
            "data_set": self.data_set,
            "command": self.command,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "threshold": self.evaluation.threshold,
            **measured,
            "operating_points": points,
            "reliability": reliability,
            "notes": list(dict.fromkeys([*measured["notes"], *figures.notes])),
            "bootstrap": {"samples": self.resampling.samples, "seed": self.resampling.seed, "over": "patients"},
        }

    def _sheets(self, chosen: dict[str, list[Spot]]) -> dict[str, bytes]:
        """Return the picture sheets as PNG, by kind."""
        pngs = {}
        for kind, picture in (sheets(chosen, self.images, self.predict) if self.images else {}).items():
            data = io.BytesIO()
            picture.save(data, "PNG", optimize=True)
            pngs[kind] = data.getvalue()
        return pngs


def summary(metrics: dict[str, Any]) -> str:
    """Return the main figures as text for a terminal, one per line."""
    rule = metrics["hit_rule"]
    found = metrics["detection"][rule]["all"]
    rates = {f"{rate:g} false positive{'' if rate == 1 else 's'} per image": found[f"{rate:g}"] for rate in RATES}
    lines = [f"Lesions found at {rate} ({rule}): {with_interval(figure)}" for rate, figure in rates.items()]
    lines += [f"{TITLES[name]}: {with_interval(f)}" for part in _main(metrics) for name, f in part.items()]
    lines += [f"{title(name)}: {with_interval(metrics['reliability'][name]['error'])}" for name in SCORES]
    lines += [
        f"Malignant lesions found from cancer score {cut}: {right}, at {wrong} false positives per image"
        for cut, right, wrong in _points(metrics)
    ]
    return "\n".join([*lines, *(f"note: {note}" for note in metrics["notes"])])


def _chosen(evaluation: Evaluation) -> tuple[str, dict[str, list[Spot]]]:
    """Choose the spots to show; return them after a sentence about the findings that count."""
    try:
        threshold = threshold_at(evaluation.cases)
        sentence = (
            f"Here, findings count from a lesion score of {threshold:.2f}, with at most one false positive per "
            f"image. Hit rule: {natural_rule(evaluation.cases).name}."
        )
    except EvaluationError:
        threshold, sentence = evaluation.threshold, "Here, all findings count."
    return sentence, spots(evaluation.cases, threshold)


def _page(metrics: dict[str, Any], pictures: dict[str, bytes], counting: str) -> str:
    model = metrics["model"]
    origin = {
        "Model": f"{model['name']} {model['version']}",
        "Weights SHA-256": model["weights_sha256"],
        "Data set": metrics["data_set"] or "–",
        "Command": metrics["command"] or "–",
        "Created": metrics["created"],
        "Findings kept from lesion score": f"{metrics['threshold']:g}",
    }
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        notice=NOTICE,
        title=escape(f"{model['name']} {model['version']}"),
        origin=_rows(((key, value) for key, value in origin.items())),
        counts=_rows(((key.replace("_", " ").capitalize(), str(n)) for key, n in metrics["counts"].items())),
        main=_rows(((TITLES[name], with_interval(f)) for part in _main(metrics) for name, f in part.items())),
        points=_rows(_points(metrics)),
        reliability=_rows(_reliability(metrics)),
        detection=_rows(_detection(metrics)),
        kinds=_rows(_kinds(metrics)),
        plots="".join(_plot(name, caption, pictures) for name, caption in _PLOTS.items()),
        sheets="".join(_sheet(kind, pictures) for kind in SPOT_KINDS) or "<p>No pictures were requested.</p>",
        counting=escape(counting),
        notes="".join(f"<li>{escape(note)}</li>" for note in metrics["notes"]) or "<li>None.</li>",
        samples=metrics["bootstrap"]["samples"],
    )


def _main(metrics: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return metrics["classification"], metrics["segmentation"]


def _detection(metrics: dict[str, Any]) -> Iterable[Sequence[str]]:
    for rule, by_images in metrics["detection"].items():
        for counted, row in by_images.items():
            if rule == IOU_02.name or any(row.values()):
                yield (f"{rule}, {counted} images", *(with_interval(figure) for figure in row.values()))


def _points(metrics: dict[str, Any]) -> Iterable[Sequence[str]]:
    for point in metrics["operating_points"]:
        figures = (with_interval(point[name]) for name in ("sensitivity", "false_positives"))
        yield (f"{round(point['threshold'], 4):g}", *figures)


def _reliability(metrics: dict[str, Any]) -> Iterable[Sequence[str]]:
    for name, words in SCORES.items():
        row = metrics["reliability"][name]
        means = ("–" if row[key] is None else f"{row[key]:.3f}" for key in ("score", "share"))
        yield (words.capitalize(), str(row["findings"]), *means, with_interval(row["error"]))


def _kinds(metrics: dict[str, Any]) -> Iterable[Sequence[str]]:
    for kind, row in metrics["detection_by_kind"].items():
        for rule in (key for key in row if key != "lesions"):
            cells = (with_interval(figure) for figure in row[rule].values())
            yield (kind.replace("_", " "), rule, str(row["lesions"]), *cells)


def _rows(rows: Iterable[Sequence[str]]) -> str:
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    return "\n".join(lines)


def _plot(name: str, caption: str, pictures: dict[str, bytes]) -> str:
    dark = f'<source media="(prefers-color-scheme: dark)" srcset="{_inline(pictures[f"{name}-dark"])}">'
    image = f'<img alt="{escape(caption)}" src="{_inline(pictures[name])}">'
    return f"<figure><picture>{dark}{image}</picture><figcaption>{escape(caption)}</figcaption></figure>\n"


def _sheet(kind: str, pictures: dict[str, bytes]) -> str:
    if kind not in pictures:
        return ""
    caption = escape(_CAPTIONS[kind])
    return f'<figure><img alt="{caption}" src="{_inline(pictures[kind])}"><figcaption>{caption}</figcaption></figure>\n'


def _inline(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
