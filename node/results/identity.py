"""Names, numbers and times of result objects, all derived from what they were made of.

Nothing here looks at the clock or at a random generator: a second run over the same source with
the same model writes the same bytes under the same UID, and a PACS that gets it twice holds it once.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from pydicom.dataset import Dataset

from ftmtl.findings import ModelIdentity

NAMESPACE = uuid.UUID("3b0f4b0e-6f0f-5d5c-9b39-6f2a7d9c5e41")
"""Namespace of every UUIDv5 of the project. Changing it changes every UID ever derived: never change it."""

MANUFACTURER = "ftmtl-node"

EPOCH = datetime(1970, 1, 1)
"""Stands in where a source has no usable date at all: content date and time are mandatory."""

_DATES = (
    ("ContentDate", "ContentTime"),
    ("AcquisitionDate", "AcquisitionTime"),
    ("SeriesDate", "SeriesTime"),
    ("StudyDate", "StudyTime"),
)


@dataclass(frozen=True)
class Predecessor:
    """A report that a new one replaces, because another model analysed the study again (PS3.3 C.17.2)."""

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str


def derived_uid(*parts: str) -> str:
    """Return the UID that belongs to ``parts``: UUIDv5 under 2.25 (PS3.5 B.2), at most 44 characters.

    Parameters
    ----------
    parts
        Source SOP Instance UIDs, model name, version, checksum, configuration, kind. Their order
        and their borders count: ``("ab", "c")`` and ``("a", "bc")`` give different UIDs.
    """
    name = "".join(f"{len(part)}:{part}" for part in parts)
    return f"2.25.{uuid.uuid5(NAMESPACE, name).int}"


def object_uid(kind: str, sources: Iterable[str], model: ModelIdentity) -> str:
    """Return the UID of a result object (or of its series, or whatever else ``kind`` names).

    The version of this package takes part: a new writer may write other bytes, and changed
    content must not come under an old UID.
    """
    return derived_uid(*sources, *_model_parts(model), software_version(), kind)


def device_uid(model: ModelIdentity) -> str:
    """Return the Device UID (0018,1002): a model with other weights or another configuration is another device."""
    return derived_uid("device", MANUFACTURER, *_model_parts(model))


def tracking_uid(sop_instance_uid: str, model: ModelIdentity, n: int) -> str:
    """Return the Tracking Unique Identifier of finding ``n`` (from 1) of an image (PS3.3 C.8.20.2)."""
    return derived_uid(sop_instance_uid, *_model_parts(model), "finding", str(n))


def tracking_id(laterality: str | None, view: str | None, n: int) -> str:
    """Return the human's name of finding ``n`` (from 1) of an image, as ``L CC lesion 1``."""
    return f"{side_and_view(laterality, view)} lesion {n}".strip()


def side_and_view(laterality: str | None, view: str | None) -> str:
    """Return ``L CC``, or what is known of it; short enough for any description."""
    return " ".join(part for part in (laterality, (view or "")[:16]) if part)


def _model_parts(model: ModelIdentity) -> tuple[str, str, str, str]:
    return model.name, model.version, model.weights_sha256, model.configuration


@cache
def software_version() -> str:
    """Version of this package, or ``0`` where it is not installed."""
    try:
        return version("ftmtl-node")
    except PackageNotFoundError:
        return "0"


IMPLEMENTATION_CLASS_UID = derived_uid("implementation", MANUFACTURER)


def implementation_version_name() -> str:
    """Implementation Version Name (0002,0013), at most 16 characters."""
    return f"FTMTL_{software_version()}"[:16]


def derived_datetime(sources: Iterable[Dataset]) -> datetime:
    """Return when the newest source was made: the creation time that its results are given.

    Parameters
    ----------
    sources
        Normalised headers. Of each the first usable pair of content, acquisition, series or
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
    """Return the day of a DA value (PS3.5 6.2), or None where it isn't one, or stands for none, as 00010101 does."""
    match = re.fullmatch(r"(\d{4})\.?(\d{2})\.?(\d{2})", text.strip())
    if not match or match[1] < "1850":
        return None
    try:
        return datetime(*(int(part) for part in match.groups()))  # type: ignore[arg-type]
    except ValueError:
        return None


def parse_time(text: str) -> tuple[int, int, int] | None:
    """Return hour, minute, second of a TM value (PS3.5 6.2), or None where it isn't one."""
    match = re.fullmatch(r"(\d{2}):?(?:(\d{2}):?(?:(\d{2})(?:\.\d{1,6})?)?)?", text.strip())
    if not match:
        return None
    hour, minute, second = (int(part or 0) for part in match.groups())
    if hour > 23 or minute > 59 or second > 60:
        return None
    return hour, minute, min(second, 59)
