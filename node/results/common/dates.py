"""Dates and times of DICOM headers, and the creation time that results derive from them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from pydicom.dataset import Dataset

EPOCH = datetime(1970, 1, 1)
"""Used if a source has no usable date at all, because content date and time are mandatory."""


_DATES = (
    ("ContentDate", "ContentTime"),
    ("AcquisitionDate", "AcquisitionTime"),
    ("SeriesDate", "SeriesTime"),
    ("StudyDate", "StudyTime"),
)


def derived_datetime(sources: Iterable[Dataset]) -> datetime:
    """Return when the newest source was made, which becomes the creation time of its results.

    Parameters
    ----------
    sources
        Normalised headers. In each, the first usable pair of content, acquisition, series or
        study date and time counts.
    """
    return max((_made(source) for source in sources), default=EPOCH)


def _made(source: Dataset) -> datetime:
    for date_keyword, time_keyword in _DATES:
        date = parse_date(str(source.get(date_keyword) or ""))
        if date is None:
            continue
        hour, minute, second = parse_time(str(source.get(time_keyword) or "")) or (0, 0, 0)
        return date.replace(hour=hour, minute=minute, second=second)
    return EPOCH


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
