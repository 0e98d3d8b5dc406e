"""What the public validators say, and what of it counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Run = Callable[..., tuple[int, list[str]]]
"""Runs a validator, as the fixture ``run_tool`` does: returns its status and the lines it wrote."""


def errors(lines: list[str]) -> list[str]:
    """Return the errors among the lines of dciodvfy or dcentvfy."""
    return [line for line in lines if line.startswith("Error")]


def about_a_source_alone(line: str, paths: list[Path]) -> bool:
    """Tell whether dcentvfy complains of a source only: it may refer to images that nobody sent us, as its raw one."""
    return "Missing SOPInstanceUID that was referenced" in line and any(str(path) in line for path in paths)


def about_the_private_score(line: str) -> bool:
    """Tell whether PixelMed warns of our concept for a Calculated Value (TID 4002 row 12, TID 4006 row 22).

    CID 6142 may be extended; PixelMed takes it for complete.
    """
    return (
        ": Warning: " in line
        and "/NUM (CANCER_SCORE,99FTMTL," in line
        and line.endswith("Content Item not in template")
    )
