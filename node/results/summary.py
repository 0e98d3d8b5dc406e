"""A result for programs: one JSON document with the same findings as the DICOM objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ftmtl.findings import Finding, ImageResult, ModelIdentity, StudyResult
from node.domain import ResultObject
from node.results.common.naming import tracking_uid


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
    ``tracking_uid`` is the same as in the segmentation and in the report.
    """
    return {
        "study_uid": result.study_uid,
        "outcome": result.outcome.value,
        "reason": result.reason,
        "coverage": result.coverage,
        "score": result.score,
        "breast_scores": result.breast_scores,
        "images": [_image(image, result.model) for image in result.images],
        "objects": [
            {"kind": made.kind, "sop_instance_uid": made.sop_instance_uid, "path": str(made.path)} for made in objects
        ],
    }


def _image(image: ImageResult, model: ModelIdentity) -> dict[str, Any]:
    return {
        "sop_instance_uid": image.sop_instance_uid,
        "laterality": image.laterality,
        "view": image.view,
        "outcome": image.outcome.value,
        "reason": image.reason,
        "notes": list(image.notes),
        "score": image.score,
        "findings": [
            _finding(finding, tracking_uid(image.sop_instance_uid, model, n))
            for n, finding in enumerate(image.findings, start=1)
        ],
    }


def _finding(finding: Finding, uid: str) -> dict[str, Any]:
    return {
        "tracking_uid": uid,
        "type": finding.type.value,
        "box": [float(edge) for edge in finding.box],
        "lesion_score": float(finding.lesion_score),
        "malignancy_score": float(finding.malignancy_score),
        "area_mm2": None if finding.area_mm2 is None else float(finding.area_mm2),
        "long_axis_mm": None if finding.long_axis_mm is None else float(finding.long_axis_mm),
    }
