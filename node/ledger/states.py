"""The table of legal transitions between job states."""

from __future__ import annotations

from node.domain import JobState
from node.errors import IllegalTransition

S = JobState
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    S.RECEIVING: frozenset({S.COMPLETE}),
    S.COMPLETE: frozenset({S.QUEUED, S.NOT_PROCESSED, S.HELD}),
    S.HELD: frozenset({S.COMPLETE}),
    S.QUEUED: frozenset({S.ANALYSING}),
    S.ANALYSING: frozenset({S.ANALYSING, S.QUEUED, S.DELIVERING, S.NOT_PROCESSED, S.FAILED}),
    S.DELIVERING: frozenset({S.DELIVERING, S.DELIVERED, S.NOT_PROCESSED, S.FAILED}),
    S.DELIVERED: frozenset({S.COMMITTED, S.DELIVERING}),
    S.COMMITTED: frozenset({S.DELIVERING}),
    S.NOT_PROCESSED: frozenset({S.COMPLETE, S.DELIVERING}),
    S.FAILED: frozenset({S.COMPLETE, S.DELIVERING}),
}
"""The states that may follow each state. A job that has ended goes on only when a person retries it."""


def require(job_id: str, now: JobState, to: JobState) -> None:
    """Check that a job in state ``now`` may move to state ``to``.

    Raises
    ------
    IllegalTransition
        If it may not.
    """
    if to not in TRANSITIONS[now]:
        raise IllegalTransition(f"job {job_id} is {now} and cannot become {to}")
