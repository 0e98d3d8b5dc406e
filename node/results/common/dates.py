"""Dates and times of DICOM headers."""

from __future__ import annotations

import re
from datetime import datetime


def parse_date(text: str) -> datetime | None:
    """Return the day of a DA value (PS3.5 6.2), or None if it is invalid or a placeholder such as 00010101."""
    match = re.fullmatch(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})", text.strip())
    if not match or match[1] < "1850":
        return None
    try:
        return datetime(*(int(part) for part in match.groups()))  # type: ignore[arg-type]
    except ValueError:
        return None


def parse_time(text: str) -> tuple[int, int, int] | None:
    """Return hour, minute and second of a TM value (PS3.5 6.2), or None if it is invalid."""
    match = re.fullmatch(r"(\d{2}):?(?:(\d{2}):?(?:(\d{2})(?:\.\d{1,6})?)?)?", text.strip())
    if not match:
        return None
    hour, minute, second = (int(part or 0) for part in match.groups())
    if hour > 23 or minute > 59 or second > 60:
        return None
    return hour, minute, min(second, 59)
