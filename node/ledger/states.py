"""Where a job may go from where it is: the one table of legal transitions."""

from __future__ import annotations

from node.domain import JobState
from node.errors import IllegalTransition

S = JobState
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    S.RECEIVING: frozenset({S.COMPLETE}),
    S.COMPLETE: frozenset({S.QUEUED, S.NOT_PROCESSED}),
    S.QUEUED: frozenset({S.ANALYSING}),
    S.ANALYSING: frozenset({S.ANALYSING, S.QUEUED, S.DELIVERING, S.NOT_PROCESSED, S.FAILED}),
    S.DELIVERING: frozenset({S.DELIVERING, S.DELIVERED, S.NOT_PROCESSED, S.FAILED}),
    S.DELIVERED: frozenset({S.COMMITTED}),
    S.COMMITTED: frozenset(),
    S.NOT_PROCESSED: frozenset({S.COMPLETE}),
    S.FAILED: frozenset({S.COMPLETE, S.DELIVERING}),
}
"""Where a job may go from where it is. From failed and not processed it goes on only when a human says retry."""


def require(job_id: str, now: JobState, to: JobState) -> None:
    """Do nothing if a job in state ``now`` may go to ``to``.

    Raises
    ------
    IllegalTransition
        If it may not.
    """
    if to not in TRANSITIONS[now]:
        raise IllegalTransition(f"job {job_id} is {now} and cannot become {to}")
