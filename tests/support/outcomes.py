"""How analyses end: with findings or none, in part, or not at all; and what reports are built from in each case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from ftmtl.findings import Attempt, FindingType, ImageResult, OperatingPoint, Outcome, StudyResult
from node.results.common.source import read_source
from support import mg
from support.studies import Headers, Study, by_uid

OUTCOMES = ("findings", "none", "partial", "failed")

POINTS = (OperatingPoint(0.7, 0.5, 0.05), OperatingPoint(0.4, 0.7, 0.125), OperatingPoint(0.1, 0.9, 1.25))
"""Operating points of a model, the strictest first."""

REASON = "This is a spot compression view; the model reads whole-breast views only."
TOMOSYNTHESIS = (
    "This is a tomosynthesis volume (SOP class Breast Tomosynthesis Image, 3 frames); "
    "the model reads 2D mammograms only."
)
"""Reasons why an image was not analysed; for the first one it is only pretended."""


def measured(result: StudyResult, points: Sequence[OperatingPoint] = POINTS) -> StudyResult:
    """Return the same result, of a model that says what it looks for, and how well."""
    looks_for = (FindingType.MASS, FindingType.CALCIFICATION, FindingType.DISTORTION)
    named = {"looks_for": looks_for, "operating_points": tuple(points), "measured_on": "100 synthetic studies"}
    return replace(result, model=replace(result.model, **named))


def not_read(image: ImageResult, attempt: Attempt, reason: str) -> ImageResult:
    """Return an image that the model was not to read."""
    return replace(image, outcome=Outcome.NOT_PROCESSED, reason=reason, findings=(), attempt=attempt)


def failed(image: ImageResult, reason: str = REASON) -> ImageResult:
    """Return an image that was not analysed after all."""
    return replace(image, outcome=Outcome.NOT_PROCESSED, reason=reason, findings=())


def case(headers: list[Dataset], result: StudyResult, kind: str) -> tuple[list[Dataset], StudyResult, Headers]:
    """Return what a report is built from: the analysed images, the result, and the images that were not analysed.

    Everything is analysed, all but the last image ("partial"), or nothing ("failed"). In a study of one image the
    image that was not analysed is another one, without a readable header.
    """
    if kind in ("findings", "none"):
        return headers, result, {}
    if kind == "failed":
        return [], replace(result, images=tuple(map(failed, result.images))), by_uid(headers)
    if len(headers) == 1:
        unread = ImageResult("2.25.404", None, None, Outcome.FAILED, "The file can't be read.")
        return headers, replace(result, images=(*result.images, unread)), {}
    *images, last = result.images
    return headers[:-1], replace(result, images=(*images, failed(last))), by_uid(headers[-1:])


def study_case(study: Study, kind: str) -> tuple[list[Dataset], StudyResult, Headers]:
    """Return the same of a study with lesions, or without any."""
    return case(study.headers, study.result(findings=kind != "none"), kind)


def two_views(folder: Path) -> tuple[list[Dataset], StudyResult]:
    """Return a study of two images with a lesion of every kind, one improbable; the second view has a modifier."""
    folder.mkdir(parents=True, exist_ok=True)
    ccs = [mg.mg_header("L", "CC", uid="2.25.21"), mg.mg_header("R", "CC", uid="2.25.22", number=2)]
    ccs[1].ViewCodeSequence[0].ViewModifierCodeSequence = Items([mg.code("399209000", "SCT", "Implant Displaced")])
    headers = [read_source(mg.write(cc, folder)) for cc in ccs]
    lesions = [replace(mg.finding(10 + 50 * n, 80), type=kind) for n, kind in enumerate(FindingType)]
    lesions[-1] = replace(lesions[-1], lesion_score=0.2)
    return headers, mg.study_result([mg.image_result(headers[0], lesions), mg.image_result(headers[1])])
