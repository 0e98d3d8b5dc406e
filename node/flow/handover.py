"""Hands jobs over to the queue: routes and dispatches them, and records both in the ledger."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from node.config import Config
from node.domain import Cause, Instance, JobState
from node.errors import IllegalTransition, QueueUnavailable
from node.flow.dispatch import ANALYSE, DELIVER, Dispatcher
from node.flow.routing import route, why_held
from node.ledger.deliveries import RELEASED
from node.ledger.ledger import Ledger

log = logging.getLogger(__name__)

_DELIVERY_STARTS_S = 5.0
"""How long a delivery may take to be claimed before it is dispatched again."""


class Handover:
    """Hands complete jobs over to the workers.

    Parameters
    ----------
    ledger, dispatcher
        The jobs, and the access to the queue.
    config
        Where results may go, and what is asked of a person first.
    """

    def __init__(self, ledger: Ledger, dispatcher: Dispatcher, config: Config) -> None:
        self.ledger = ledger
        self.dispatcher = dispatcher
        self.destinations = config.destination_list()
        self.ask = config.node.duplicates == "ask"
        self.look_again_s = {ANALYSE: config.queue.lease_s, DELIVER: _DELIVERY_STARTS_S}
        self._queue_up = True

    def route(self, job_id: str) -> None:
        """Decide what happens to a complete job, and queue it if it is to be analysed."""
        instances = self.ledger.arrivals.instances(job_id)
        plan = route(instances, self.destinations)
        try:
            if held := self._why_held(job_id, instances):
                self.ledger.jobs.move(job_id, JobState.HELD, reason=held)
                log.warning("held job=%s reason=%r", job_id, held)
                return
            if plan.reason:
                self.ledger.jobs.move(job_id, JobState.NOT_PROCESSED, reason=plan.reason)
                log.info("not processed job=%s reason=%r", job_id, plan.reason)
                return
            self.ledger.jobs.route(job_id, plan.destinations)
        except IllegalTransition:
            return  # another node on this ledger was faster
        if self._queue_up:  # otherwise every study would take seconds to find that the queue is still down
            self.dispatch(ANALYSE, job_id)

    def dispatch(self, task: str, *job_ids: str) -> None:
        """Put jobs on a task's queue; if the queue does not answer, leave them to the reconciler."""
        sent = []
        try:
            for job_id in job_ids:
                self.dispatcher.send(task, job_id)
                sent.append(job_id)
            self._queue_up = True
        except QueueUnavailable as error:
            if self._queue_up:
                log.error("not dispatched jobs=%d: %s; the reconciler will try again", len(job_ids) - len(sent), error)
            self._queue_up = False
        if sent:
            self.ledger.jobs.mark_dispatched(*sent, look_again_s=self.look_again_s[task])

    def _why_held(self, job_id: str, instances: Sequence[Instance]) -> str:
        job = self.ledger.jobs.get(job_id)
        if job.reason == RELEASED:
            return ""
        if self.ask and job.cause is Cause.CORRECTED:
            return "an image arrived again with other values: it is analysed after a release"
        return why_held(instances)

    def nothing_waits(self, task: str) -> bool:
        """Return whether a task's queue is empty; False if it does not answer."""
        try:
            return self.dispatcher.depth(task) == 0
        except QueueUnavailable:
            return False
