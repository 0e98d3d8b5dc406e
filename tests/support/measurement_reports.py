"""Measurement reports: built with their segmentations, and read part by part."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset

from ftmtl.findings import StudyResult
from node.domain import Predecessor
from node.results.common import codes
from node.results.common.content import children, value_of
from node.results.seg.build import build_segmentation
from node.results.sr.measurement_report import build_report
from support.objects import below
from support.studies import Headers, by_uid

COMPREHENSIVE_3D, COMPREHENSIVE = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.33"
"""SOP classes of its two forms."""

OLDER = Predecessor("2.25.10", "2.25.900", COMPREHENSIVE_3D, "2.25.901")
"""A report that another may replace."""


def masks(headers: Sequence[Dataset], result: StudyResult) -> dict[str, Dataset]:
    """Return the segmentation of each image with findings."""
    known = by_uid(headers)
    return {
        image.sop_instance_uid: build_segmentation(known[image.sop_instance_uid], image, result, n)
        for n, image in enumerate(result.images)
        if image.findings
    }


def report(sources: list[Dataset], result: StudyResult, missing: Headers, **options: object) -> Dataset:
    """Return the report of a study, its segmentations made for it; the images not analysed are in ``missing``."""
    return build_report(sources, result, masks(sources, result), missing, **options)


def evaluations(ds: Dataset) -> Dataset:
    """Return the item that holds what a report says of the study as a whole."""
    return below(ds, codes.QUALITATIVE_EVALUATIONS)


def comments(parent: Dataset) -> list[str]:
    """Return the comments right below an item."""
    return [value_of(item.ds) for item in children(parent) if item.name == codes.COMMENT.value]


def groups(ds: Dataset) -> list[Dataset]:
    """Return the measurement groups of a report."""
    (measurements,) = (item.ds for item in children(ds) if item.name == "126010")
    return list(measurements.ContentSequence)
