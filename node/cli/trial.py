"""``ftmtl demo``, ``ftmtl pacs`` and ``ftmtl phantom``: commands for trying out the node."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from node.cli.extras import ANALYSIS, require
from node.cli.options import add_command
from node.cli.serve import wait_for_signal
from node.errors import NodeError


def add(commands: Any) -> None:
    """Add the commands to a parser's subparsers."""
    demo = add_command(commands, "demo", _demo, "run the whole pipeline, embedded, on a synthetic study or your files")
    demo.set_defaults(quiet_log=True)
    demo.add_argument("--study", type=Path, metavar="FOLDER", help="send these files instead of a synthetic study")
    demo.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="output folder (default: demo)")

    pacs = add_command(commands, "pacs", _pacs, "run a small PACS for trying things out: a folder that answers C-STORE")
    pacs.add_argument("--port", type=int, default=11113, help="port to listen on (default: 11113)")
    pacs.add_argument("--folder", type=Path, required=True, metavar="DIR")
    pacs.add_argument("--ae-title", default="PACS", help="Application Entity title (default: PACS)")

    phantom = add_command(commands, "phantom", _phantom, "write a synthetic study of four views")
    phantom.add_argument("--out", type=Path, required=True, metavar="DIR")
    phantom.add_argument("--seed", type=_seed, default=1, help="which breasts are drawn (default: 1)")
    phantom.add_argument("--spacing", type=_spacing, default=0.1, metavar="MM", help="pixel spacing (default: 0.1)")


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a seed; seeds are whole numbers from 0")
    return int(text)


def _spacing(text: str) -> float:
    """Check a pixel spacing: from what the finest detectors have to where a breast is a few hundred pixels high."""
    try:
        spacing = float(text)
    except ValueError:
        spacing = 0.0
    if not 0.04 <= spacing <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not the pixel spacing of a mammogram; give 0.04 to 1 mm")
    return spacing


def _demo(arguments: argparse.Namespace) -> int:
    from node.cli.demo import DemoFailed, run_demo

    require(*ANALYSIS)
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
    wait_for_signal()
    server.shutdown()
    return 0


def _phantom(arguments: argparse.Namespace) -> int:
    from ftmtl.phantom.dicom import write_study

    for path, phantom in write_study(arguments.out, arguments.seed, spacing_mm=arguments.spacing):
        print(f"{path}: {len(phantom.lesions)} lesions")
    return 0
