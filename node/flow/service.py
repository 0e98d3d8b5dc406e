"""The running node: listener, assembly and reconciler in one process."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from node.config import Config
from node.dimse.association import Limits
from node.domain import Job, JobState
from node.errors import IllegalTransition, NodeError
from node.flow.assembly import AssemblyPolicy, look_again_at, why_complete
from node.flow.dispatch import Dispatcher
from node.flow.handover import Handover
from node.flow.reconcile import Reconciler
from node.intake.intake import Intake, Policy
from node.intake.scp import Listener
from node.ledger.ledger import Ledger
from node.settings import NodeSection
from node.store.spool import Spool

log = logging.getLogger(__name__)

_TICK_S = 1.0
_HOLD_S = 5.0
_STUDIES = 200
"""How many open studies are looked at per tick, and how long another node leaves them alone, in seconds."""
_STOP_S = 3.0
"""How long a step that has begun may take when the node stops; what it leaves undone is due again."""


class Node:
    """Everything between the association and the queue.

    Parameters
    ----------
    config
        The whole configuration.
    ledger, spool, dispatcher
        The jobs, their files, and the access to the queue.
    """

    def __init__(self, config: Config, ledger: Ledger, spool: Spool, dispatcher: Dispatcher) -> None:
        self.config = config
        self.ledger = ledger
        self.spool = spool
        self.dispatcher = dispatcher
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._last_seen = ledger.clock()
        self.handover = Handover(ledger, dispatcher, config)
        self.reconciler = Reconciler(ledger, self.handover, config.queue)
        policy = Policy(config.node.duplicates, config.model.reading(), config.dicom.default_charset)
        self.listener = Listener(
            Intake(spool, ledger, on_received=self._wake.set, policy=policy),
            ae_title=config.node.ae_title,
            peers=config.peers,
            limits=_limits(config.node),
        )
        self._thread = threading.Thread(target=self._run, name="assembly", daemon=True)

    def start(self) -> int:
        """Start listening and working; return the DICOM port.

        Raises
        ------
        OSError
            If the port is not available.
        """
        removed = self.spool.recover()
        if removed:
            log.info("removed unfinished files=%d: they were never acknowledged", removed)
        self.ledger.associations.forget_mine()
        self._thread.start()
        return self.listener.start(self.config.node.host, self.config.node.port)

    def stop(self) -> None:
        """Stop listening and working."""
        self.listener.stop()
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        reconciled = 0.0
        while not self._stopping.is_set():
            self._wake.wait(_TICK_S)
            self._wake.clear()
            try:
                self.watch_clock()
                self.assemble()
                if time.monotonic() - reconciled >= _TICK_S:
                    self.listener.beat()
                    self.reconciler.reconcile()
                    reconciled = time.monotonic()
            except (SQLAlchemyError, OSError) as error:
                log.error("ledger unavailable: %s", error)
            except NodeError as error:
                log.error("assembly failed: %s", error)

    def watch_clock(self) -> None:
        """Notice a wall clock that was set back; studies go on as if it had not been."""
        now = self.ledger.clock()
        if now < self._last_seen - _TICK_S:
            by_s = self._last_seen - now
            log.warning("the clock was set back s=%.0f", by_s)
            self.ledger.jobs.clock_set_back(by_s)
        self._last_seen = now

    def assemble(self) -> None:
        """Close the studies that are complete, and queue them."""
        section = self.config.assembly
        policy = AssemblyPolicy(section.quiet_s, section.deadline_s, section.settle_s)
        due = self.ledger.jobs.take_due(JobState.RECEIVING, _HOLD_S, _STUDIES)
        if not due:
            return
        instances = self.ledger.arrivals.instances_of([job.job_id for job in due])
        connected, under_way = self.ledger.associations.open_studies(), self.ledger.associations.senders_under_way()
        waiting: list[tuple[Job, float]] = []
        for job in due:
            theirs, open_ = instances.get(job.job_id, []), job.study_uid in connected
            active = max((under_way.get(instance.calling_ae, 0.0) for instance in theirs), default=0.0)
            job = replace(job, last_received=max(job.last_received, active))
            why = why_complete(job, theirs, sender_connected=open_, now=self.ledger.clock(), policy=policy)
            if why is None:
                waiting.append((job, look_again_at(job, theirs, sender_connected=open_, policy=policy)))
            else:
                self._close(job, len(theirs), why)
        self.ledger.jobs.look_again(waiting)

    def _close(self, job: Job, count: int, why: str) -> None:
        try:
            self.ledger.jobs.move(job.job_id, JobState.COMPLETE)
        except IllegalTransition:
            return  # another node on this ledger was faster
        log.info("complete job=%s study=%s instances=%d why=%r", job.job_id, job.study_uid, count, why)
        self.handover.route(job.job_id)


def _limits(section: NodeSection) -> Limits:
    return Limits(
        associations=section.max_associations,
        associations_per_peer=section.max_associations_per_peer,
        request_s=section.request_timeout_s,
        silence_s=section.silence_timeout_s,
        idle_s=section.idle_timeout_s,
    )
