"""The ledger: what was received, what became of it, what was sent where. It is the truth; the queue is a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable

from node.ledger.arrivals import Arrivals
from node.ledger.database import Database
from node.ledger.deliveries import Deliveries
from node.ledger.jobs import Jobs


class Ledger:
    """The whole ledger: one part per noun, over one database.

    Parameters
    ----------
    url
        SQLAlchemy URL.
    clock
        Seconds since the epoch; tests bring their own.

    Attributes
    ----------
    arrivals, jobs, deliveries
        All reads and writes.

    Raises
    ------
    LedgerError
        If the URL cannot be understood, or its driver is not installed.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        self.database = Database(url, clock)
        self.arrivals = Arrivals(self.database)
        self.jobs = Jobs(self.database)
        self.deliveries = Deliveries(self.database, self.jobs)

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds since the epoch."""
        return self.database.clock

    @clock.setter
    def clock(self, clock: Callable[[], float]) -> None:
        self.database.clock = clock

    def upgrade(self) -> None:
        """Bring the schema to this version's; creates it in an empty database."""
        self.database.upgrade()

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()
