"""A lease that is renewed while a worker works under it."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)


class Lease(ABC):
    """A lease on something in the ledger, which a thread of its own renews within the context manager.

    Parameters
    ----------
    subject
        What the lease is on, for the log: ``job=…`` or ``destination=…``.
    lease_s
        How long the lease lasts unless it is renewed, in seconds.
    """

    def __init__(self, subject: str, lease_s: float) -> None:
        self._subject = subject
        self._lease_s = lease_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{subject}", daemon=True)

    @abstractmethod
    def renew(self) -> bool:
        """Renew the lease; return False if it is lost, or is to be let go."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._done.wait(self._lease_s / 3):
            try:
                if not self.renew():
                    log.warning("lease lost %s", self._subject)
                    return
            except SQLAlchemyError as error:
                log.warning("lease not renewed %s error=%s", self._subject, error)
