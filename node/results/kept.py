"""A study's result on disk, next to its objects: if a PACS refuses a kind, other objects are built from it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftmtl.findings import (
    Attempt,
    Finding,
    FindingType,
    ImageResult,
    LesionMask,
    ModelIdentity,
    OperatingPoint,
    Outcome,
    StudyResult,
)
from node.domain import Predecessor
from node.kinds import ObjectKind
from node.store.spool import sync_folder

FILE_NAME = "result.npz"

Arrays = dict[str, NDArray[Any]]


Predecessors = Mapping[ObjectKind, Predecessor]
"""The reports that a study's reports replace, by kind."""


def keep_result(folder: Path, result: StudyResult, predecessors: Predecessors) -> None:
    """Write a result durably, for :func:`read_result` of the same version to read.

    Parameters
    ----------
    folder
        The job's results folder.
    predecessors
        The reports that the study's reports replace.
    """
    arrays: Arrays = {}
    document = {
        "study_uid": result.study_uid,
        "model": asdict(result.model),
        "images": [_image(number, image, arrays) for number, image in enumerate(result.images)],
        "forward_seconds": result.forward_seconds,
        "predecessors": {kind.value: asdict(predecessor) for kind, predecessor in predecessors.items()},
    }
    part = folder / f".{FILE_NAME}.{os.getpid()}.part"
    with part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, document=np.array(json.dumps(document)), **arrays)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / FILE_NAME)
    sync_folder(folder)


def read_result(folder: Path) -> tuple[StudyResult, Predecessors]:
    """Read what :func:`keep_result` wrote.

    Raises
    ------
    OSError, ValueError, KeyError
        If the file is missing or damaged.
    """
    with np.load(folder / FILE_NAME, allow_pickle=False) as arrays:
        document = json.loads(str(arrays["document"]))
        images = tuple(_read_image(number, entry, arrays) for number, entry in enumerate(document["images"]))
    result = StudyResult(document["study_uid"], _model(document["model"]), images, document["forward_seconds"])
    return result, {ObjectKind(kind): Predecessor(**named) for kind, named in document["predecessors"].items()}


def _model(entry: dict[str, Any]) -> ModelIdentity:
    looks_for = tuple(FindingType(kind) for kind in entry.pop("looks_for", ()))
    points = tuple(OperatingPoint(**point) for point in entry.pop("operating_points", ()))
    return ModelIdentity(**entry, looks_for=looks_for, operating_points=points)


def _image(number: int, image: ImageResult, arrays: Arrays) -> dict[str, Any]:
    """Describe an image; the arrays of its findings are added to ``arrays``."""
    findings = []
    for n, finding in enumerate(image.findings):
        arrays[f"mask-{number}-{n}"] = finding.mask.pixels
        if finding.probability is not None:
            arrays[f"probability-{number}-{n}"] = finding.probability
        findings.append(
            {
                "box": [float(edge) for edge in finding.box],
                "column": int(finding.mask.column),
                "row": int(finding.mask.row),
                "type": finding.type.value,
                **{name: _number(getattr(finding, name)) for name in _NUMBERS},
            }
        )
    return {
        "sop_instance_uid": str(image.sop_instance_uid),
        "laterality": image.laterality,
        "view": image.view,
        "outcome": image.outcome.value,
        "reason": image.reason,
        "findings": findings,
        "spacing_mm": image.spacing_mm and [float(mm) for mm in image.spacing_mm],
        "spacing_source": image.spacing_source,
        "version": image.version,
        "notes": list(image.notes),
        "window": image.window and [float(edge) for edge in image.window],
        "attempt": image.attempt.value,
    }


_NUMBERS = ("lesion_score", "malignancy_score", "area_mm2", "long_axis_mm")


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _read_image(number: int, entry: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> ImageResult:
    findings = tuple(
        Finding(
            box=(found["box"][0], found["box"][1], found["box"][2], found["box"][3]),
            mask=LesionMask(arrays[f"mask-{number}-{n}"], found["column"], found["row"]),
            type=FindingType(found["type"]),
            probability=arrays[key] if (key := f"probability-{number}-{n}") in arrays else None,
            **{name: found[name] for name in _NUMBERS},
        )
        for n, found in enumerate(entry["findings"])
    )
    spacing = entry["spacing_mm"]
    return ImageResult(
        entry["sop_instance_uid"],
        entry["laterality"],
        entry["view"],
        Outcome(entry["outcome"]),
        entry["reason"],
        findings,
        None if spacing is None else (spacing[0], spacing[1]),
        entry["spacing_source"],
        entry.get("version", ""),  # a result that an earlier version kept has none
        tuple(entry.get("notes", ())),
        None if (window := entry.get("window")) is None else (window[0], window[1]),
        Attempt(entry.get("attempt", Attempt.MADE)),
    )
