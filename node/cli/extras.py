"""Modules that only some installations have."""

from __future__ import annotations

from importlib.util import find_spec

ANALYSIS = ("torch", "torchvision", "safetensors", "scipy", "imagecodecs")
"""Modules that analysis needs, in addition to those of the node."""


def require(*names: str) -> None:
    """Check that the modules that a command will need later, perhaps in another process, are installed.

    Raises
    ------
    ModuleNotFoundError
        If one is missing; `ftmtl.extras` says which extra to install.
    """
    for name in names:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
