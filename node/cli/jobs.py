"""``ftmtl jobs``: the ledger for people and programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from node.cli.options import add_command, add_config, read_config
from node.domain import Cause, JobState
from node.errors import ConfigError
from node.ledger.jobs import Filter
from node.ledger.ledger import Ledger
from node.ledger.retries import Retry
from node.web.entries import job_entries, job_entry


def add(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    jobs = add_command(commands, "jobs", _jobs, "show what became of each study")
    jobs.set_defaults(quiet_log=True)
    jobs.add_argument("action", nargs="?", choices=tuple(_ACTIONS), default="list")
    jobs.add_argument(
        "which", nargs="?", help="show and retry: the first characters of a job's id; reanalyse: a Study Instance UID"
    )
    jobs.add_argument("--json", action="store_true", help="print JSON, for programs")
    jobs.add_argument("--weights", default="", help="reanalyse with this safetensors file (default the configured one)")
    retried = jobs.add_argument_group("how a job is retried")
    retried.add_argument("--now", action="store_true", help="end its pauses, also of a destination without an answer")
    retried.add_argument("--to", dest="only", default="", metavar="DEST", help="send to this destination only")
    retried.add_argument("--again", action="store_true", help="send what was delivered once more")
    shown = jobs.add_argument_group("which jobs are listed, newest first")
    shown.add_argument("--state", action="append", choices=[state.value for state in JobState], default=[])
    shown.add_argument("--since", type=_time, metavar="DATE", help="created since, as 2026-11-27 or 2026-11-27T18:30")
    shown.add_argument("--study", default="", metavar="UID", help="of this Study Instance UID")
    shown.add_argument("--patient", default="", metavar="ID", help="of this patient ID")
    shown.add_argument("--accession", default="", metavar="NUMBER", help="of this accession number")
    shown.add_argument("--text", default="", help="with this in a UID, patient, accession number or reason")
    shown.add_argument("--limit", type=int, default=50, help="how many (default 50)")
    shown.add_argument("--offset", type=int, default=0, help="after so many")
    add_config(jobs)


def _jobs(arguments: argparse.Namespace) -> int:
    config = read_config(arguments)
    if not config.ledger.url and not (config.node.data / "ledger.sqlite").exists():
        raise ConfigError([f"there is no ledger in {config.node.data}; use --data or --config"])
    arguments.kinds = {destination.name: destination.objects for destination in config.destination_list()}
    ledger = Ledger(config.ledger_url)
    try:
        return _ACTIONS[arguments.action](ledger, arguments)
    finally:
        ledger.close()


def _list(ledger: Ledger, arguments: argparse.Namespace) -> int:
    chosen = Filter(
        states=tuple(map(JobState, arguments.state)),
        since=arguments.since,
        text=arguments.text,
        patient_id=arguments.patient,
        accession_number=arguments.accession,
        study_uid=arguments.study,
    )
    limit, offset = max(1, arguments.limit), max(0, arguments.offset)
    listed = job_entries(ledger, chosen, limit=limit + 1, offset=offset)
    entries, more = listed[:limit], len(listed) > limit
    if arguments.json:
        print(json.dumps(entries, indent=2))
        return 0
    for entry in entries:
        where = " ".join(f"{d['name']}={d['state']}" for d in entry["destinations"])
        line = f"{entry['job_id'][:8]}  {entry['updated']}  {entry['state']:13}  {entry['study_uid']}  {where}"
        print(f"{line}  {entry['reason']}".rstrip())
    if not entries:
        print("nothing received yet" if chosen == Filter() and not offset else "no such job")
    if more:
        print(f"there are more: --offset {offset + limit}")
    return 0


def _show(ledger: Ledger, arguments: argparse.Namespace) -> int:
    (job_id,) = _matching(ledger, arguments)
    print(json.dumps(job_entry(ledger, ledger.jobs.get(job_id)), indent=2))
    return 0


def _retry(ledger: Ledger, arguments: argparse.Namespace) -> int:
    (job_id,) = _matching(ledger, arguments)
    only = arguments.only
    wish = Retry(now=arguments.now, to=only, kinds=arguments.kinds.get(only, ()), again=arguments.again)
    state = ledger.deliveries.retry(job_id, wish)
    if state in (JobState.COMPLETE, JobState.DELIVERING):
        print(f"{job_id}: {state.value}; the node will continue with it")
    else:
        print(f"{job_id}: {state.value}; there is nothing to send. With --again, what is there is sent once more")
    return 0


def _reanalyse(ledger: Ledger, arguments: argparse.Namespace) -> int:
    if not arguments.which:
        raise ConfigError(["jobs reanalyse: which study? Give its Study Instance UID"])
    weights = str(Path(arguments.weights).resolve()) if arguments.weights else ""  # the worker runs elsewhere
    job_id = ledger.jobs.add(arguments.which, Cause.WISH, weights)
    print(f"{job_id}: the node will analyse the study again")
    return 0


def _matching(ledger: Ledger, arguments: argparse.Namespace) -> list[str]:
    """Return the id of the one job that was named."""
    if not arguments.which:
        raise ConfigError([f"jobs {arguments.action}: which job? Give the first characters of its id"])
    found = ledger.jobs.page(Filter(job_id=arguments.which), limit=2)
    if len(found) != 1:
        count = ledger.jobs.count(Filter(job_id=arguments.which))
        raise ConfigError([f"{arguments.which!r} matches {count} jobs; see `ftmtl jobs list`"])
    return [found[0].job_id]


def _time(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date: use 2026-11-27 or 2026-11-27T18:30") from error


_ACTIONS: dict[str, Callable[[Ledger, argparse.Namespace], int]] = {
    "list": _list,
    "show": _show,
    "retry": _retry,
    "reanalyse": _reanalyse,
}
