"""What the model and its findings are called in a CAD report."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from ftmtl.findings import FindingType, ModelIdentity, StudyResult
from node.kinds import ObjectKind
from node.results.common import codes
from node.results.common.content import HAS_PROPERTIES, text
from node.results.common.stamp import SCORES, algorithm_parameters

UNCALIBRATED = f"{SCORES} Certainty of Finding is the lesion score."
"""What has to be known of the numbers of a finding."""

MAPPED = "architectural distortion, coded as a density for this workstation"
"""What is said of a distortion that is coded as something else."""

ALL_MAPPED = "Architectural distortions are coded as densities for this workstation."
"""What a report says in which they are."""


def finding_code(finding_type: FindingType, kind: ObjectKind) -> codes.Code:
    """Return how a finding is coded in a report of a kind (CID 6014)."""
    return codes.DENSITY if is_mapped(finding_type, kind) else codes.CAD_FINDING_TYPES[finding_type]


def is_mapped(finding_type: FindingType, kind: ObjectKind) -> bool:
    """Return whether a finding is coded as another kind of finding, for a workstation that draws no distortions."""
    return finding_type is FindingType.DISTORTION and kind is ObjectKind.CAD_DENSITY


def detected(result: StudyResult, kind: ObjectKind) -> list[codes.Code]:
    """Return what the model looks for (CID 6014), whatever it found.

    Where that is not known: lesions of any kind, and every kind that it found.
    """
    found = [finding.type for image in result.images for finding in image.findings]
    types = [*(result.model.looks_for or (FindingType.LESION,)), *found]
    return sorted({finding_code(each, kind) for each in types}, key=lambda code: code.value)


def algorithm(model: ModelIdentity, *more: str) -> Iterator[Dataset]:
    """Yield the identification of the algorithm (TID 4019)."""
    yield text(HAS_PROPERTIES, codes.ALGORITHM_NAME, model.name)
    yield text(HAS_PROPERTIES, codes.ALGORITHM_VERSION, model.version)
    for parameter in (algorithm_parameters(model), *more):
        yield text(HAS_PROPERTIES, codes.ALGORITHM_PARAMETERS, parameter)
