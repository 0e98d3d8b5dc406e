"""Scores of the study and of each breast, as groups of a measurement report (PS3.16 TID 1501).

They stand among the Derived Imaging Measurements (TID 1500, row 10), because they are the largest of the lesions'
scores. Among the Imaging Measurements they would stand beside groups with regions, where OHIF shows nothing more and
PixelMed takes them for regions that are missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from highdicom.sr import (
    FindingSite,
    MeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset

from ftmtl.findings import ImageResult, StudyResult
from node.identity import derived_uid
from node.results.common import codes
from node.results.common.content import CONTAINS, container
from node.results.common.naming import device_uid
from node.results.common.outcome import Known, outcome_code
from node.results.sr.parts import algorithm, score

BREASTS = {"R": "right breast", "L": "left breast"}
"""Names of the groups, in their order."""


class Scored(NamedTuple):
    """The study or a breast, if an image of it was read.

    Attributes
    ----------
    name
        ``study``, ``right breast`` or ``left breast``.
    side
        ``L``, ``R``, or empty for the study.
    images
        Its images that were read.
    cancer_score
        The largest of its lesions, 0 to 1; None if it has no lesion, for below the threshold there is no number.
    outcome
        How its analysis ended (CID 6047).
    tracking_uid
        Of its group.
    """

    name: str
    side: str
    images: tuple[ImageResult, ...]
    cancer_score: float | None
    outcome: codes.Code
    tracking_uid: str


def scored(result: StudyResult) -> list[Scored]:
    """Return the study and its breasts, without those of which nothing was read."""
    mammograms = {"": result.mammograms}
    mammograms |= {side: tuple(i for i in result.mammograms if i.laterality == side) for side in BREASTS}
    return [
        Scored(
            name := BREASTS.get(side, "study"),
            side,
            read,
            max((finding.cancer_score for image in read for finding in image.findings), default=None),
            outcome_code(replace(result, images=images)),
            derived_uid(result.study_uid, device_uid(result.model), name),
        )
        for side, images in mammograms.items()
        if (read := tuple(image for image in images if image.was_read))
    ]


def derived_measurements(images: Sequence[Known], result: StudyResult) -> Iterator[Dataset]:
    """Yield the container of the scores, if anything was read."""
    groups = [group for part in scored(result) for group in _group(part, images, result)]
    if groups:
        yield container(CONTAINS, codes.DERIVED_MEASUREMENTS, groups)


def _group(part: Scored, images: Sequence[Known], result: StudyResult) -> MeasurementsAndQualitativeEvaluations:
    """Return the group of the study or a breast: its outcome, its score, and the images that it was taken from."""
    read = {image.sop_instance_uid for image in part.images}
    headers = [known.header for known in images if known.image.sop_instance_uid in read]
    value = part.cancer_score
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=part.tracking_uid, identifier=part.name),
        source_images=[SourceImageForMeasurementGroup(h.SOPClassUID, h.SOPInstanceUID) for h in headers],
        finding_sites=[FindingSite(codes.BREASTS[part.side])] if part.side else None,
        measurements=None if value is None else [score(codes.CANCER_SCORE, value, codes.MAXIMUM)],
        qualitative_evaluations=[QualitativeEvaluation(codes.CAD_SUMMARY, part.outcome)],
        algorithm_id=algorithm(result.model),
    )
