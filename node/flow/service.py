"""The running node: listener, assembly, reconciler and status page in one process."""

from __future__ import annotations

import functools
import logging
import threading
import time

from sqlalchemy.exc import SQLAlchemyError

from node.config import Config
from node.domain import DeliveryState, Job, JobState
from node.errors import IllegalTransition, NodeError, QueueUnavailable
from node.flow.assembly import AssemblyPolicy, why_complete
from node.flow.dispatch import ANALYSE, DELIVER, Dispatcher
from node.flow.routing import route
from node.intake.intake import Intake
from node.intake.scp import Listener
from node.ledger.ledger import Ledger
from node.store.spool import Spool

log = logging.getLogger(__name__)

_TICK_S = 1.0


class Node:
    """Everything between the association and the queue.

    Parameters
    ----------
    config
        The whole configuration.
    ledger, spool, dispatcher
        What it works with.
    """

    def __init__(self, config: Config, ledger: Ledger, spool: Spool, dispatcher: Dispatcher) -> None:
        self.config = config
        self.ledger = ledger
        self.spool = spool
        self.dispatcher = dispatcher
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._queue_up = True
        self.listener = Listener(
            Intake(spool, ledger, on_received=self._wake.set),
            ae_title=config.node.ae_title,
            peers=config.peers,
            max_associations=config.node.max_associations,
        )
        self._thread = threading.Thread(target=self._run, name="assembly", daemon=True)

    def start(self) -> int:
        """Listen and work; returns the DICOM port."""
        removed = self.spool.recover()
        if removed:
            log.info("removed unfinished files=%d: they were never acknowledged", removed)
        self._thread.start()
        return self.listener.start(self.config.node.host, self.config.node.port)

    def stop(self) -> None:
        """Stop listening and working."""
        self.listener.stop()
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        reconciled = 0.0
        while not self._stopping.is_set():
            self._wake.wait(_TICK_S)
            self._wake.clear()
            try:
                self.assemble()
                if time.monotonic() - reconciled >= _TICK_S:
                    self.reconcile()
                    reconciled = time.monotonic()
            except (SQLAlchemyError, OSError) as error:
                log.error("the ledger does not answer: %s", error)
            except NodeError as error:
                log.error("assembly: %s", error)

    def assemble(self) -> None:
        """Close the studies that are complete and queue them."""
        policy = AssemblyPolicy(self.config.assembly.quiet_s, self.config.assembly.deadline_s)
        for job in self.ledger.jobs.find([JobState.RECEIVING]):
            connected = job.study_uid in self.listener.open_studies()
            instances = self.ledger.arrivals.instances(job.job_id)
            why = why_complete(job, instances, sender_connected=connected, now=self.ledger.clock(), policy=policy)
            if why is not None:
                try:
                    self.ledger.jobs.move(job.job_id, JobState.COMPLETE)
                except IllegalTransition:
                    continue  # another node on this ledger was faster
                log.info("complete job=%s study=%s instances=%d why=%r", job.job_id, job.study_uid, len(instances), why)
                self._route(job.job_id)

    def reconcile(self) -> None:
        """Put back on the queue what the ledger says is unfinished and nobody holds."""
        now = self.ledger.clock()
        nothing_waits = functools.cache(self._nothing_waits)  # asked once: then all that was lost is sent again
        unfinished = (JobState.COMPLETE, JobState.QUEUED, JobState.ANALYSING, JobState.DELIVERING)
        for job in self.ledger.jobs.find(unfinished):
            if job.state is JobState.COMPLETE:
                self._route(job.job_id)
            elif job.state is JobState.QUEUED:
                if now - job.dispatched > self.config.queue.lease_s and nothing_waits(ANALYSE):
                    self._dispatch(ANALYSE, job.job_id)
            elif job.lease_until > now:
                continue
            elif job.state is JobState.ANALYSING:
                self._take_back(job)
            elif self._is_due(job, now) and nothing_waits(DELIVER):
                self._dispatch(DELIVER, job.job_id)

    def _route(self, job_id: str) -> None:
        plan = route(self.ledger.arrivals.instances(job_id), self.config.destination_list())
        try:
            if plan.reason:
                self.ledger.jobs.move(job_id, JobState.NOT_PROCESSED, reason=plan.reason)
                log.info("not processed job=%s reason=%r", job_id, plan.reason)
                return
            self.ledger.jobs.route(job_id, plan.destinations)
        except IllegalTransition:
            return  # another node on this ledger was faster
        if self._queue_up:  # else finding out that it still is not would take seconds for every study
            self._dispatch(ANALYSE, job_id)

    def _take_back(self, job: Job) -> None:
        """A worker died over this job: queue it again, unless it has killed too many."""
        try:
            lost = job.lost + 1
            if lost >= self.config.queue.max_attempts:
                reason = f"the worker ended {lost} times while analysing this study"
                self.ledger.jobs.move(job.job_id, JobState.FAILED, reason=reason, lost=lost, lease_until=0.0)
                log.error("failed job=%s reason=%r", job.job_id, reason)
                return
            self.ledger.jobs.move(job.job_id, JobState.QUEUED, lost=lost, lease_until=0.0)
        except IllegalTransition:
            return  # it went on in the meantime
        log.warning("lease ran out job=%s attempt=%d: queued again", job.job_id, job.attempt)
        self._dispatch(ANALYSE, job.job_id)

    def _is_due(self, job: Job, now: float) -> bool:
        """Whether something is to be sent now, or all was answered and a worker died before it could settle."""
        if now - job.dispatched < 5.0:
            return False
        pending = [d for d in self.ledger.deliveries.of(job.job_id) if d.state is DeliveryState.PENDING]
        return not pending or any(d.next_attempt <= now for d in pending)

    def _nothing_waits(self, task: str) -> bool:
        try:
            return self.dispatcher.depth(task) == 0
        except QueueUnavailable:
            return False

    def _dispatch(self, task: str, job_id: str) -> None:
        try:
            self.dispatcher.send(task, job_id)
        except QueueUnavailable as error:
            if self._queue_up:
                log.error("job=%s %s; the reconciler will try again", job_id, error)
            self._queue_up = False
            return
        self._queue_up = True
        self.ledger.jobs.mark_dispatched(job_id)
