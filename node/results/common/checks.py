"""Checks that several kinds of objects share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from node.domain import Predecessor
from node.results.common.content import TOLERANCE

FLAGS = {"CompletionFlag": "COMPLETE", "VerificationFlag": "UNVERIFIED", "PreliminaryFlag": "PRELIMINARY"}
"""The flags for the state of every structured report (PS3.3 C.17.2)."""

CONTENT_TIME = ("ContentDate", "ContentTime")
"""When the content of an object was created; a presentation state has other attributes for this."""


def leaves(points: NDArray[np.float64], image: Dataset) -> bool:
    """Return whether any point is outside of an image, 0\\0 to Columns\\Rows (PS3.3 C.10.5, C.18.6).

    Parameters
    ----------
    points
        Shape (points, 2) = column, row.
    image
        The header of the image.
    """
    return bool(points.min() < 0 or (points > (image.Columns + TOLERANCE, image.Rows + TOLERANCE)).any())


def absent_faults(ds: Dataset, keywords: Iterable[str]) -> Iterator[str]:
    """Yield the attributes that are absent from an object, or have no value."""
    for keyword in keywords:
        if not ds.get(keyword):
            yield f"{keyword} is missing"


def document_faults(ds: Dataset, known: Mapping[str, Dataset]) -> Iterator[str]:
    """Check the flags of a structured report, and its evidence (PS3.3 C.17.2)."""
    for keyword, value in FLAGS.items():
        if ds.get(keyword) != value:
            yield f"{keyword} is not {value}"
    evidence = set(_evidence(ds))
    for uid in sorted(known.keys() - evidence):
        yield f"{uid} is not listed as evidence"
    for uid in sorted(evidence - known.keys()):
        yield f"{uid} is listed as evidence, but does not exist"


def predecessor_faults(ds: Dataset, predecessor: Predecessor | None) -> Iterator[str]:
    """Check which document a structured report replaces (PS3.3 C.17.2)."""
    replaced = [
        Predecessor(
            study.StudyInstanceUID, series.SeriesInstanceUID, i.ReferencedSOPClassUID, i.ReferencedSOPInstanceUID
        )
        for study in ds.get("PredecessorDocumentsSequence") or ()
        for series in study.ReferencedSeriesSequence
        for i in series.ReferencedSOPSequence
    ]
    if replaced != ([] if predecessor is None else [predecessor]):
        yield f"replaces {', '.join(p.sop_instance_uid for p in replaced) or 'no document'}"


def _evidence(ds: Dataset) -> Iterator[str]:
    for study in ds.get("CurrentRequestedProcedureEvidenceSequence") or ():
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                yield str(item.ReferencedSOPInstanceUID)
