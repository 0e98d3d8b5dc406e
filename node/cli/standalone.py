"""A standalone node: node, queue server and workers in one process tree, with nothing else to install."""

from __future__ import annotations

import logging
import socket
import time
from pathlib import Path

from node.cli.embedded import Child
from node.config import Config, load_config, save_config
from node.errors import QueueUnavailable
from node.flow.dispatch import QUEUES, Dispatcher, celery_app
from node.flow.service import Node
from node.ledger.ledger import Ledger
from node.store.lock import FolderLock
from node.store.spool import Spool
from node.web.app import WebServer

log = logging.getLogger(__name__)


class Standalone:
    """A node with its own queue server and workers.

    Parameters
    ----------
    config
        Its ``queue.url`` is replaced with the embedded server's.
    embedded
        False for a node whose queue server and workers run elsewhere.
    log_folder
        Folder for the logs of the queue server and the workers, one file each; by default they share this process's
        output.
    """

    def __init__(self, config: Config, *, embedded: bool = True, log_folder: Path | None = None) -> None:
        self._children: list[Child] = []
        self._lock = FolderLock(config.node.data.resolve())  # before anything in it changes

        def child(name: str, *arguments: str) -> Child:
            log_file = None if log_folder is None else log_folder / f"{name}.log"
            return Child(name, ["-m", "node.cli", *arguments], log_file)

        if embedded:
            port = free_port()
            config = load_config(None, config.model_dump() | {"queue": config.queue.model_dump() | _url(port)}, {})
            effective = config.node.data.resolve() / "run" / "node.json"
            save_config(config, effective)
            self._children.append(child("queue", "_queue", str(port), str(effective.parent / "queue")))
            self._children += [
                child(f"worker-{queue}", "worker", "--config", str(effective), "--queue", queue)
                for queue in QUEUES.values()
            ]
        self.config = config
        self.ledger = Ledger(config.ledger_url)
        self.dispatcher = Dispatcher(celery_app(config.queue.url, config.queue.task_limit_s))
        self.ledger.database.actor = config.node_name
        sizes = (int(gb * 1e9) for gb in (config.node.min_free_gb, config.node.max_instance_gb))
        spool = Spool(config.spool_folder, *sizes, incoming=config.node_name)
        self.node = Node(config, self.ledger, spool, self.dispatcher)
        self.web: WebServer | None = None
        self.port = self.http_port = 0

    def start(self) -> None:
        """Start everything. Returns once the DICOM port and the status page answer, perhaps before the workers do.

        Raises
        ------
        OSError
            If a port is not available.
        """
        self.ledger.upgrade()
        for child in self._children:
            child.start()
        self.port = self.node.start()
        if self.config.node.http_port is not None:
            self.web = WebServer(self.ledger, self.config.node.http_host, self.config.node.http_port)
            self.http_port = self.web.start()

    def wait_until_ready(self, seconds: float) -> bool:
        """Wait until every queue is served by a worker; return False if the time runs out."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self.dispatcher.workers(0.5) >= set(QUEUES.values()):
                    return True
            except QueueUnavailable:
                time.sleep(0.2)
        return False

    def stop(self) -> None:
        """Stop everything, the node first."""
        self.node.stop()
        if self.web is not None:
            self.web.stop()
        for child in self._children[1:]:  # the workers, which all take their time
            child.ask_to_end()
        for child in reversed(self._children):
            child.stop()
        self.ledger.close()
        self._lock.release()


def _url(port: int) -> dict[str, str]:
    return {"url": f"redis://127.0.0.1:{port}/0"}


def free_port() -> int:
    """Return a TCP port on loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
