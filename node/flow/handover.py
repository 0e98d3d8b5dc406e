"""Hands jobs over to the queue: routes and dispatches them, and records both in the ledger."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from node.config import Config
from node.domain import Cause, Instance, JobState
from node.errors import IllegalTransition, QueueUnavailable
from node.flow.dispatch import ANALYSE, DELIVER, Dispatcher
from node.flow.routing import route, why_held
from node.ledger.ledger import Ledger
from node.ledger.retries import RELEASED

log = logging.getLogger(__name__)


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
        self.look_again_s = config.queue.lease_s
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
            self.analyse(job_id)

    def analyse(self, *job_ids: str) -> None:
        """Have jobs analysed; if the queue does not answer, leave them to the reconciler."""
        sent = self._dispatch(ANALYSE, [(job_id,) for job_id in job_ids])
        if sent:
            self.ledger.jobs.mark_dispatched(*job_ids[:sent], look_again_s=self.look_again_s)

    def deliver(self, *due: tuple[str, str]) -> None:
        """Have jobs sent, each to a destination; if the queue does not answer, leave them to the reconciler."""
        self._dispatch(DELIVER, due)

    def _dispatch(self, task: str, messages: Sequence[tuple[str, ...]]) -> int:
        """Put messages on a task's queue, and return how many it has taken."""
        sent = 0
        try:
            for message in messages:
                self.dispatcher.send(task, *message)
                sent += 1
            self._queue_up = True
        except QueueUnavailable as error:
            if self._queue_up:
                log.error("not dispatched messages=%d: %s; the reconciler will", len(messages) - sent, error)
            self._queue_up = False
        return sent

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
