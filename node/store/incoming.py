"""A file that an instance is received into."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from node.errors import SpoolError

_CHECKED_BYTES = 1 << 24
"""The space is checked again after so many bytes."""
_PATIENCE = 2
"""So many times the largest instance is read before a sender is cut off."""


class IncomingFile:
    """A file that grows as an instance arrives.

    Writing to it does not raise. The bytes of a data set have to be taken until it ends, or its sender would get no
    answer: at the first fault the file is removed, and the rest is dropped.

    Parameters
    ----------
    path
        The file; it is created.
    largest
        Its largest size in bytes.
    check
        Called before the first byte and then now and then; raises if no more can be stored.
    released
        Called with the path once the file is closed for good.

    Attributes
    ----------
    fault
        Why the instance can't be stored, in words; empty if it can.
    """

    def __init__(
        self, path: Path, largest: int, check: Callable[[], None], released: Callable[[Path], None] = lambda path: None
    ) -> None:
        self.path = path
        self.fault = ""
        self._largest = largest
        self._check = check
        self._released = released
        self._size = self._checked = 0
        self._file: IO[bytes] | None = None
        try:
            check()
            self._file = path.open("xb")
        except (SpoolError, OSError) as error:
            self._fail(error)

    @property
    def overrun(self) -> bool:
        """Whether so much has come that this sender should be cut off."""
        return self._size > _PATIENCE * self._largest

    def write(self, data: bytes) -> None:
        """Append some bytes; after a fault they are only counted."""
        self._size += len(data)
        if self._file is None:
            return
        try:
            if self._size > self._largest:
                raise SpoolError(f"larger than {self._largest / 1e9:.3g} GB")
            if self._size - self._checked >= _CHECKED_BYTES:
                self._checked = self._size
                self._check()
            self._file.write(data)
        except (SpoolError, OSError) as error:
            self._fail(error)

    def finish(self) -> None:
        """Close the file. It stays, unless there is a fault.

        Raises
        ------
        SpoolError
            If there is a fault.
        """
        try:
            if self._file is not None:
                self._file.close()
        except OSError as error:
            self._fail(error)
        self._file = None
        if self.fault:
            raise SpoolError(self.fault)

    def discard(self) -> None:
        """Remove the file, if it is still where it was received."""
        with contextlib.suppress(OSError):  # buffered bytes that have no room
            if self._file is not None:
                self._file.close()
        self._file = None
        with contextlib.suppress(OSError):  # a disk that fails; `Spool.recover` tries again
            self.path.unlink(missing_ok=True)
        self._released(self.path)

    def _fail(self, error: Exception) -> None:
        words = (error.strerror if isinstance(error, OSError) else None) or str(error)
        self.fault = self.fault or words
        self.discard()
