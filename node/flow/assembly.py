"""Decides when a study is complete: a pure function of what has arrived, and how long ago."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ftmtl.acquisition import MG_FOR_PRESENTATION, SECONDARY_CAPTURE, STANDARD_VIEWS
from node.domain import Instance, Job


@dataclass(frozen=True)
class AssemblyPolicy:
    """How long to wait, in seconds; see `node.config.AssemblySection`."""

    quiet_s: float
    deadline_s: float


def why_complete(
    job: Job, instances: Sequence[Instance], *, sender_connected: bool, now: float, policy: AssemblyPolicy
) -> str | None:
    """Decide whether a study that is being received is complete.

    Parameters
    ----------
    job, instances
        The open job, and its instances.
    sender_connected
        Whether an association that sent part of it is still open.
    now
        Seconds since the epoch.

    Returns
    -------
    str or None
        Why it is complete: ``all views``, ``quiet`` or ``deadline``; None if it is not.
    """
    analysable = (i for i in instances if i.sop_class_uid in (MG_FOR_PRESENTATION, SECONDARY_CAPTURE))
    if {(i.laterality, i.view) for i in analysable} >= STANDARD_VIEWS:
        return "all views"
    if now - job.created >= policy.deadline_s:
        return "deadline"
    if not sender_connected and now - job.last_received >= policy.quiet_s:
        return "quiet"
    return None
