"""The command ``ftmtl``: the composition root, the one module beside the demonstration that sees all three packages.

Each command imports what it needs when it runs, so that the listener never loads the science. The science's own
commands are in ``ftmtl.cli``.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftmtl.cli import add_commands
from node.config import Config, load_config
from node.domain import Destination
from node.errors import ConfigError, NodeError
from node.kinds import CHOICES, DEFAULT_OBJECTS, object_kinds

_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status: 0 done, 1 it failed, 2 it was not understood."""
    arguments = _parser().parse_args(argv)
    _log_to_stderr(arguments.verbose, arguments.quiet_log)
    try:
        return int(arguments.run(arguments) or 0)
    except ConfigError as error:
        for fault in error.faults:
            print(f"ftmtl: {fault}", file=sys.stderr)
        return 2
    except NodeError as error:
        print(f"ftmtl: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    except OSError as error:
        print(f"ftmtl: {error}", file=sys.stderr)
        return 1
    except _database_error() as error:
        print(f"ftmtl: the ledger does not answer: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ftmtl",
        description="A DICOM node that gives a PACS an AI reader for mammography. Research use only.",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="log more")
    parser.set_defaults(quiet_log=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = _command(commands, "serve", _serve, "receive studies, queue them, send results back")
    serve.add_argument("--standalone", action="store_true", help="bring a queue server and the workers along")
    _add_config(serve)
    serve.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    serve.add_argument("--port", type=int, help="DICOM port (default 11112)")
    serve.add_argument("--http-port", type=int, help="port of the status page (default none)")
    serve.add_argument("--ae-title", help="Application Entity title (default FTMTL)")
    serve.add_argument("--to", action="append", metavar="AE@HOST:PORT", help="send results there; may repeat")
    serve.add_argument("--queue-url", help="Redis or Valkey, redis://…, when not standalone")

    worker = _command(commands, "worker", _worker, "run Celery workers for a node")
    _add_config(worker)
    worker.add_argument("--queue", choices=("gpu", "dicom"), action="append", help="serve this queue (default both)")
    worker.add_argument("--queue-url", help="the node's Redis or Valkey, redis://…")
    worker.add_argument("--device", help="cpu, cuda, cuda:1 (default the GPU if there is one)")

    analyze = _command(commands, "analyze", _analyze, "analyse files: no network, no queue")
    analyze.set_defaults(quiet_log=True)
    analyze.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="DICOM files or folders of them")
    analyze.add_argument("--out", type=Path, required=True, metavar="DIR", help="where results are written")
    analyze.add_argument(
        "--objects",
        type=lambda text: text.split(","),
        default=list(DEFAULT_OBJECTS),
        metavar="KIND,…",
        help=f"what is written: {', '.join(CHOICES)} (default seg,sr)",
    )
    analyze.add_argument("--profile", choices=["ohif"], default="", help="seg and sr as the viewer OHIF can show them")
    analyze.add_argument(
        "--replaces",
        type=Path,
        action="append",
        default=[],
        metavar="REPORT",
        help="an earlier report of a study, which the new one names as its predecessor; may repeat",
    )
    analyze.add_argument("--weights", type=Path, help="a safetensors file (default the shipped one)")
    analyze.add_argument("--device", help="cpu, cuda, cuda:1 (default the GPU if there is one)")
    analyze.add_argument("--pictures", action="store_true", help="draw the findings of each image as PNG")
    analyze.add_argument("--no-secondary-capture", action="store_true", help="leave digitised film alone")

    jobs = _command(commands, "jobs", _jobs, "what became of each study")
    jobs.set_defaults(quiet_log=True)
    jobs.add_argument("action", nargs="?", choices=("list", "show", "retry"), default="list")
    jobs.add_argument("job_id", nargs="?", help="for show and retry; the first characters are enough")
    jobs.add_argument("--json", action="store_true", help="for programs")
    _add_config(jobs)

    echo = _command(commands, "echo", _echo, "is the peer there (C-ECHO)")
    echo.set_defaults(quiet_log=True)
    echo.add_argument("peer", metavar="AE@HOST:PORT")
    echo.add_argument("--calling-ae", type=_ae_title, default="FTMTL", help="our Application Entity title")

    check = _command(commands, "check", _check, "is the configuration right, is everything there")
    check.set_defaults(quiet_log=True)
    _add_config(check)

    demo = _command(commands, "demo", _demo, "the whole way, embedded, on a synthetic study or your own files")
    demo.set_defaults(quiet_log=True)
    demo.add_argument("--study", type=Path, metavar="FOLDER", help="send these files instead")
    demo.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="default: demo")

    pacs = _command(commands, "pacs", _pacs, "a small PACS for trying things out: a folder that answers C-STORE")
    pacs.add_argument("--port", type=int, default=11113, help="default 11113")
    pacs.add_argument("--folder", type=Path, required=True, metavar="DIR")
    pacs.add_argument("--ae-title", default="PACS", help="default PACS")

    phantom = _command(commands, "phantom", _phantom, "write a synthetic study of four views")
    phantom.add_argument("--out", type=Path, required=True, metavar="DIR")
    phantom.add_argument("--seed", type=int, default=1)
    phantom.add_argument("--spacing", type=float, default=0.1, metavar="MM", help="pixel spacing (default 0.1)")

    add_commands(commands)

    queue = commands.add_parser("_queue")
    queue.set_defaults(run=_queue)
    queue.add_argument("queue_port", type=int)
    queue.add_argument("folder", type=Path)
    return parser


