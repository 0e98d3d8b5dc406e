"""Cases of an evaluation: what is true of each image and what a model said of it, in numbers.

Every metric can be computed from them, now or later, without the images: `cases.jsonl` holds one a line.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftmtl.errors import EvaluationError
from ftmtl.evaluation.hits import HitRule
from ftmtl.findings import Box, FindingType, ModelIdentity


@dataclass(frozen=True)
class LesionCase:
    """One true lesion, and how the model classifies it when its true box is given.

    Attributes
    ----------
    box
        In stored pixels, half-open.
    type, malignant
        As annotated; malignant is None where the pathology is unknown.
    outlined
        Whether the data set gives its outline.
    malignancy_probability
        Of the true box, 0 to 1.
    label
        The publisher's own class; empty if there is none.
    """

    box: Box
    type: FindingType
    malignant: bool | None
    outlined: bool
    malignancy_probability: float
    label: str = ""

    @property
    def kinds(self) -> frozenset[str]:
        """What it can be called: its type, the publisher's class, ``malignant`` or ``benign``."""
        pathology = {True: "malignant", False: "benign", None: ""}[self.malignant]
        return frozenset({self.type.value, self.label, pathology} - {""})


@dataclass(frozen=True)
class FindingCase:
    """One detection, without its mask.

    Attributes
    ----------
    box
        In stored pixels, half-open.
    lesion_probability, malignancy_probability
        As in `ftmtl.findings.Finding`.
    type
        Kind of lesion that the model sees.
    closeness
        By each of `ftmtl.evaluation.hits.MEASURES`, how near it is to each of the image's lesions.
    """

    box: Box
    lesion_probability: float
    malignancy_probability: float
    type: FindingType
    closeness: Mapping[str, tuple[float, ...]]

    @property
    def cancer_probability(self) -> float:
        """p(lesion) * p(malignant)."""
        return self.lesion_probability * self.malignancy_probability


@dataclass(frozen=True)
class ImageCase:
    """One image.

    Attributes
    ----------
    image_id, patient, laterality, view, malignant
        As in `ftmtl.datasets.annotated.AnnotatedImage`.
    lesions, findings
        What is there, and what was found.
    """

    image_id: str
    patient: str
    laterality: str | None
    view: str | None
    malignant: bool | None
    lesions: tuple[LesionCase, ...]
    findings: tuple[FindingCase, ...]

    @property
    def breast(self) -> tuple[str, str] | None:
        """Patient and laterality; None where the side is unknown."""
        return None if self.laterality is None else (self.patient, self.laterality)

    @property
    def score(self) -> float:
        """The largest cancer probability of its findings, 0 if there is none."""
        return max((f.cancer_probability for f in self.findings), default=0.0)

    def closeness(self, rule: HitRule) -> NDArray[np.float64]:
        """How near findings are to lesions by a hit rule, shape (findings, lesions); 0 for no hit."""
        rows = np.array([f.closeness[rule.measure] for f in self.findings], dtype=np.float64)
        return rule.only_hits(rows.reshape(len(self.findings), len(self.lesions)))


@dataclass(frozen=True)
class Evaluation:
    """What a model said of a data set.

    Attributes
    ----------
    model
        Which model.
    threshold
        Lesion probability from which detections were kept.
    cases
        One an image that could be read, in the order of the data set.
    skipped
        Image id and reason of each image that could not.
    """

    model: ModelIdentity
    threshold: float
    cases: tuple[ImageCase, ...]
    skipped: tuple[tuple[str, str], ...] = ()


def aligned(runs: Iterable[Sequence[ImageCase]]) -> list[list[ImageCase]]:
    """Return runs over the same images, each in the order of image ids.

    Raises
    ------
    EvaluationError
        If they are not of the same images with the same lesions.
    """
    ordered = [sorted(cases, key=lambda case: case.image_id) for cases in runs]
    if any(_truth(cases) != _truth(ordered[0]) for cases in ordered):
        raise EvaluationError("The evaluations are not of the same images with the same lesions.")
    return ordered


def common(runs: Iterable[Sequence[ImageCase]]) -> list[list[ImageCase]]:
    """Return of each run the images that all of them have."""
    listed = list(runs)
    shared = set.intersection(*({case.image_id for case in cases} for cases in listed)) if listed else set()
    return [[case for case in cases if case.image_id in shared] for cases in listed]


def _truth(cases: Sequence[ImageCase]) -> list[Any]:
    return [
        (case.image_id, case.patient, case.malignant, [(x.box, x.malignant, x.outlined) for x in case.lesions])
        for case in cases
    ]


def write_cases(cases: Iterable[ImageCase], path: Path) -> None:
    """Write cases as JSON, one a line."""
    path.write_text("".join(json.dumps(asdict(case)) + "\n" for case in cases), encoding="utf-8")


def read_report(folder: Path) -> list[ImageCase]:
    """Read the cases of an evaluation's folder, or of an ablation's, which holds those of each fold in ``cases``.

    Raises
    ------
    EvaluationError
        If there are none, they cannot be read, or an image comes twice: an ablation of several variants or seeds.
    """
    folds = sorted((folder / "cases").glob("*.jsonl"))
    cases = [case for path in folds or [folder / "cases.jsonl"] for case in read_cases(path)]
    ids = Counter(case.image_id for case in cases)
    if twice := [name for name, count in ids.items() if count > 1]:
        raise EvaluationError(f"{folder} holds several runs: image {twice[0]} comes {ids[twice[0]]} times")
    return cases


def read_cases(path: Path) -> list[ImageCase]:
    """Read what `write_cases` wrote.

    Raises
    ------
    EvaluationError
        If the file cannot be read or a line is not a case; the message names both.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path} cannot be read: {error}") from error
    cases = []
    for number, line in enumerate(lines, start=1):
        try:
            cases.append(_case(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise EvaluationError(f"{path}, line {number} is not a case of an evaluation: {error!r}") from error
    return cases


def _case(raw: dict[str, Any]) -> ImageCase:
    lesions = [{**r, "box": tuple(r["box"]), "type": FindingType(r["type"])} for r in raw.pop("lesions")]
    findings = [
        {
            **r,
            "box": tuple(r["box"]),
            "type": FindingType(r["type"]),
            "closeness": {name: tuple(values) for name, values in r["closeness"].items()},
        }
        for r in raw.pop("findings")
    ]
    return ImageCase(
        **raw, lesions=tuple(LesionCase(**r) for r in lesions), findings=tuple(FindingCase(**r) for r in findings)
    )
