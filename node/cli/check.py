"""``ftmtl check``: checks the configuration, and that everything it names is available."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from node.config import Config
from node.dimse.scu import accepted_classes, echo
from node.domain import Destination
from node.errors import NodeError
from node.kinds import KINDS, ObjectKind, fallback_for
from node.ledger.ledger import Ledger


@dataclass(frozen=True)
class Check:
    """The result of one check: its subject, whether it passed, and what was found."""

    subject: str
    good: bool
    words: str


def check(config: Config) -> Iterator[Check]:
    """Check the data folder, the ledger, the queue, the port, the model and every destination in turn."""
    yield Check("configuration", True, f"AE title {config.node.ae_title}")
    yield _data(config)
    yield _ledger(config)
    yield _queue(config)
    yield _port(config)
    yield _model(config)
    if not config.destinations:
        yield Check("destinations", False, "none: results have nowhere to go; use [[destinations]] or --to")
    for destination in config.destination_list():
        fault = echo(destination, config.node.ae_title)
        where = f"{destination.ae_title}@{destination.host}:{destination.port}"
        yield Check(f"destination {destination.name}", fault is None, f"{where} {fault or 'answers C-ECHO'}")
        if fault is None:
            yield _objects(destination, config.node.ae_title)


def _objects(destination: Destination, calling_ae: str) -> Check:
    """Check which of its objects a destination will receive, given the SOP classes that it accepts."""
    subject = f"objects for {destination.name}"
    accepted = accepted_classes(
        destination, calling_ae, dict.fromkeys(uid for row in KINDS.values() for uid in row.sop_classes)
    )
    if accepted is None:
        return Check(subject, False, "accepts no association for results")
    words, good = [], True
    for kind in destination.objects:
        sent: ObjectKind | None = kind
        while sent is not None and not accepted.issuperset(sent.row.sop_classes):
            sent = fallback_for(sent, destination.objects)
        words.append(kind if sent is kind else f"{kind} is refused, {sent or 'nothing'} is sent instead")
        good = good and sent is not None
    return Check(subject, good, ", ".join(words))


def _data(config: Config) -> Check:
    folder = config.node.data.resolve()
    present = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free_gb = shutil.disk_usage(present).free / 1e9
    enough = free_gb >= config.node.min_free_gb
    return Check("data folder", enough, f"{folder}, {free_gb:.0f} GB free, {config.node.min_free_gb:.0f} GB required")


def _ledger(config: Config) -> Check:
    if not config.ledger.url and not (config.node.data / "ledger.sqlite").exists():
        return Check("ledger", True, "SQLite, will be created at the first start")
    try:
        ledger = Ledger(config.ledger_url)
    except (NodeError, OSError) as error:
        return Check("ledger", False, str(error))
    try:
        newest = ledger.jobs.find(newest=1)
    except SQLAlchemyError as error:
        return Check("ledger", False, f"{ledger.database.engine.dialect.name} does not answer: {type(error).__name__}")
    finally:
        ledger.close()
    return Check("ledger", True, f"{ledger.database.engine.dialect.name}, {'in use' if newest else 'empty'}")


def _queue(config: Config) -> Check:
    if not config.queue.url:
        return Check("queue", True, "none configured; start with --standalone")
    try:
        Redis.from_url(config.queue.url, socket_connect_timeout=3).ping()
    except (RedisError, ValueError) as error:
        return Check("queue", False, f"{error}")
    return Check("queue", True, "answers")


def _port(config: Config) -> Check:
    with socket.socket(socket.AF_INET6 if ":" in config.node.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.node.host, config.node.port))
        except OSError as error:
            running = Destination("node", config.node.ae_title, config.node.host, config.node.port)
            if echo(running, config.node.ae_title) is None:
                return Check("DICOM port", True, f"{config.node.host}:{config.node.port}, a node answers C-ECHO")
            return Check("DICOM port", False, f"{config.node.host}:{config.node.port} {error.strerror}")
    return Check("DICOM port", True, f"{config.node.host}:{config.node.port} is free")


def _model(config: Config) -> Check:
    if find_spec("torch") is None:
        return Check("model", True, "torch is not installed here; analysis needs a worker elsewhere")
    if config.model.weights and not Path(config.model.weights).exists():
        return Check("model", False, f"{config.model.weights} does not exist")
    return Check("model", True, config.model.weights or "shipped weights")
