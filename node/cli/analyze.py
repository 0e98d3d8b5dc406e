"""``ftmtl analyze``: files in, result objects out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ftmtl.header.reading import Reading
from node.charsets import CODECS, DEFAULT
from node.cli.extras import ANALYSIS, require
from node.cli.options import add_command
from node.errors import ConfigError
from node.kinds import CHOICES, DEFAULT_OBJECTS, object_kinds

_EXIT_STATUS = """\
exit status:
  0  every image was analysed
  1  the command failed: the weights can't be used, or the results not be written
  2  it was not understood
  3  some images were not analysed: the output and summary.json say which, and why
  4  no image was analysed

Damaged files and folders that can't be read count as images that were not analysed. Images that are left aside (raw
twins, tomosynthesis, other modalities), reports and the like don't count, nor do other files in folders. A study's
results take the place of its earlier ones in DIR as a whole; if its analysis fails, the earlier ones are kept as
UID.earlier.
"""


def add(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    analyze = add_command(commands, "analyze", _analyze, "analyse files, without network or queue")
    analyze.epilog, analyze.formatter_class = _EXIT_STATUS, argparse.RawDescriptionHelpFormatter
    analyze.set_defaults(quiet_log=True)
    analyze.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="DICOM files or folders of them")
    analyze.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    analyze.add_argument(
        "--objects",
        type=lambda text: text.split(","),
        default=list(DEFAULT_OBJECTS),
        metavar="KIND,…",
        help=f"what to write: {', '.join(CHOICES)} (default: seg,sr)",
    )
    analyze.add_argument("--profile", choices=["ohif"], default="", help="write seg and sr so that OHIF can show them")
    analyze.add_argument(
        "--map-distortion",
        choices=["density"],
        default="",
        help="code architectural distortions in cad as densities, for workstations that draw no others",
    )
    analyze.add_argument(
        "--replaces",
        type=Path,
        action="append",
        default=[],
        metavar="REPORT",
        help="an earlier report of a study, which the new one names as its predecessor; may be repeated",
    )
    analyze.add_argument("--weights", type=Path, help="a safetensors file (default: the shipped weights)")
    analyze.add_argument("--device", help="cpu, cuda or cuda:1 (default: the GPU if there is one)")
    analyze.add_argument("--pictures", action="store_true", help="draw the findings on each image as PNG")
    analyze.add_argument("--no-secondary-capture", action="store_true", help="do not analyse digitised film")
    analyze.add_argument(
        "--charset",
        choices=CODECS,
        default=DEFAULT,
        metavar="TERM",
        help=f"the character set of headers that declare none and are not UTF-8 (default: {DEFAULT})",
    )
    analyze.add_argument(
        "--synthetic-2d",
        choices=["analyse", "refuse"],
        default="analyse",
        help="what becomes of 2D images generated from tomosynthesis: analyse those of views that no full-field image "
        "shows (default), or none",
    )


def _analyze(arguments: argparse.Namespace) -> int:
    try:
        kinds = object_kinds(arguments.objects, arguments.profile, arguments.map_distortion)
    except ValueError as error:
        raise ConfigError([f"--objects: {error}"]) from error
    require(*ANALYSIS)
    from node.cli.offline import FileAnalysis  # late: it imports torch

    return FileAnalysis(
        out=arguments.out,
        kinds=kinds,
        replaces=arguments.replaces,
        weights=arguments.weights,
        device=arguments.device,
        pictures=arguments.pictures,
        reading=Reading(not arguments.no_secondary_capture, arguments.synthetic_2d),
        charset=arguments.charset,
    ).run(arguments.paths)
