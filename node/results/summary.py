"""A result for programs: one JSON document with the same findings as the DICOM objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ftmtl.findings import ImageResult, ModelIdentity, StudyResult
from node.domain import ResultObject
from node.results.common.lesions import Lesion, lesions_of


def summary(model: ModelIdentity, studies: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the whole document.

    Parameters
    ----------
    model
        The model that analysed the studies.
    studies
        One :func:`study_summary` per study.
    """
    return {
        "research_use_only": True,
        "model": {"name": model.name, "version": model.version, "weights_sha256": model.weights_sha256},
        "studies": [dict(study) for study in studies],
    }


def study_summary(result: StudyResult, objects: Sequence[ResultObject]) -> dict[str, Any]:
    """Return one study's entry.

    Boxes are ``[x0, y0, x1, y1]`` = column, row, column, row in pixels of the source, half-open;
    ``number`` and ``tracking_uid`` are the same as in the segmentation and in the report. Scores are from 0 to 1 and
    not calibrated.
    """
    lesions = lesions_of(result)
    return {
        "study_uid": result.study_uid,
        "outcome": result.outcome.value,
        "reason": result.reason,
        "coverage": result.coverage,
        "score": result.score,
        "breast_scores": result.breast_scores,
        "images": [_image(image, lesions[image.sop_instance_uid]) for image in result.images],
        "objects": [
            {"kind": made.kind, "sop_instance_uid": made.sop_instance_uid, "path": str(made.path)} for made in objects
        ],
    }


def _image(image: ImageResult, lesions: Sequence[Lesion]) -> dict[str, Any]:
    return {
        "sop_instance_uid": image.sop_instance_uid,
        "laterality": image.laterality,
        "view": image.view,
        "outcome": image.outcome.value,
        "attempt": image.attempt.value,
        "reason": image.reason,
        "notes": list(image.notes),
        "score": image.score,
        "findings": [_finding(lesion) for lesion in lesions],
    }


def _finding(lesion: Lesion) -> dict[str, Any]:
    finding = lesion.finding
    return {
        "number": lesion.number,
        "tracking_uid": lesion.tracking_uid,
        "type": finding.type.value,
        "box": [float(edge) for edge in finding.box],
        "lesion_score": float(finding.lesion_score),
        "malignancy_score": float(finding.malignancy_score),
        "cancer_score": float(finding.cancer_score),
        "area_mm2": None if finding.area_mm2 is None else float(finding.area_mm2),
        "long_axis_mm": None if finding.long_axis_mm is None else float(finding.long_axis_mm),
    }
