"""The running node: listener, assembly and reconciler in one process."""

from __future__ import annotations

import logging
import threading
import time

from sqlalchemy.exc import SQLAlchemyError

from node.config import Config
from node.domain import JobState
from node.errors import IllegalTransition, NodeError
from node.flow.assembly import AssemblyPolicy, why_complete
from node.flow.dispatch import Dispatcher
from node.flow.handover import Handover
from node.flow.reconcile import Reconciler
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
        The jobs, their files, and the access to the queue.
    """

    def __init__(self, config: Config, ledger: Ledger, spool: Spool, dispatcher: Dispatcher) -> None:
        self.config = config
        self.ledger = ledger
        self.spool = spool
        self.dispatcher = dispatcher
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self.handover = Handover(ledger, dispatcher, config.destination_list())
        self.reconciler = Reconciler(ledger, self.handover, config.queue)
        self.listener = Listener(
            Intake(spool, ledger, on_received=self._wake.set),
            ae_title=config.node.ae_title,
            peers=config.peers,
            max_associations=config.node.max_associations,
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
                    self.reconciler.reconcile()
                    reconciled = time.monotonic()
            except (SQLAlchemyError, OSError) as error:
                log.error("ledger unavailable: %s", error)
            except NodeError as error:
                log.error("assembly failed: %s", error)

    def assemble(self) -> None:
        """Close the studies that are complete, and queue them."""
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
                self.handover.route(job.job_id)
