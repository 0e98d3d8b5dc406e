"""What several groups of a measurement report consist of, made by highdicom."""

from __future__ import annotations

from highdicom.sr import (
    AlgorithmIdentification,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
)

from ftmtl.findings import ModelIdentity
from node.results.common import codes
from node.results.common.stamp import algorithm_parameters

Group = PlanarROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations


def algorithm(model: ModelIdentity, *more: str) -> AlgorithmIdentification:
    """Return the identification of the algorithm (TID 4019); its parameters say what else a reader has to know.

    The manufacturer is an addition to TID 4019, under the name that TID 2102 and 3205 have for it.
    """
    return AlgorithmIdentification(
        name=model.name,
        version=model.version,
        parameters=[algorithm_parameters(model), *more],
        family=codes.ARTIFICIAL_INTELLIGENCE,
        manufacturer=model.manufacturer or None,
    )


def score(name: codes.Code, value: float, derivation: codes.Code | None = None) -> Measurement:
    """Return a score of 0 to 1 as a number from 0 to 100 (TID 300)."""
    return Measurement(name, round(100 * value, 2), codes.RANGE_TO_100, derivation=derivation)
