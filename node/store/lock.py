"""One node per data folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from node.errors import FolderInUse


class FolderLock:
    """A lock on a folder, held until it is released or the process ends, however it ends.

    Raises
    ------
    FolderInUse
        If another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = (folder / ".lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise FolderInUse(f"{folder} is in use by another node (process {holder})") from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let go of the folder."""
        self._file.close()
