"""Findings become DICOM objects here: segmentations, a measurement report, and a summary in JSON.

Nothing heavy is imported before it is asked for: highdicom takes as long to import as a study to write.
The summary is in :mod:`node.results.summary`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from node.results.build import build_results

__all__ = ["build_results"]

_HOMES = {"build_results": "build"}


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
