"""Every exception that the science side raises on purpose, in one tree."""

from __future__ import annotations

from collections.abc import Sequence

from ftmtl.outcomes import Attempt


class FtmtlError(Exception):
    """Base of all errors raised by ``ftmtl``."""


class NotAnalysable(FtmtlError):  # noqa: N818 - it names the image's state, which the caller reports
    """The image can't be read by this model, and never will be.

    The message is a sentence for a radiographer; it becomes the reason of a ``not_processed`` result.
    """


class NotMeant(NotAnalysable):
    """The image is of a kind that this model is not meant for, as its header tells.

    Attributes
    ----------
    attempt
        Whether the image has a part in the outcome of the study.
    other_form
        Whether it has none as soon as an image of the same breast and view is read: it is the same in another form.
    """

    def __init__(self, reason: str, attempt: Attempt, *, other_form: bool = False) -> None:
        super().__init__(reason)
        self.attempt = attempt
        self.other_form = other_form


class DecoderMissing(FtmtlError):  # noqa: N818 - it names what is wrong with the installation
    """No decoder for an image's transfer syntax is installed here. The image itself may be perfectly good."""


class WeightsError(FtmtlError):
    """A weights file is missing, damaged or of another network."""


class TrainingError(FtmtlError):
    """Training that cannot start or go on; the message names the file, key or step."""


class RecipeError(TrainingError):
    """A recipe that cannot be used; ``faults`` holds a sentence for each thing wrong with it."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class DatasetError(FtmtlError):
    """Training or evaluation data that is missing, damaged or contradicts itself; the message names the file."""


class EvaluationError(FtmtlError):
    """A figure that cannot be computed from what was given; the message says what is missing."""
