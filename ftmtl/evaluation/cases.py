"""Cases of an evaluation: the truth about each image and a model's findings on it, as numbers.

All metrics can be computed from the cases, without the images. The file ``cases.jsonl`` holds one case per line.
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
    """One true lesion, and the model's classification of its true box.

    Attributes
    ----------
    box
        In stored pixels, half-open.
    type, malignant
        As annotated; malignant is None where the pathology is unknown.
    outlined
        Whether the data set has an outline of the lesion.
    malignancy_score
        Malignancy score for the true box, 0 to 1.
    label
        The publisher's class; empty if there is none.
    """

    box: Box
    type: FindingType
    malignant: bool | None
    outlined: bool
    malignancy_score: float
    label: str = ""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds it belongs to: its type, the publisher's class, and ``malignant`` or ``benign``."""
        pathology = {True: "malignant", False: "benign", None: ""}[self.malignant]
        return frozenset({self.type.value, self.label, pathology} - {""})


@dataclass(frozen=True)
class FindingCase:
    """One detection, without its mask.

    Attributes
    ----------
    box
        In stored pixels, half-open.
    lesion_score, malignancy_score
        As in `ftmtl.findings.Finding`.
    type
        Kind of lesion according to the model.
    closeness
        For each of `ftmtl.evaluation.hits.MEASURES`, how close it is to each lesion of the image.
    """

    box: Box
    lesion_score: float
    malignancy_score: float
    type: FindingType
    closeness: Mapping[str, tuple[float, ...]]

    @property
    def cancer_score(self) -> float:
        """Product of lesion score and malignancy score."""
        return self.lesion_score * self.malignancy_score


@dataclass(frozen=True)
class ImageCase:
    """One image, with its true lesions and the model's findings.

    Attributes
    ----------
    image_id, patient, laterality, view, malignant
        As in `ftmtl.datasets.annotated.AnnotatedImage`.
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
        """Patient and laterality; None where the laterality is unknown."""
        return None if self.laterality is None else (self.patient, self.laterality)

    @property
    def score(self) -> float:
        """Largest cancer score of the findings; 0 if there are none."""
        return max((f.cancer_score for f in self.findings), default=0.0)

    def closeness(self, rule: HitRule) -> NDArray[np.float64]:
        """Return how close findings are to lesions by a hit rule, shape (findings, lesions); 0 for no hit."""
        rows = np.array([f.closeness[rule.measure] for f in self.findings], dtype=np.float64)
        return rule.only_hits(rows.reshape(len(self.findings), len(self.lesions)))


@dataclass(frozen=True)
class Evaluation:
    """A model's results on a data set.

    Attributes
    ----------
    model
        The model that was evaluated.
    threshold
        Lesion score from which detections were kept.
    cases
        One per image that could be read, in the order of the data set.
    skipped
        Image id and reason for each image that could not be read.
    """

    model: ModelIdentity
    threshold: float
    cases: tuple[ImageCase, ...]
    skipped: tuple[tuple[str, str], ...] = ()


def aligned(runs: Iterable[Sequence[ImageCase]]) -> list[list[ImageCase]]:
    """Sort evaluations of the same images by image id.

    Raises
    ------
    EvaluationError
        If the evaluations are not of the same images with the same lesions.
    """
    ordered = [sorted(cases, key=lambda case: case.image_id) for cases in runs]
    if any(_truth(cases) != _truth(ordered[0]) for cases in ordered):
        raise EvaluationError("The evaluations are not of the same images with the same lesions.")
    return ordered


def common(runs: Iterable[Sequence[ImageCase]]) -> list[list[ImageCase]]:
    """Reduce evaluations to the images that all of them have."""
    listed = list(runs)
    shared = set.intersection(*({case.image_id for case in cases} for cases in listed)) if listed else set()
    return [[case for case in cases if case.image_id in shared] for cases in listed]


def _truth(cases: Sequence[ImageCase]) -> list[Any]:
    return [
        (case.image_id, case.patient, case.malignant, [(x.box, x.malignant, x.outlined) for x in case.lesions])
        for case in cases
    ]


def write_cases(cases: Iterable[ImageCase], path: Path) -> None:
    """Write cases as JSON, one per line."""
    path.write_text("".join(json.dumps(asdict(case)) + "\n" for case in cases), encoding="utf-8")


def read_report(folder: Path) -> list[ImageCase]:
    """Read the cases in the folder of an evaluation or of an ablation, where ``cases`` has one file per fold.

    Raises
    ------
    EvaluationError
        If there are no cases, they cannot be read, or an image appears twice, as in ablations with several variants or
        seeds.
    """
    folds = sorted((folder / "cases").glob("*.jsonl"))
    cases = [case for path in folds or [folder / "cases.jsonl"] for case in read_cases(path)]
    ids = Counter(case.image_id for case in cases)
    if twice := [name for name, count in ids.items() if count > 1]:
        raise EvaluationError(f"{folder} holds several runs: image {twice[0]} appears {ids[twice[0]]} times")
    return cases


def read_cases(path: Path) -> list[ImageCase]:
    """Read cases that `write_cases` wrote.

    Raises
    ------
    EvaluationError
        If the file cannot be read or a line is not a case; the message names the file and the line.
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
