"""What the commands share: adding a command, and turning options into a configuration."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from node.config import Config, load_config
from node.domain import Destination
from node.errors import ConfigError

Run = Callable[[argparse.Namespace], int]
"""A command; it returns its exit status."""


def add_command(commands: Any, name: str, run: Run, words: str) -> argparse.ArgumentParser:
    """Add a command to a parser's subparsers, and return its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=words, description=f"{words[:1].upper()}{words[1:]}."
    )
    parser.set_defaults(run=run)
    return parser


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the options for the configuration file and the data folder."""
    parser.add_argument("--config", type=Path, metavar="NODE.toml", help="configuration file")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder for spool and ledger (default: ftmtl-data)")


def read_config(arguments: argparse.Namespace) -> Config:
    """Read the configuration file and the environment, and apply the options of the command line.

    Raises
    ------
    ConfigError
        If anything is wrong; it lists every fault.
    """
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
    """Return ``--to`` options as sections; a second destination with the same AE title is named by its address.

    Options that cannot be parsed are added to ``faults``.
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


def ae_title(text: str) -> str:
    """Check an Application Entity title for argparse."""
    if not re.fullmatch(r"[^\\\x00-\x1f]{1,16}", text.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is not an AE title; AE titles have 1 to 16 characters")
    return text.strip()


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
