"""How an analysis may end, in words that need the standard library only."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How the analysis of an image or of a study ended."""

    FINDINGS = "findings"
    NO_FINDINGS = "no_findings"
    PARTLY_READ = "partly_read"
    """Of a study: no findings on the images that were read, but not every view of both breasts was."""
    NOT_PROCESSED = "not_processed"
    FAILED = "failed"


class Attempt(StrEnum):
    """Whether the model was to read an image."""

    MADE = "made"
    """It was: if there is no result, the attempt has failed."""
    NOT_MADE = "not made"
    """A mammogram of a kind that the model does not read, such as a spot view."""
    NOT_APPLICABLE = "not applicable"
    """Not a mammogram, or one that is there in another form that the model reads. It has no part in the outcome."""
