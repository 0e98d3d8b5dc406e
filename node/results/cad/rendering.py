"""Which findings a workstation is to show, and at which operating point (PS3.4 O.2, PS3.17 E.4).

A model whose detections were measured has operating points: cuts of the cancer score, numbered from 0, the strictest.
What is above cut 0 is always shown; the reader may go on to the next cuts, and sees more marks and more false ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pydicom.dataset import Dataset

from ftmtl.findings import ModelIdentity, OperatingPoint
from node.results.common import codes
from node.results.common.content import (
    CONTAINS,
    HAS_CONCEPT_MOD,
    HAS_PROPERTIES,
    coded,
    container,
    number,
    text,
)

FEWEST_POINTS = 3
"""With fewer operating points than this there is nothing to choose from, and none is told of."""


class Rendering(NamedTuple):
    """Whether a workstation is to show a finding (CID 6034), and from which operating point on, if it may."""

    intent: codes.Code
    point: int | None = None


def points_of(model: ModelIdentity) -> tuple[OperatingPoint, ...]:
    """Return the operating points between which a reader may choose, the strictest first; there may be none."""
    return model.operating_points if len(model.operating_points) >= FEWEST_POINTS else ()


def rendering(cancer_score: float, model: ModelIdentity) -> Rendering:
    """Return how a finding with this score, 0 to 1, is to be shown.

    Without operating points all findings are: the model's own threshold has let them pass.
    """
    points = points_of(model)
    if not points:
        return Rendering(codes.PRESENTATION_REQUIRED)
    passed = next((n for n, point in enumerate(points) if cancer_score >= point.threshold), None)
    if passed is None:
        return Rendering(codes.NOT_FOR_PRESENTATION)
    return Rendering(codes.PRESENTATION_OPTIONAL, passed) if passed else Rendering(codes.PRESENTATION_REQUIRED)


def intent_of_all(renderings: Iterable[Rendering]) -> codes.Code:
    """Return the intent of a group of findings: what is to be shown never stands below what is not (PS3.4 O.2.1.1)."""
    intents = {one.intent for one in renderings}
    order = (codes.PRESENTATION_REQUIRED, codes.PRESENTATION_OPTIONAL, codes.NOT_FOR_PRESENTATION)
    return next(intent for intent in order if intent in intents)


def intent_item(shown: Rendering, model: ModelIdentity) -> Dataset:
    """Return the Rendering Intent of a finding, with its operating point if it has one (TID 4006, rows 2 and 3)."""
    content = []
    if shown.point is not None:
        unit = codes.from_to(1, len(points_of(model)) - 1)
        content.append(number(HAS_PROPERTIES, codes.OPERATING_POINT, shown.point, unit))
    return coded(HAS_CONCEPT_MOD, codes.RENDERING_INTENT, shown.intent, content)


def operating_points(model: ModelIdentity) -> Iterator[Dataset]:
    """Yield the operating points of a detection, and what was measured at each (TID 4023)."""
    points = points_of(model)
    if not points:
        return
    last = len(points) - 1
    yield number(HAS_PROPERTIES, codes.MAXIMUM_OPERATING_POINT, last, codes.ARBITRARY_UNIT)
    yield number(HAS_PROPERTIES, codes.RECOMMENDED_OPERATING_POINT, 0, codes.from_to(0, last))
    yield container(
        HAS_PROPERTIES,
        codes.OPERATING_POINT_TABLE,
        [
            coded(CONTAINS, codes.X_CONCEPT, codes.FALSE_MARKERS),
            coded(CONTAINS, codes.Y_CONCEPT, codes.LESION_SENSITIVITY),
            *(
                number(CONTAINS, codes.OPERATING_POINT, n, codes.from_to(0, last), _measured(point, model))
                for n, point in enumerate(points)
            ),
        ],
    )


def _measured(point: OperatingPoint, model: ModelIdentity) -> Iterator[Dataset]:
    """Yield what an operating point is, and what was measured there (TID 4023, rows 7 to 9)."""
    yield text(HAS_PROPERTIES, codes.OPERATING_POINT_DESCRIPTION, description(point, model))
    yield number(HAS_PROPERTIES, codes.FALSE_MARKERS, point.false_positives, codes.NO_UNITS)
    yield number(HAS_PROPERTIES, codes.LESION_SENSITIVITY, 100 * point.sensitivity, codes.PERCENT)


def description(point: OperatingPoint, model: ModelIdentity) -> str:
    """Return what an operating point is, in words."""
    measured = f" Measured on {model.measured_on}" if model.measured_on else ""
    return f"Findings with a cancer score of {100 * point.threshold:.2f} or more (0 to 100, uncalibrated).{measured}"
