"""Says and counts what comes to nothing at the listener: once in the log, then "n more"; all of it in the ledger."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from node.domain import NetworkEvent, NetworkEventKind, Tally

log = logging.getLogger(__name__)

_EVERY_S = 60.0
_LINES = 60
"""So many different events are logged in that time; of more, their number."""
_REMEMBERED = 100
"""So many different events wait to be written; more are not counted."""


class NetworkLog:
    """What has come to nothing, at a bounded rate, however often it happens.

    Parameters
    ----------
    clock
        Returns seconds since the epoch, for the ledger.
    monotonic
        Returns seconds that nobody sets back, for the rate.
    """

    def __init__(self, clock: Callable[[], float], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._tallies: dict[NetworkEvent, Tally] = {}
        self._said: dict[NetworkEvent, int] = {}  # how many more there were since it was said
        self._unsaid = 0
        self._until = monotonic() + _EVERY_S

    def note(self, event: NetworkEvent) -> None:
        """Log an event, unless the same one was logged a moment ago, and count it."""
        with self._lock:
            self._count(event, 1)
            if event in self._said:
                self._said[event] += 1
            elif len(self._said) < _LINES:
                self._said[event] = 0
                _say(event)
            else:
                self._unsaid += 1

    def flush(self, write: Callable[[Mapping[NetworkEvent, Tally]], None]) -> None:
        """Write what has been counted since the last time, and log how much more there was, if it is time to.

        Parameters
        ----------
        write
            Takes the counts; if it raises, they are kept for the next time.
        """
        with self._lock:
            tallies, self._tallies = self._tallies, {}
            if self._monotonic() >= self._until:
                self._say_more()
        if not tallies:
            return
        try:
            write(tallies)
        except BaseException:
            with self._lock:
                for event, tally in tallies.items():
                    self._count(event, tally.count, tally.first)
            raise

    def _count(self, event: NetworkEvent, count: int, first: float | None = None) -> None:
        now = self._clock()
        known = self._tallies.get(event)
        if known is not None:
            self._tallies[event] = Tally(known.count + count, min(known.first, first or now), now)
        elif len(self._tallies) < _REMEMBERED:
            self._tallies[event] = Tally(count, first or now, now)

    def _say_more(self) -> None:
        for event, count in self._said.items():
            if count:
                _say(event, f"{count} more in the last {_EVERY_S:.0f} s")
        if self._unsaid:
            log.warning("%d more network events in the last %.0f s: see the status page", self._unsaid, _EVERY_S)
        self._said = {event: 0 for event, count in self._said.items() if count}  # these go on
        self._unsaid = 0
        self._until = self._monotonic() + _EVERY_S


def _say(event: NetworkEvent, more: str = "") -> None:
    level = logging.INFO if event.kind is NetworkEventKind.NO_REQUEST else logging.WARNING
    log.log(
        level,
        "%s calling=%r called=%r address=%s reason=%r expected=%r %s",
        event.kind,
        event.calling_ae,
        event.called_ae,
        event.address,
        event.reason,
        event.expected,
        more,
    )
