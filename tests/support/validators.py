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