def _command(commands: Any, name: str, run: Any, words: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=words, description=words.capitalize() + ".")
    parser.set_defaults(run=run)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="NODE.toml", help="configuration file")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of spool and ledger (default ftmtl-data)")


def _config(arguments: argparse.Namespace) -> Config:
    """Configuration file, environment, and what the command line says over them."""
    given = {
        "node": {
            "data": _text(arguments.data),
            "host": getattr(arguments, "host", None),
            "port": getattr(arguments, "port", None),
            "http_port": getattr(arguments, "http_port", None),
            "ae_title": getattr(arguments, "ae_title", None),
        },
        "queue": {"url": getattr(arguments, "queue_url", None)},
        "model": {"device": getattr(arguments, "device", None)},
    }
    overrides: dict[str, Any] = {
        section: {key: value for key, value in keys.items() if value is not None} for section, keys in given.items()
    }
    faults: list[str] = []
    if getattr(arguments, "to", None):
        overrides["destinations"] = _destinations(arguments.to, faults)
    try:
        config = load_config(arguments.config, overrides)
    except ConfigError as error:
        raise ConfigError([*faults, *error.faults]) from error
    if faults:
        raise ConfigError(faults)
    return config


def _destinations(texts: Sequence[str], faults: list[str]) -> list[dict[str, Any]]:
    """``--to`` options as the file's sections; a second destination of one AE title gets its address as name.

    What is no destination is added to ``faults``.
    """
    found: list[dict[str, Any]] = []
    for text in texts:
        try:
            peer = Destination.parse(text)
        except ValueError as error:
            faults.append(f"--to: {error}")
            continue
        name = peer.name if peer.name not in {d["name"] for d in found} else text
        found.append({"name": name, "ae_title": peer.ae_title, "host": peer.host, "port": peer.port})
    return found


def _serve(arguments: argparse.Namespace) -> int:
    from node.cli.standalone import Standalone

    config = _config(arguments)
    faults = []
    if not config.destinations:
        faults.append("no destination: give --to AE@host:port or [[destinations]], where results are to go")
    if not arguments.standalone and not config.queue.url:
        faults.append("no queue: give --standalone, --queue-url or queue.url")
    if faults:
        raise ConfigError(faults)
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
    _wait_for_signal()
    service.stop()
    return 0


def _announce(service: Any) -> None:
    if service.wait_until_ready(600):
        print("workers are ready", flush=True)


def _worker(arguments: argparse.Namespace) -> int:
    from node.cli.embedded import Child, follow_parent

    config = _config(arguments)
    if not config.queue.url:
        raise ConfigError(["no queue: give --queue-url or queue.url, the node's Redis or Valkey"])
    queues = list(dict.fromkeys(arguments.queue or ["gpu", "dicom"]))
    if len(queues) > 1:
        given = {name: getattr(arguments, name) for name in ("config", "data", "queue_url", "device")}
        options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value is not None]
        children = [Child(f"worker-{q}", ["-m", "node.cli", "worker", *options, "--queue", q]) for q in queues]
        for child in children:
            child.start()
        _wait_for_signal()
        for child in children:
            child.stop()
        return 0
    from ftmtl.errors import FtmtlError
    from workers.app import run_worker

    follow_parent()
    try:
        return run_worker(config, queues[0])
    except FtmtlError as error:
        print(f"ftmtl: {error}", file=sys.stderr)
        return 1


def _analyze(arguments: argparse.Namespace) -> int:
    try:
        kinds = object_kinds(arguments.objects, arguments.profile)
    except ValueError as error:
        raise ConfigError([f"--objects: {error}"]) from error
    from node.cli.analyze import analyse_paths  # late: it imports torch

    return analyse_paths(
        arguments.paths,
        arguments.out,
        kinds=kinds,
        replaces=arguments.replaces,
        weights=arguments.weights,
        device=arguments.device,
        pictures=arguments.pictures,
        secondary_capture=not arguments.no_secondary_capture,
    )


