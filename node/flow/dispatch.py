"""The only access to the queue. A message carries a job id, and a destination's name; the ledger has the rest."""

from __future__ import annotations

import logging

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from node.errors import QueueUnavailable

log = logging.getLogger(__name__)

ANALYSE = "ftmtl.analyse"
DELIVER = "ftmtl.deliver"
QUEUES = {ANALYSE: "gpu", DELIVER: "dicom"}
"""Which queue carries which task."""


def celery_app(broker_url: str, longest_task_s: float) -> Celery:
    """Return the Celery application that the node and the workers share.

    A message is acknowledged after its task. Redis redelivers it only after a time that no task
    can take; the reconciler checks the ledger long before that.
    """
    app = Celery("ftmtl", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_routes={task: {"queue": queue} for task, queue in QUEUES.items()},
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": max(3600.0, 2 * longest_task_s),
            "socket_connect_timeout": 3,
            "socket_timeout": 30,
        },
    )
    return app


class Dispatcher:
    """Puts jobs on their queues."""

    def __init__(self, app: Celery) -> None:
        self.app = app

    def send(self, task: str, job_id: str, *destination: str) -> None:
        """Put a job on a task's queue, for delivery with the name of a destination.

        Raises
        ------
        QueueUnavailable
            If the queue server does not answer.
        """
        try:
            self.app.send_task(task, args=[job_id, *destination], retry=False)
        except (OperationalError, RedisError, OSError) as error:
            raise QueueUnavailable(f"the queue does not answer: {error}") from error
        log.info("dispatched task=%s job=%s", task, job_id)

    def depth(self, task: str) -> int:
        """Return how many messages of a task are waiting.

        Raises
        ------
        QueueUnavailable
            If the queue server does not answer.
        """
        try:
            with self.app.connection_for_write() as connection, connection.channel() as channel:
                return int(channel._size(QUEUES[task]))
        except (OperationalError, RedisError, OSError) as error:
            raise QueueUnavailable(f"the queue does not answer: {error}") from error

    def workers(self, timeout_s: float = 1.0) -> set[str]:
        """Return the names of the queues that a live worker is serving right now.

        Raises
        ------
        QueueUnavailable
            If the queue server does not answer.
        """
        try:
            replies = self.app.control.inspect(timeout=timeout_s).active_queues() or {}
        except (OperationalError, RedisError, OSError) as error:
            raise QueueUnavailable(f"the queue does not answer: {error}") from error
        return {queue["name"] for queues in replies.values() for queue in queues}
