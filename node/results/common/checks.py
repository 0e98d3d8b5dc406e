"""Checks that several kinds of objects share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pydicom.dataset import Dataset

FLAGS = {"CompletionFlag": "COMPLETE", "VerificationFlag": "UNVERIFIED", "PreliminaryFlag": "PRELIMINARY"}
"""What every structured report says of its state (PS3.3 C.17.2)."""

CONTENT_TIME = ("ContentDate", "ContentTime")
"""When the content of an object was made; a presentation state has attributes of its own."""


def absent_faults(ds: Dataset, keywords: Iterable[str]) -> Iterator[str]:
    """Yield the attributes that an object lacks, or has without a value."""
    for keyword in keywords:
        if not ds.get(keyword):
            yield f"{keyword} is missing"


def document_faults(ds: Dataset, known: Mapping[str, Dataset]) -> Iterator[str]:
    """Check what every structured report says of itself, and what it rests on (PS3.3 C.17.2)."""
    for keyword, value in FLAGS.items():
        if ds.get(keyword) != value:
            yield f"{keyword} is not {value}"
    evidence = set(_evidence(ds))
    for uid in sorted(known.keys() - evidence):
        yield f"{uid} is no evidence"
    for uid in sorted(evidence - known.keys()):
        yield f"evidence {uid} does not exist"


def _evidence(ds: Dataset) -> Iterator[str]:
    for study in ds.get("CurrentRequestedProcedureEvidenceSequence") or ():
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                yield str(item.ReferencedSOPInstanceUID)
