"""The Celery worker: its two tasks, and how a process runs them.

One process serves one queue. A worker for ``gpu`` runs one task at a time in the process that has loaded the model;
nothing is forked. A worker for ``dicom`` sends with threads and never loads torch. It has more of them than there are
destinations: each has one sender, so those that hang leave threads for the others.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

from node.config import Config
from node.flow.dispatch import ANALYSE, DELIVER, QUEUES, Dispatcher, celery_app
from node.ledger.ledger import Ledger
from node.store.spool import Spool
from workers.deliver import DeliveryTask

log = logging.getLogger(__name__)

_SPARE_THREADS = 4
"""For messages that find a destination served, for destinations that have left the configuration, and for one that
hangs so badly that it has lost its lease."""


def run_worker(config: Config, queue: str) -> int:
    """Serve one queue until told to stop; return the exit status.

    Raises
    ------
    WeightsError
        If the weights or the device cannot be used (queue ``gpu``).
    """
    app = celery_app(config.queue.url, config.queue.task_limit_s)
    ledger, spool = Ledger(config.ledger_url), Spool(config.spool_folder)
    alone = queue == QUEUES[ANALYSE]
    if alone:
        app.task(name=ANALYSE)(_analysis(config, ledger, spool, Dispatcher(app)))
    else:
        app.task(name=DELIVER)(DeliveryTask(config, ledger, spool).run)
    worker = app.Worker(
        hostname=f"{queue}-{os.getpid()}@{socket.gethostname()}",
        queues=[queue],
        pool_cls="solo" if alone else "threads",
        concurrency=1 if alone else len(config.destinations) + _SPARE_THREADS,
        loglevel=logging.getLogger().level,
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _analysis(config: Config, ledger: Ledger, spool: Spool, dispatcher: Dispatcher) -> Callable[[str], None]:
    """Load the model, rehearse, and return the task; torch is imported only here."""
    from ftmtl.predictor import Predictor
    from workers.analyse import AnalysisTask, rehearse

    weights = Path(config.model.weights) if config.model.weights else None
    predictor = Predictor(weights, device=config.model.device or None)
    rehearse(predictor)
    return AnalysisTask(config, ledger, spool, dispatcher, predictor).run
