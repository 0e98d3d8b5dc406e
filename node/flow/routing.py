"""Decides what to do with a complete study: a pure function from instances and destinations to a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import uid

from node.domain import Destination, Instance

DIGITAL_MAMMOGRAPHY = frozenset(
    {
        uid.DigitalMammographyXRayImageStorageForPresentation,
        uid.DigitalMammographyXRayImageStorageForProcessing,
        uid.BreastTomosynthesisImageStorage,
        uid.BreastProjectionXRayImageStorageForPresentation,
        uid.BreastProjectionXRayImageStorageForProcessing,
    }
)
"""SOP classes that are mammograms by definition (PS3.4 B.5)."""


@dataclass(frozen=True)
class Plan:
    """The decision of routing.

    Attributes
    ----------
    destinations
        Where results go; empty if there is nothing to analyse.
    reason
        Why there is nothing to analyse, in words; otherwise empty.
    """

    destinations: tuple[Destination, ...]
    reason: str = ""


def route(instances: Sequence[Instance], destinations: Sequence[Destination]) -> Plan:
    """Decide what happens to a study.

    A study with anything that may be a mammogram goes to a worker, which looks at each image.
    Any other study is stored, but not processed.
    """
    if any(i.sop_class_uid in DIGITAL_MAMMOGRAPHY or i.modality == "MG" for i in instances):
        return Plan(tuple(destinations))
    found = ", ".join(sorted({i.modality or "no modality" for i in instances}))
    return Plan((), f"no mammogram in this study ({found}): stored, not processed")


def why_held(instances: Sequence[Instance]) -> str:
    """Return why a study must wait for a person, or an empty string: its images name different patients."""
    identities = sorted({instance.identity for instance in instances if instance.identity})
    if len(identities) < 2:
        return ""
    digests = " and ".join(identity[:12] for identity in identities)
    return f"the images of this study name different patients (digests {digests}): nothing is sent before a release"
