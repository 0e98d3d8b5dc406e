"""What to do with a complete study: a pure function from instances and rules to a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from node.domain import Destination, Instance

DIGITAL_MAMMOGRAPHY = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.1.2",  # For Presentation
        "1.2.840.10008.5.1.4.1.1.1.2.1",  # For Processing
        "1.2.840.10008.5.1.4.1.1.13.1.3",  # Breast Tomosynthesis
        "1.2.840.10008.5.1.4.1.1.13.1.4",  # Breast Projection, For Presentation
        "1.2.840.10008.5.1.4.1.1.13.1.5",  # Breast Projection, For Processing
    }
)
"""SOP classes that are mammograms by definition (PS3.4 B.5)."""


@dataclass(frozen=True)
class Plan:
    """What routing decided.

    Attributes
    ----------
    destinations
        Where results go; empty if there is nothing to analyse.
    reason
        Why there is nothing to analyse, in words; else empty.
    """

    destinations: tuple[Destination, ...]
    reason: str = ""


def route(instances: Sequence[Instance], destinations: Sequence[Destination]) -> Plan:
    """Decide what becomes of a study.

    A study with anything that may be a mammogram goes to a worker, which looks at each image;
    the rest is stored and not processed.
    """
    if any(i.sop_class_uid in DIGITAL_MAMMOGRAPHY or i.modality == "MG" for i in instances):
        return Plan(tuple(destinations))
    found = ", ".join(sorted({i.modality or "no modality" for i in instances}))
    return Plan((), f"no mammogram in this study ({found}): stored, not processed")
