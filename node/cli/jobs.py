"""``ftmtl jobs``: the ledger for people and programs."""

from __future__ import annotations

import argparse
import json
from typing import Any

from node.cli.options import add_command, add_config, read_config
from node.errors import ConfigError


def add(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    jobs = add_command(commands, "jobs", _jobs, "show what became of each study")
    jobs.set_defaults(quiet_log=True)
    jobs.add_argument("action", nargs="?", choices=("list", "show", "retry"), default="list")
    jobs.add_argument("job_id", nargs="?", help="for show and retry; its first characters are enough")
    jobs.add_argument("--json", action="store_true", help="print JSON, for programs")
    add_config(jobs)


def _jobs(arguments: argparse.Namespace) -> int:
    from node.ledger.ledger import Ledger
    from node.web.entries import job_entries, job_entry

    config = read_config(arguments)
    if not config.ledger.url and not (config.node.data / "ledger.sqlite").exists():
        raise ConfigError([f"there is no ledger in {config.node.data}; use --data or --config"])
    ledger = Ledger(config.ledger_url)
    if arguments.action == "list":
        _print_jobs(job_entries(ledger), arguments.json)
        return 0
    if not arguments.job_id:
        raise ConfigError([f"jobs {arguments.action}: which job? Give the first characters of its id"])
    matches = [job for job in ledger.jobs.find() if job.job_id.startswith(arguments.job_id)]
    if len(matches) != 1:
        raise ConfigError([f"{arguments.job_id!r} matches {len(matches)} jobs; see `ftmtl jobs list`"])
    if arguments.action == "show":
        print(json.dumps(job_entry(ledger, matches[0], objects=True), indent=2))
        return 0
    state = ledger.deliveries.retry(matches[0].job_id)
    print(f"{matches[0].job_id}: {state.value}; the node will continue with it")
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
