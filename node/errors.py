"""Everything that ``node`` raises on purpose: one tree."""

from __future__ import annotations

from collections.abc import Sequence


class NodeError(Exception):
    """Base of all errors of this package."""


class ConfigError(NodeError):
    """A configuration that cannot be used; ``faults`` lists everything that is wrong with it, not the first only."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class SpoolError(NodeError):
    """The spool cannot take an instance."""


class SpoolFull(SpoolError):  # noqa: N818 - named as the status it becomes
    """Too little space is left on the spool's disk (status A700)."""


class LedgerError(NodeError):
    """The ledger cannot do what was asked."""


class IllegalTransition(LedgerError):  # noqa: N818 - it is what happened
    """A job was told to go where the table of transitions does not let it."""


class LeaseLost(LedgerError):  # noqa: N818 - it is what happened
    """Somebody else holds the job now: what this worker did must not be recorded."""


class QueueUnavailable(NodeError):  # noqa: N818 - it is what happened
    """The message queue cannot be reached; the ledger keeps the work until it can."""


class ReportUnusable(NodeError):  # noqa: N818 - it is what happened
    """A file that should be a measurement report is none."""


class ResultRejected(NodeError):  # noqa: N818 - it is what happened
    """A result object that was written does not say what was found; it must not be sent.

    Attributes
    ----------
    subject
        Which object.
    faults
        Everything that is wrong with it, one sentence a fault.
    """

    def __init__(self, subject: str, faults: Sequence[str]) -> None:
        self.subject = subject
        self.faults = tuple(faults)
        super().__init__(f"{subject}: {'; '.join(self.faults)}")

    def __reduce__(self) -> tuple[type[ResultRejected], tuple[str, tuple[str, ...]]]:
        """Survive pickling, as an exception that crosses a process boundary must."""
        return type(self), (self.subject, self.faults)
