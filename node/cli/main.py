"""The ``ftmtl`` command. Each group of commands has its own module; the science's commands are in `ftmtl.cli`.

A command imports what it needs when it runs, so that the listener never loads the science.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from ftmtl.cli import add_commands
from ftmtl.errors import FtmtlError
from ftmtl.extras import words_for
from node.cli import analyze, jobs, peers, serve, trial
from node.cli.logs import log_to_stderr
from node.errors import ConfigError, NodeError
from node.identity import software_version


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns
    -------
    int
        Its exit status: 0 for success, 1 for failure, 2 for a usage or configuration error; `analyze` has more.
    """
    arguments = _parser().parse_args(argv)
    log_to_stderr(arguments.verbose, arguments.quiet_log)
    try:
        return int(arguments.run(arguments) or 0)
    except ConfigError as error:
        for fault in error.faults:
            print(f"ftmtl: {fault}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1
    except (NodeError, FtmtlError, OSError) as error:
        print(f"ftmtl: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        words = words_for(error)
        if words is None:
            raise
        print(f"ftmtl: {words}", file=sys.stderr)
        return 1
    except SQLAlchemyError as error:
        print(f"ftmtl: the ledger does not answer: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ftmtl",
        description="A DICOM node that gives a PACS an AI reader for mammography. Research use only.",
    )
    parser.add_argument("--version", action="version", version=f"ftmtl-node {software_version()}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log more")
    parser.set_defaults(quiet_log=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (serve, analyze, jobs, peers, trial):
        group.add(commands)
    add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
