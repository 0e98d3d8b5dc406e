"""``ftmtl serve`` and ``ftmtl worker``: the node and its workers."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path
from typing import Any

from node.cli.extras import ANALYSIS, require
from node.cli.options import add_command, add_config, read_config
from node.errors import ConfigError, NodeError


def add(commands: Any) -> None:
    """Add the commands to a parser's subparsers."""
    serve = add_command(commands, "serve", _serve, "receive studies, queue them, send results back")
    serve.add_argument("--standalone", action="store_true", help="run a queue server and the workers as well")
    add_config(serve)
    serve.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, help="DICOM port (default: 11112)")
    serve.add_argument("--http-port", type=int, help="port of the status page (default: none)")
    serve.add_argument("--ae-title", help="Application Entity title (default: FTMTL)")
    serve.add_argument("--to", action="append", metavar="AE@HOST:PORT", help="send results there; may be repeated")
    serve.add_argument("--queue-url", help="Redis or Valkey (redis://…), unless standalone")

    worker = add_command(commands, "worker", _worker, "run Celery workers for a node")
    add_config(worker)
    worker.add_argument("--queue", choices=("gpu", "dicom"), action="append", help="serve this queue (default: both)")
    worker.add_argument("--queue-url", help="the node's Redis or Valkey (redis://…)")
    worker.add_argument("--device", help="cpu, cuda or cuda:1 (default: the GPU if there is one)")

    queue = commands.add_parser("_queue")
    queue.set_defaults(run=_queue)
    queue.add_argument("queue_port", type=int)
    queue.add_argument("folder", type=Path)


def wait_for_signal() -> None:
    """Wait until the process is told to end (SIGINT or SIGTERM)."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()


def _serve(arguments: argparse.Namespace) -> int:
    from node.cli.standalone import Standalone

    config = read_config(arguments)
    faults = []
    if not config.destinations:
        faults.append("no destination: use --to AE@host:port or [[destinations]] to say where results go")
    if not arguments.standalone and not config.queue.url:
        faults.append("no queue: use --standalone, --queue-url or queue.url")
    if faults:
        raise ConfigError(faults)
    if arguments.standalone:
        require(*ANALYSIS)
    service = Standalone(config, embedded=arguments.standalone)
    try:
        service.start()
    except OSError as error:
        service.stop()
        raise NodeError(f"cannot listen: {error}") from error
    print(f"{config.node.ae_title} listens on {config.node.host}:{service.port}. Research use only.", flush=True)
    if service.web is not None:
        print(f"status page: http://{config.node.http_host}:{service.http_port}/", flush=True)
    if arguments.standalone:
        threading.Thread(target=_announce, args=(service,), daemon=True).start()
    wait_for_signal()
    service.stop()
    return 0


def _announce(service: Any) -> None:
    if service.wait_until_ready(600):
        print("workers are ready", flush=True)


def _worker(arguments: argparse.Namespace) -> int:
    from node.cli.embedded import Child, follow_parent

    config = read_config(arguments)
    if not config.queue.url:
        raise ConfigError(["no queue: use --queue-url or queue.url to name the node's Redis or Valkey"])
    queues = list(dict.fromkeys(arguments.queue or ["gpu", "dicom"]))
    if "gpu" in queues:
        require(*ANALYSIS)
    if len(queues) > 1:
        given = {name: getattr(arguments, name) for name in ("config", "data", "queue_url", "device")}
        options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value is not None]
        children = [Child(f"worker-{q}", ["-m", "node.cli", "worker", *options, "--queue", q]) for q in queues]
        for child in children:
            child.start()
        wait_for_signal()
        for child in children:
            child.stop()
        return 0
    from workers.app import run_worker

    follow_parent()
    return run_worker(config, queues[0])


def _queue(arguments: argparse.Namespace) -> int:
    from node.cli.embedded import run_queue_server

    run_queue_server(arguments.queue_port, arguments.folder)
    return 1
