"""The ledger as a whole. It is the single source of truth; the queue is only a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable

from node.ledger.arrivals import Arrivals
from node.ledger.associations import Associations
from node.ledger.creations import Creations
from node.ledger.database import Database
from node.ledger.deliveries import Deliveries
from node.ledger.jobs import Jobs
from node.ledger.network_events import NetworkEvents
from node.ledger.senders import Senders


class Ledger:
    """The whole ledger: arrivals, jobs and deliveries in one database.

    Parameters
    ----------
    url
        SQLAlchemy URL.
    clock
        Returns seconds since the epoch; tests pass their own.

    Attributes
    ----------
    arrivals, associations, jobs, deliveries, network_events, senders, creations
        Its parts; all reads and writes go through them.

    Raises
    ------
    LedgerError
        If the URL cannot be parsed, or its driver is not installed.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        self.database = Database(url, clock)
        self.arrivals = Arrivals(self.database)
        self.associations = Associations(self.database)
        self.jobs = Jobs(self.database)
        self.network_events = NetworkEvents(self.database)
        self.deliveries = Deliveries(self.database, self.jobs)
        self.senders = Senders(self.database)
        self.creations = Creations(self.database)

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds since the epoch."""
        return self.database.clock

    @clock.setter
    def clock(self, clock: Callable[[], float]) -> None:
        self.database.clock = clock

    def upgrade(self) -> None:
        """Upgrade the schema to this version's, or create it in an empty database."""
        self.database.upgrade()

    def close(self) -> None:
        """Close the database connections."""
        self.database.close()
