"""``ftmtl check``: is the configuration right, and is everything there that it names."""

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
from node.kinds import KINDS, ObjectKind
from node.ledger.ledger import Ledger


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    good: bool
    words: str


def check(config: Config) -> Iterator[Finding]:
    """Look at data folder, ledger, queue, ports, model and every destination in turn."""
    yield Finding("configuration", True, f"AE title {config.node.ae_title}")
    yield _data(config)
    yield _ledger(config)
    yield _queue(config)
    yield _port(config)
    yield _model(config)
    if not config.destinations:
        yield Finding("destinations", False, "none: results have nowhere to go; give [[destinations]] or --to")
    for destination in config.destination_list():
        fault = echo(destination, config.node.ae_title)
        where = f"{destination.ae_title}@{destination.host}:{destination.port}"
        yield Finding(f"destination {destination.name}", fault is None, f"{where} {fault or 'answers C-ECHO'}")
        if fault is None:
            yield _objects(destination, config.node.ae_title)


def _objects(destination: Destination, calling_ae: str) -> Finding:
    """What a destination will get of what it should get, by the SOP classes that it accepts."""
    subject = f"objects for {destination.name}"
    accepted = accepted_classes(
        destination, calling_ae, dict.fromkeys(uid for row in KINDS.values() for uid in row.sop_classes)
    )
    if accepted is None:
        return Finding(subject, False, "it opens no association for results")
    words, good = [], True
    for kind in destination.objects:
        sent: ObjectKind | None = kind
        while sent is not None and not accepted.issuperset(sent.row.sop_classes):
            sent = sent.fallback
        words.append(kind if sent is kind else f"{kind} is refused, {sent or 'and nothing'} sent instead")
        good = good and sent is not None
    return Finding(subject, good, ", ".join(words))


def _data(config: Config) -> Finding:
    folder = config.node.data.resolve()
    present = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free_gb = shutil.disk_usage(present).free / 1e9
    enough = free_gb >= config.node.min_free_gb
    return Finding("data folder", enough, f"{folder}, {free_gb:.0f} GB free, {config.node.min_free_gb:.0f} GB wanted")


def _ledger(config: Config) -> Finding:
    if not config.ledger.url and not (config.node.data / "ledger.sqlite").exists():
        return Finding("ledger", True, "SQLite, will be made at the first start")
    try:
        ledger = Ledger(config.ledger_url)
    except (NodeError, OSError) as error:
        return Finding("ledger", False, str(error))
    try:
        newest = ledger.jobs.find(newest=1)
    except SQLAlchemyError as error:
        return Finding(
            "ledger", False, f"{ledger.database.engine.dialect.name} does not answer: {type(error).__name__}"
        )
    finally:
        ledger.close()
    return Finding("ledger", True, f"{ledger.database.engine.dialect.name}, {'in use' if newest else 'empty'}")


def _queue(config: Config) -> Finding:
    if not config.queue.url:
        return Finding("queue", True, "none configured: start with --standalone")
    try:
        Redis.from_url(config.queue.url, socket_connect_timeout=3).ping()
    except (RedisError, ValueError) as error:
        return Finding("queue", False, f"{error}")
    return Finding("queue", True, "answers")


def _port(config: Config) -> Finding:
    with socket.socket(socket.AF_INET6 if ":" in config.node.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.node.host, config.node.port))
        except OSError as error:
            running = Destination("node", config.node.ae_title, config.node.host, config.node.port)
            if echo(running, config.node.ae_title) is None:
                return Finding("DICOM port", True, f"{config.node.host}:{config.node.port}, a node answers C-ECHO")
            return Finding("DICOM port", False, f"{config.node.host}:{config.node.port} {error.strerror}")
    return Finding("DICOM port", True, f"{config.node.host}:{config.node.port} is free")


def _model(config: Config) -> Finding:
    if find_spec("torch") is None:
        return Finding("model", True, "torch is not installed here: analysis needs a worker elsewhere")
    if config.model.weights and not Path(config.model.weights).exists():
        return Finding("model", False, f"there are no weights {config.model.weights}")
    return Finding("model", True, config.model.weights or "shipped weights")
