"""``ftmtl echo`` and ``ftmtl check``: check that everything the node needs is available."""

from __future__ import annotations

import argparse
from typing import Any

from node.cli.options import add_command, add_config, ae_title, read_config
from node.domain import Destination
from node.errors import ConfigError


def add(commands: Any) -> None:
    """Add the commands to a parser's subparsers."""
    echo = add_command(commands, "echo", _echo, "check that a peer answers C-ECHO")
    echo.set_defaults(quiet_log=True)
    echo.add_argument("peer", metavar="AE@HOST:PORT")
    echo.add_argument("--calling-ae", type=ae_title, default="FTMTL", help="our Application Entity title")

    check = add_command(commands, "check", _check, "check the configuration and everything that it names")
    check.set_defaults(quiet_log=True)
    add_config(check)


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

    config = read_config(arguments)
    good = True
    for one in check(config):
        print(f"{'ok  ' if one.good else 'FAIL'}  {one.subject}: {one.words}")
        good = good and one.good
    return 0 if good else 1
