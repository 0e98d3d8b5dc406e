"""The exceptions that ``node`` raises on purpose, in one hierarchy."""

from __future__ import annotations

from collections.abc import Sequence


class NodeError(Exception):
    """Base class of all exceptions raised by this package."""


class ConfigError(NodeError):
    """The configuration cannot be used. ``faults`` lists everything that is wrong with it, not just the first fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class SpoolError(NodeError):
    """The spool cannot store an instance."""


class SpoolFull(SpoolError):  # noqa: N818 - named after the status that it becomes
    """Too little space is left on the spool's disk (status 0xA700)."""


class FolderInUse(NodeError):  # noqa: N818 - it names the state
    """Another node works on this data folder."""


class LedgerError(NodeError):
    """The ledger cannot do what was asked."""


class IllegalTransition(LedgerError):  # noqa: N818 - names the event
    """The transition table does not allow this change of a job's state."""


class LeaseLost(LedgerError):  # noqa: N818 - names the event
    """Another worker holds the job now, so this worker's results must not be recorded."""


class QueueUnavailable(NodeError):  # noqa: N818 - names the state
    """The message queue cannot be reached. The ledger keeps the work until it can."""


class ReportUnusable(NodeError):  # noqa: N818 - names the state
    """The file is not a measurement report, or cannot be read."""


class ResultRejected(NodeError):  # noqa: N818 - names the event
    """A written result object does not match what was found, and must not be sent.

    Attributes
    ----------
    subject
        The object: its modality and SOP Instance UID, or its path.
    faults
        Everything that is wrong with it, one sentence per fault.
    """

    def __init__(self, subject: str, faults: Sequence[str]) -> None:
        self.subject = subject
        self.faults = tuple(faults)
        super().__init__(f"{subject}: {'; '.join(self.faults)}")

    def __reduce__(self) -> tuple[type[ResultRejected], tuple[str, tuple[str, ...]]]:
        """Support pickling, so that the exception can cross a process boundary."""
        return type(self), (self.subject, self.faults)
