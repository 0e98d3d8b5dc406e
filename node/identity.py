"""The node's identity: the names and UIDs that its peers see, and how all other UIDs are derived."""

from __future__ import annotations

import uuid
from functools import cache
from importlib.metadata import PackageNotFoundError, version

NAMESPACE = uuid.UUID("3b0f4b0e-6f0f-5d5c-9b39-6f2a7d9c5e41")
"""Namespace of every UUIDv5 in the project. Never change it: that would change every UID ever derived."""


MANUFACTURER = "ftmtl-node"


def derived_uid(*parts: str) -> str:
    """Return the UID derived from ``parts``: a UUIDv5 under 2.25 (PS3.5 B.2), at most 44 characters.

    Parameters
    ----------
    parts
        Source SOP Instance UIDs, model name, version, checksum, configuration, kind. Their order
        and their boundaries matter: ``("ab", "c")`` and ``("a", "bc")`` give different UIDs.
    """
    name = "".join(f"{len(part)}:{part}" for part in parts)
    return f"2.25.{uuid.uuid5(NAMESPACE, name).int}"


@cache
def software_version() -> str:
    """Return the version of this package, or ``0`` if it is not installed."""
    try:
        return version("ftmtl-node")
    except PackageNotFoundError:
        return "0"


IMPLEMENTATION_CLASS_UID = derived_uid("implementation", MANUFACTURER)


def implementation_version_name() -> str:
    """Return the Implementation Version Name (0002,0013), at most 16 characters."""
    return f"FTMTL_{software_version()}"[:16]
