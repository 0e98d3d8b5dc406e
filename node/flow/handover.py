"""Hands jobs over to the queue: routes and dispatches them, and records both in the ledger."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from node.domain import Destination, JobState
from node.errors import IllegalTransition, QueueUnavailable
from node.flow.dispatch import ANALYSE, Dispatcher
from node.flow.routing import route
from node.ledger.ledger import Ledger

log = logging.getLogger(__name__)


class Handover:
    """Hands complete jobs over to the workers.

    Parameters
    ----------
    ledger, dispatcher
        The jobs, and the access to the queue.
    destinations
        Where results may go.
    """

    def __init__(self, ledger: Ledger, dispatcher: Dispatcher, destinations: Sequence[Destination]) -> None:
        self.ledger = ledger
        self.dispatcher = dispatcher
        self.destinations = tuple(destinations)
        self._queue_up = True

    def route(self, job_id: str) -> None:
        """Decide what happens to a complete job, and queue it if it is to be analysed."""
        plan = route(self.ledger.arrivals.instances(job_id), self.destinations)
        try:
            if plan.reason:
                self.ledger.jobs.move(job_id, JobState.NOT_PROCESSED, reason=plan.reason)
                log.info("not processed job=%s reason=%r", job_id, plan.reason)
                return
            self.ledger.jobs.route(job_id, plan.destinations)
        except IllegalTransition:
            return  # another node on this ledger was faster
        if self._queue_up:  # otherwise every study would take seconds to find that the queue is still down
            self.dispatch(ANALYSE, job_id)

    def dispatch(self, task: str, job_id: str) -> None:
        """Put a job on a task's queue; if the queue does not answer, leave the job to the reconciler."""
        try:
            self.dispatcher.send(task, job_id)
        except QueueUnavailable as error:
            if self._queue_up:
                log.error("not dispatched job=%s: %s; the reconciler will try again", job_id, error)
            self._queue_up = False
            return
        self._queue_up = True
        self.ledger.jobs.mark_dispatched(job_id)

    def nothing_waits(self, task: str) -> bool:
        """Return whether a task's queue is empty; False if it does not answer."""
        try:
            return self.dispatcher.depth(task) == 0
        except QueueUnavailable:
            return False
