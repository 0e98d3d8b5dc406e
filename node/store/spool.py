"""The spool: instances on disk, whole or not at all.

An instance is written under ``incoming``, synced, hashed and renamed after the hash of its
content, and the folder is synced. The sender has no influence on the name. Whatever is under
``incoming`` and not being received was never acknowledged, so its sender still has it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from node.errors import SpoolError, SpoolFull
from node.store.incoming import IncomingFile


@dataclass(frozen=True)
class Stored:
    """A file in the spool: its key, and the SHA-256 and size in bytes of its encoded data set."""

    key: str
    sha256: str
    size_bytes: int


class Spool:
    """Files by keys relative to one root, so that the root may move, or be mounted elsewhere on another host.

    Folders ``incoming``, ``instances``, ``rejected`` and ``results`` under one root.

    Parameters
    ----------
    folder
        The root; it and its folders are created if needed.
    min_free_bytes
        Free space below which `check_space` raises.
    max_instance_bytes
        The largest instance that is received.
    incoming
        Name of this node's own folder of files that are being received, where several nodes share the spool.
    """

    def __init__(
        self,
        folder: Path,
        min_free_bytes: int = 0,
        max_instance_bytes: int = 4_000_000_000,
        *,
        incoming: str = "",
    ) -> None:
        self.folder = folder
        self.min_free_bytes = min_free_bytes
        self.max_instance_bytes = max_instance_bytes
        self.incoming = folder / "incoming" / incoming
        self._receiving: set[Path] = set()
        for name in ("instances", "rejected", "results"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.incoming.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Return the file of a key."""
        return self.folder / key

    def key(self, path: Path) -> str:
        """Return the key of a file.

        Raises
        ------
        ValueError
            If it is not under the root.
        """
        return path.relative_to(self.folder).as_posix()

    def forget(self, key: str) -> None:
        """Remove a file that nothing refers to."""
        self.path(key).unlink(missing_ok=True)

    def receive(self) -> IncomingFile:
        """Return a new file under ``incoming``; if there can be none, its fault says why."""
        path = self.incoming / f"{uuid.uuid4().hex}.dcm"
        self._receiving.add(path)  # before it exists, so that `recover` leaves it alone
        return IncomingFile(path, self.max_instance_bytes, self._check_incoming, self._receiving.discard)

    def recover(self) -> int:
        """Remove files under ``incoming`` that nobody receives into any more; return how many there were."""
        removed = 0
        with contextlib.suppress(OSError):  # a disk that fails; the next time, perhaps
            for path in list(self.incoming.iterdir()):
                if path not in self._receiving and path.is_file():
                    path.unlink()
                    removed += 1
        return removed

    def check_space(self) -> None:
        """Check that the disk is not nearly full.

        Raises
        ------
        SpoolFull
            If less than ``min_free_bytes`` are free.
        SpoolError
            If the disk does not say.
        """
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise SpoolError(f"{error.strerror or error}") from error
        if free < self.min_free_bytes:
            raise SpoolFull(f"{free / 1e9:.1f} GB free, {self.min_free_bytes / 1e9:.1f} GB required")

    def accept(self, received: Path, data_set_offset: int) -> Stored:
        """Make a received file durable and move it to its final place.

        Parameters
        ----------
        received
            A complete file under ``incoming``.
        data_set_offset
            Where the data set begins in it, after the File Meta Information, in bytes.

        Raises
        ------
        SpoolError
            If the file cannot be synced or moved.
        """
        return self._keep(received, data_set_offset, "instances")

    def reject(self, received: Path, data_set_offset: int = 0) -> Stored:
        """Set a refused file aside for a person to look at."""
        return self._keep(received, data_set_offset, "rejected")

    def results(self, job_id: str) -> Path:
        """Return the folder for a job's result objects; it is created if needed."""
        folder = self.folder / "results" / job_id
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _check_incoming(self) -> None:
        """Check the space, and make the folder of incoming files again if someone removed it; not the spool itself."""
        self.check_space()
        if not self.incoming.is_dir():
            for folder in (self.folder / "incoming", self.incoming):
                folder.mkdir(exist_ok=True)

    def _keep(self, received: Path, data_set_offset: int, kind: str) -> Stored:
        try:
            received.chmod(0o640)  # a worker may run as another user of the node's group
            with received.open("rb") as file:
                os.fsync(file.fileno())
                file.seek(data_set_offset)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell() - data_set_offset
            folder = self.folder / kind / digest[:2]
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)  # whichever thread created it: another may not have synced it yet
            path = folder / f"{digest}.dcm"
            received.replace(path)
            sync_folder(folder)
        except OSError as error:
            raise SpoolError(f"{error.strerror or error}") from error
        return Stored(self.key(path), digest, size)


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def data_set_offset(path: Path) -> int:
    """Return where the data set begins: after preamble, prefix and the group whose length is in (0002,0000)."""
    with path.open("rb") as file:
        head = file.read(144)
    return 144 + int.from_bytes(head[140:144], "little")
