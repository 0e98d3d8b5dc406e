"""Clocks that show what a test wants."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def noon(uid: str) -> datetime:
    """Say of every object that it was first made on a day in summer."""
    return datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)


class LaterClock(datetime):
    """A stand-in for `datetime` that shows another time than the first of two builds was made at."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> LaterClock:
        return cls(2040, 2, 29, 1, 2, 3)
