"""The Celery worker: two tasks, a policy, and what each process needs to run them.

One process serves one queue: ``gpu`` runs alone with the model loaded in the process that uses it, nothing is
forked; ``dicom`` sends with a few threads and never loads torch.
"""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

from celery import Celery

from node.config import Config
from node.delivery import RetryPolicy
from node.dispatch import ANALYSE, DELIVER, QUEUES, Dispatcher, celery_app
from node.ledger import Ledger
from node.spool import Spool
from workers import deliver

log = logging.getLogger(__name__)


def run_worker(config: Config, queue: str) -> int:
    """Serve one queue until told to stop; returns the exit status.

    Raises
    ------
    WeightsError
        If the weights or the device cannot be used (queue ``gpu``).
    """
    app = celery_app(config.queue.url, config.queue.task_limit_s)
    ledger = Ledger(config.ledger_url)
    if queue == QUEUES[ANALYSE]:
        _register_analyse(app, config, ledger)
    else:
        _register_deliver(app, config, ledger)
    alone = queue == QUEUES[ANALYSE]
    worker = app.Worker(
        hostname=f"{queue}-{os.getpid()}@{socket.gethostname()}",
        queues=[queue],
        pool_cls="solo" if alone else "threads",
        concurrency=1 if alone else 4,
        loglevel=logging.getLogger().level,
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _register_analyse(app: Celery, config: Config, ledger: Ledger) -> None:
    from ftmtl.predictor import Predictor
    from workers import analyse

    spool = Spool(config.spool_folder)
    dispatcher = Dispatcher(app)
    weights = Path(config.model.weights) if config.model.weights else None
    predictor = Predictor(weights, device=config.model.device or None)
    wanted = {destination.name: destination.objects for destination in config.destination_list()}
    analyse.rehearse(predictor)

    @app.task(name=ANALYSE)
    def analyse_job(job_id: str) -> None:
        analyse.run(
            job_id,
            ledger,
            spool,
            dispatcher,
            predictor,
            wanted,
            lease_s=config.queue.lease_s,
            task_limit_s=config.queue.task_limit_s,
            secondary_capture=config.model.secondary_capture,
        )


def _register_deliver(app: Celery, config: Config, ledger: Ledger) -> None:
    spool = Spool(config.spool_folder)
    destinations = {destination.name: destination for destination in config.destination_list()}
    section = config.delivery
    retry = RetryPolicy(section.first_retry_s, section.longest_retry_s, section.give_up_after_s)

    @app.task(name=DELIVER)
    def deliver_job(job_id: str) -> None:
        deliver.run(
            job_id,
            ledger,
            spool,
            destinations,
            retry,
            calling_ae=config.node.ae_title,
            lease_s=config.queue.lease_s,
            task_limit_s=config.queue.task_limit_s,
        )