def _jobs(arguments: argparse.Namespace) -> int:
    from node.ledger.ledger import Ledger
    from node.web.entries import job_entries, job_entry

    config = _config(arguments)
    if not config.ledger.url and not (config.node.data / "ledger.sqlite").exists():
        raise ConfigError([f"there is no ledger in {config.node.data}: give --data or --config"])
    ledger = Ledger(config.ledger_url)
    if arguments.action == "list":
        _print_jobs(job_entries(ledger), arguments.json)
        return 0
    if not arguments.job_id:
        raise ConfigError([f"jobs {arguments.action}: which? Give the first characters of a job's id"])
    matches = [job for job in ledger.jobs.find() if job.job_id.startswith(arguments.job_id)]
    if len(matches) != 1:
        raise ConfigError([f"{arguments.job_id!r} names {len(matches)} jobs; `ftmtl jobs list` shows them"])
    if arguments.action == "show":
        print(json.dumps(job_entry(ledger, matches[0], objects=True), indent=2))
        return 0
    state = ledger.deliveries.retry(matches[0].job_id)
    print(f"{matches[0].job_id}: {state.value}; the node goes on with it")
    return 0


def _print_jobs(entries: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(entries, indent=2))
        return
    for entry in entries:
        where = " ".join(f"{d['name']}={d['state']}" for d in entry["destinations"])
        line = f"{entry['job_id'][:8]}  {entry['updated']}  {entry['state']:13}  {entry['study_uid']}  {where}"
        print(f"{line}  {entry['reason']}".rstrip())
    if not entries:
        print("nothing received yet")


def _echo(arguments: argparse.Namespace) -> int:
    from node.dimse.scu import echo

    try:
        peer = Destination.parse(arguments.peer)
    except ValueError as error:
        raise ConfigError([str(error)]) from error
    fault = echo(peer, arguments.calling_ae)
    print(f"{arguments.peer}: {'answers' if fault is None else fault}")
    return 0 if fault is None else 1


def _check(arguments: argparse.Namespace) -> int:
    from node.cli.check import check

    config = _config(arguments)
    good = True
    for finding in check(config):
        print(f"{'ok  ' if finding.good else 'FAIL'}  {finding.subject}: {finding.words}")
        good = good and finding.good
    return 0 if good else 1


def _demo(arguments: argparse.Namespace) -> int:
    from node.cli.demo import DemoFailed, run_demo

    try:
        run_demo(arguments.out, arguments.study, sys.stdout)
    except DemoFailed as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    return 0


def _pacs(arguments: argparse.Namespace) -> int:
    from node.cli.embedded import follow_parent
    from node.cli.pacs import serve_pacs

    follow_parent()
    try:
        server = serve_pacs(arguments.folder, arguments.port, arguments.ae_title)
    except OSError as error:
        raise NodeError(f"cannot listen on port {arguments.port}: {error.strerror}") from error
    _wait_for_signal()
    server.shutdown()
    return 0


def _phantom(arguments: argparse.Namespace) -> int:
    from ftmtl.phantom.dicom import write_study

    for path, phantom in write_study(arguments.out, arguments.seed, spacing_mm=arguments.spacing):
        print(f"{path}: {len(phantom.lesions)} lesions")
    return 0


def _queue(arguments: argparse.Namespace) -> int:
    from node.cli.embedded import run_queue_server

    run_queue_server(arguments.queue_port, arguments.folder)
    return 1


def _wait_for_signal() -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()


def _log_to_stderr(verbose: bool, quiet: bool) -> None:
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_is_ours)
    logging.basicConfig(level=level, format=_FORMAT, handlers=[handler])
    logging.captureWarnings(True)


def _is_ours(record: logging.LogRecord) -> bool:
    """Libraries are heard from ERROR on, warnings never: those of odd values quote them, and with them patients."""
    library = record.name.partition(".")[0]
    if library in ("node", "ftmtl", "workers", "celery", "__main__"):
        return True
    # pynetdicom's errors are the peers' doing; what they mean for us, we say ourselves
    return library not in ("py", "pynetdicom") and record.levelno >= logging.ERROR


def _database_error() -> type[Exception]:
    from sqlalchemy.exc import SQLAlchemyError

    return SQLAlchemyError


def _ae_title(text: str) -> str:
    if not re.fullmatch(r"[^\\\x00-\x1f]{1,16}", text.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is no AE title: 1 to 16 characters")
    return text.strip()


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


if __name__ == "__main__":
    sys.exit(main())
