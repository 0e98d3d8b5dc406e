"""What a study's outcome says: no findings only where both breasts were read in every view that came."""

from __future__ import annotations

import pytest

from ftmtl.findings import ImageResult, ModelIdentity, Outcome, StudyResult

READ, REFUSED, FAILED = Outcome.NO_FINDINGS, Outcome.NOT_PROCESSED, Outcome.FAILED


def study(*images: tuple[str | None, str | None, Outcome]) -> StudyResult:
    results = (ImageResult(f"1.{n}", side, view, outcome) for n, (side, view, outcome) in enumerate(images))
    return StudyResult("1.2", ModelIdentity("model", "1", "00"), tuple(results))


ALL = [(side, view, READ) for side in "RL" for view in ("CC", "MLO")]


@pytest.mark.parametrize(
    ("images", "outcome", "coverage"),
    [
        (ALL, "no_findings", "Read: R CC, L CC, R MLO, L MLO."),
        ([*ALL, ("L", "CC", REFUSED)], "no_findings", "Read: R CC, L CC, R MLO, L MLO."),
        ([*ALL, (None, None, REFUSED)], "no_findings", "Read: R CC, L CC, R MLO, L MLO."),
        ([("R", "CC", READ), ("L", "CC", READ)], "no_findings", "Read: R CC, L CC."),
        (ALL[:3], "no_findings", "Read: R CC, L CC, R MLO."),  # the other view never came
        ([*ALL[:3], ("L", "MLO", REFUSED)], "partly_read", "Read: R CC, L CC, R MLO. Not read: L MLO."),
        ([*ALL[:3], ("L", "MLO", FAILED)], "partly_read", "Read: R CC, L CC, R MLO. Not read: L MLO."),
        ([*ALL, ("L", "XCCL", REFUSED)], "partly_read", "Read: R CC, L CC, R MLO, L MLO. Not read: L XCCL."),
        ([("L", "CC", READ)], "partly_read", "Read: L CC. Not read: right breast."),
        ([("L", None, READ)], "partly_read", "Read: L unknown view. Not read: right breast."),
        ([(None, "CC", READ)], "partly_read", "Read: CC."),
        ([("L", "CC", REFUSED)], "not_processed", ""),
        ([("L", "CC", FAILED), ("R", "CC", REFUSED)], "failed", ""),
    ],
)
def test_outcome_and_what_was_read(images, outcome, coverage):
    result = study(*images)
    assert (result.outcome, result.coverage) == (outcome, coverage)
