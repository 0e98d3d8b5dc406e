"""Folders of results, replaced as a whole."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

from node.store.spool import sync_folder

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def replace_folder(new: Path, target: Path) -> None:
    """Put a folder in the place of another one beside it, or remove the other one if the new one is empty.

    Whoever looks sees the old content or the new, never both and never a part. Where the file system can't exchange
    two names (only Linux can), there is a moment with neither.
    """
    if not target.exists():
        new.rename(target)
    else:
        if not _exchange(new, target):
            aside = new.with_name(f"{new.name}.old")
            target.rename(aside)
            new.rename(target)
            new = aside
        shutil.rmtree(new)
    if not any(target.iterdir()):
        target.rmdir()
    sync_folder(target.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step (renameat2(2)); return whether that was possible."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # not Linux
        return False
    return bool(renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)
