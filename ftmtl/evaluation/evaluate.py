"""Running a model over annotated images; measuring, comparing and reporting can be imported from here as well."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from ftmtl.datasets.annotated import AnnotatedImage, Lesion
from ftmtl.errors import DatasetError, EvaluationError, NotAnalysable
from ftmtl.evaluation.cases import Evaluation, FindingCase, ImageCase, LesionCase, read_cases, write_cases
from ftmtl.evaluation.figures import curves
from ftmtl.evaluation.hits import MEASURES, Detected
from ftmtl.evaluation.measure import compare, compare_runs, measure
from ftmtl.evaluation.report import Report
from ftmtl.evaluation.statistics import Resampling
from ftmtl.findings import Box, Finding, ImageResult, ModelIdentity, StudyResult
from ftmtl.mammogram.load import Mammogram

__all__ = [
    "Evaluation",
    "FindingCase",
    "ImageCase",
    "LesionCase",
    "Report",
    "Resampling",
    "compare",
    "compare_runs",
    "curves",
    "evaluate",
    "measure",
    "read_cases",
    "write_cases",
]

log = logging.getLogger(__name__)

LOWEST_SCORE = 0.001
"""Lesion score from which detections are kept: FROC curves end there, and weaker detections count as misses."""


class Model(Protocol):
    """Interface of models that can be evaluated, such as `ftmtl.predictor.Predictor`."""

    model: ModelIdentity
    threshold: float
    batch: int

    def predict(self, study_uid: str, mammograms: Sequence[Mammogram]) -> StudyResult:
        """Analyse images."""

    def examine(
        self, mammograms: Sequence[Mammogram], boxes: Sequence[Sequence[Box]]
    ) -> tuple[list[ImageResult], list[list[float]]]:
        """Analyse images, and classify given boxes on them, which are in stored pixels, half-open.

        The second result has one list per image, with the malignancy score of each box.
        """


Loaded = tuple[AnnotatedImage, Mammogram, tuple[Lesion, ...]]


def evaluate(
    predictor: Model,
    images: Sequence[AnnotatedImage],
    *,
    faults: Literal["refuse", "skip"] = "refuse",
    on_image: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Run a model over annotated images.

    Parameters
    ----------
    predictor
        Its threshold should be `LOWEST_SCORE`, because FROC curves end there.
    images
        Each image is only loaded while it is analysed.
    faults
        How to handle images that cannot be read or analysed: ``refuse`` raises an error, ``skip`` records and skips
        them.
    on_image
        Called after each batch with the number of images that are done, and of all images.

    Raises
    ------
    EvaluationError
        If there are no images, an image id appears twice, or an image cannot be read and faults are refused.
    """
    ids = [image.image_id for image in images]
    if not ids:
        raise EvaluationError("There are no images to evaluate on.")
    if len(set(ids)) < len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise EvaluationError(f"Image {twice} appears twice in the data set.")
    cases: list[ImageCase] = []
    skipped: list[tuple[str, str]] = []
    for start in range(0, len(images), predictor.batch):
        loaded: list[Loaded] = []
        for image in images[start : start + predictor.batch]:
            try:
                loaded.append((image, *image.load()))
            except (DatasetError, NotAnalysable, OSError) as error:
                if faults == "refuse":
                    raise EvaluationError(f"Image {image.image_id} cannot be evaluated: {error}") from error
                log.warning("skipped image=%s reason=%s", image.image_id, error)
                skipped.append((image.image_id, str(error)))
        cases += _cases(predictor, loaded)
        if on_image:
            on_image(min(start + predictor.batch, len(images)), len(images))
    return Evaluation(predictor.model, predictor.threshold, tuple(cases), tuple(skipped))


def _cases(predictor: Model, loaded: Sequence[Loaded]) -> list[ImageCase]:
    mammograms = [mammogram for _, mammogram, _ in loaded]
    results, classified = predictor.examine(mammograms, [[x.box for x in lesions] for _, _, lesions in loaded])
    return [
        _case(image, lesions, result, malignancy)
        for (image, _, lesions), result, malignancy in zip(loaded, results, classified, strict=True)
    ]


def _case(
    image: AnnotatedImage, lesions: Sequence[Lesion], result: ImageResult, malignancy: Sequence[float]
) -> ImageCase:
    return ImageCase(
        image_id=image.image_id,
        patient=image.patient,
        laterality=image.laterality,
        view=image.view,
        malignant=_flag(image.malignant),
        lesions=tuple(
            LesionCase(
                _box(lesion.box),
                lesion.type,
                _flag(lesion.malignant),
                lesion.mask is not None,
                float(score),
                lesion.label,
            )
            for lesion, score in zip(lesions, malignancy, strict=True)
        ),
        findings=tuple(_finding(finding, lesions) for finding in result.findings),
    )


def _finding(finding: Finding, lesions: Sequence[Lesion]) -> FindingCase:
    detected = Detected(finding.box, finding.lesion_score, finding.mask)
    closeness = {
        name: tuple(float(nearness(detected, lesion.box, lesion.mask)) for lesion in lesions)
        for name, nearness in MEASURES.items()
    }
    return FindingCase(
        _box(finding.box),
        float(finding.lesion_score),
        float(finding.malignancy_score),
        finding.type,
        closeness,
    )


def _box(box: Box) -> Box:
    x0, y0, x1, y1 = (float(edge) for edge in box)
    return x0, y0, x1, y1


def _flag(known: bool | None) -> bool | None:
    return None if known is None else bool(known)
