"""The words of the node: frozen types, standard library only.

Times are seconds since the epoch (UTC).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from node.kinds import DEFAULT_OBJECTS, ObjectKind


class JobState(StrEnum):
    """Where a job is; `node.ledger.ledger.TRANSITIONS` says where it may go."""

    RECEIVING = "receiving"
    COMPLETE = "complete"
    QUEUED = "queued"
    ANALYSING = "analysing"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    COMMITTED = "committed"
    NOT_PROCESSED = "not_processed"
    FAILED = "failed"


class DeliveryState(StrEnum):
    """How far one result object is on its way to one destination."""

    PENDING = "pending"
    DELIVERED = "delivered"
    REPLACED = "replaced"
    """The destination does not take such objects; another kind is sent to it instead."""
    FAILED = "failed"


@dataclass(frozen=True)
class Instance:
    """A SOP instance in the spool.

    Attributes
    ----------
    laterality, view
        What its header says, ``L`` or ``R`` and an ACR view code; None where it says nothing.
    path
        Where the spool keeps it.
    sha256, size_bytes
        Of the encoded data set, without File Meta Information.
    calling_ae
        Application Entity title of the sender.
    """

    sop_instance_uid: str
    sop_class_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax_uid: str
    modality: str
    laterality: str | None
    view: str | None
    path: Path
    sha256: str
    size_bytes: int
    calling_ae: str
    received: float


@dataclass(frozen=True)
class Destination:
    """An Application Entity that results are sent to.

    Attributes
    ----------
    name
        What logs, ledger and status page call it; unique.
    objects
        What it gets, in the order of sending.
    """

    name: str
    ae_title: str
    host: str
    port: int
    objects: tuple[ObjectKind, ...] = DEFAULT_OBJECTS

    @classmethod
    def parse(cls, text: str) -> Destination:
        """Read ``AE@host:port``; the AE title is the name.

        Raises
        ------
        ValueError
            If the text has another form.
        """
        match = re.fullmatch(r"([^@\\\x00-\x1f]{1,16})@(\[[^\]\s]+\]|[^:@\s]+):(\d{1,5})", text.strip())
        if match is None or not 0 < int(match[3]) < 65536:
            raise ValueError(f"{text!r} is no destination: write AE@host:port, with an AE title of 1 to 16 characters")
        return cls(match[1].strip(), match[1].strip(), match[2].strip("[]"), int(match[3]))


@dataclass(frozen=True)
class ResultObject:
    """A DICOM object that the node made."""

    kind: ObjectKind
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    path: Path


@dataclass(frozen=True)
class Analysed:
    """What an analysis leaves to be delivered.

    Attributes
    ----------
    objects
        What it made, in the order of sending.
    forward_seconds
        Time that the network's forward passes took.
    outcome, reason
        How it ended (:class:`ftmtl.findings.Outcome`) and why; a job whose analysis was not processed or failed ends
        so, too, once that is delivered.
    """

    objects: Sequence[ResultObject]
    forward_seconds: float
    outcome: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Delivery:
    """One result object on its way to one destination.

    Attributes
    ----------
    status
        DIMSE status of the last C-STORE response, or None if none came.
    attempts
        How often it was tried.
    next_attempt
        When to try again, while pending.
    comment
        What went wrong last, in words.
    opened
        Since when it is to be delivered.
    """

    destination: str
    sop_instance_uid: str
    state: DeliveryState
    status: int | None = None
    attempts: int = 0
    next_attempt: float = 0.0
    comment: str = ""
    opened: float = 0.0


@dataclass(frozen=True)
class Job:
    """The analysis of some instances of a study, and the delivery of what it finds.

    Attributes
    ----------
    reason
        Why it is not processed or failed, in words; else empty.
    last_received
        When its latest instance came.
    attempt
        How often a worker took it; the number fences off workers that come back from the dead, so it never falls.
    lost
        How many workers ended over its analysis since it was routed.
    lease_until
        Until when the worker that holds it has promised to show signs of life.
    dispatched
        When it was last put on the queue.
    forward_seconds
        Time that the network's forward passes took.
    destinations
        Names of the destinations that routing chose.
    outcome, outcome_reason
        How the analysis ended (:class:`ftmtl.findings.Outcome`) and why, once it has results to deliver; else empty.
    """

    job_id: str
    study_uid: str
    state: JobState
    reason: str
    created: float
    updated: float
    last_received: float
    attempt: int
    lost: int
    lease_until: float
    dispatched: float
    forward_seconds: float
    destinations: tuple[str, ...]
    outcome: str = ""
    outcome_reason: str = ""


@dataclass(frozen=True)
class Predecessor:
    """A report that a new one replaces, because another model analysed the study again (PS3.3 C.17.2)."""

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str
