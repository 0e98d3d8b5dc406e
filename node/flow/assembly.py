"""Decides when a study is complete: pure functions of what has arrived, and how long ago."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ftmtl.header.acquisition import STANDARD_VIEWS
from node.domain import Instance, Job


@dataclass(frozen=True)
class AssemblyPolicy:
    """How long to wait, in seconds; see `node.settings.AssemblySection`."""

    quiet_s: float
    deadline_s: float
    settle_s: float = 2.0


def why_complete(
    job: Job, instances: Sequence[Instance], *, sender_connected: bool, now: float, policy: AssemblyPolicy
) -> str | None:
    """Decide whether a study that is being received is complete.

    Parameters
    ----------
    job, instances
        The open job, and its instances; only those that will be analysed count.
    sender_connected
        Whether an association that sent part of it is still open.
    now
        Seconds since the epoch.

    Returns
    -------
    str or None
        Why it is complete: ``all views``, ``quiet`` or ``deadline``; None if it is not.
    """
    silent_s = now - job.last_received
    if has_all_views(instances) and (not sender_connected or silent_s >= policy.settle_s):
        return "all views"
    if now - job.created >= policy.deadline_s:
        return "deadline"
    if not sender_connected and silent_s >= policy.quiet_s:
        return "quiet"
    return None


def look_again_at(job: Job, instances: Sequence[Instance], *, sender_connected: bool, policy: AssemblyPolicy) -> float:
    """Return when an incomplete study may become complete without anything happening, in seconds since the epoch."""
    deadline = job.created + policy.deadline_s
    if has_all_views(instances):
        return min(deadline, job.last_received + policy.settle_s)
    return deadline if sender_connected else min(deadline, job.last_received + policy.quiet_s)


def has_all_views(instances: Sequence[Instance]) -> bool:
    """Return whether the four standard views are there, each as an image that will be analysed in any case."""
    certain = (i for i in instances if not i.refusal and not i.substitute)
    return {(i.laterality, i.view) for i in certain} >= STANDARD_VIEWS
