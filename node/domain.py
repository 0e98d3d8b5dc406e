"""The node's vocabulary: frozen types that need the standard library only.

Times are in seconds since the epoch (UTC).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from node.kinds import DEFAULT_OBJECTS, ObjectKind


class JobState(StrEnum):
    """The state of a job; `node.ledger.states.TRANSITIONS` lists the allowed transitions."""

    RECEIVING = "receiving"
    COMPLETE = "complete"
    HELD = "held"
    QUEUED = "queued"
    ANALYSING = "analysing"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    COMMITTED = "committed"
    NOT_PROCESSED = "not_processed"
    FAILED = "failed"


class DeliveryState(StrEnum):
    """The state of the delivery of one result object to one destination."""

    PENDING = "pending"
    DELIVERED = "delivered"
    REPLACED = "replaced"
    """The destination refuses such objects; another kind is sent to it instead."""
    FAILED = "failed"


class Cause(StrEnum):
    """Why a job was made."""

    ARRIVAL = "arrival"
    LATE = "late"
    """An image of a study that had been analysed before arrived."""
    CORRECTED = "corrected"
    """Another version of a known image arrived."""
    WISH = "wish"
    """A person asked for it."""


class NetworkEventKind(StrEnum):
    """What has come to nothing at the listener."""

    NO_REQUEST = "no request"
    """A connection without an association request."""
    REJECTED = "rejected"
    """An association that was refused (PS3.8 9.3.4)."""
    NOT_ACCEPTED = "not accepted"
    """Presentation contexts of an association (PS3.8 9.3.3.2)."""
    ABORTED = "aborted"
    """An association that ended without a release."""


@dataclass(frozen=True)
class NetworkEvent:
    """Something that has come to nothing at the listener.

    Attributes
    ----------
    calling_ae, called_ae
        Application Entity titles; empty if there was no association request.
    address
        Of the sender.
    reason, expected
        Why, and what would have been right, in words.
    """

    kind: NetworkEventKind
    address: str
    reason: str
    expected: str = ""
    calling_ae: str = ""
    called_ae: str = ""


@dataclass(frozen=True)
class Tally:
    """How often something has happened, first and last when (seconds since the epoch)."""

    count: int
    first: float
    last: float


@dataclass(frozen=True)
class Instance:
    """A SOP instance in the spool.

    Attributes
    ----------
    laterality, view
        From the header: ``L`` or ``R``, and an ACR view code; None if the header does not say.
    key
        Its file in the spool (`node.store.spool`).
    sha256, size_bytes
        Of the encoded data set, without the File Meta Information.
    calling_ae
        Application Entity title of the sender.
    refusal
        Why it will not be analysed, as far as its header tells; empty if it will.
    identity
        Digest of Patient ID and issuer; empty if an earlier version received it.
    substitute
        Whether it is analysed only if no better image of its breast and view arrives: a generated 2D image.
    """

    sop_instance_uid: str
    sop_class_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax_uid: str
    modality: str
    laterality: str | None
    view: str | None
    key: str
    sha256: str
    size_bytes: int
    calling_ae: str
    received: float
    refusal: str = ""
    identity: str = ""
    substitute: bool = False


@dataclass(frozen=True)
class StudyFacts:
    """What people search a study by. It stays out of logs, metrics and messages.

    Attributes
    ----------
    study_date
        A DA value, or empty.
    """

    patient_id: str = ""
    issuer: str = ""
    patient_name: str = ""
    accession_number: str = ""
    study_date: str = ""
    description: str = ""


@dataclass(frozen=True)
class Destination:
    """An Application Entity that results are sent to.

    Attributes
    ----------
    name
        Its name in logs, in the ledger and on the status page; unique.
    objects
        The kinds of objects that it receives, in sending order.
    accept_warnings
        Whether an object that it has stored with a warning counts as delivered.
    """

    name: str
    ae_title: str
    host: str
    port: int
    objects: tuple[ObjectKind, ...] = DEFAULT_OBJECTS
    accept_warnings: bool = True

    @classmethod
    def parse(cls, text: str) -> Destination:
        """Parse ``AE@host:port``; the AE title becomes the name.

        Raises
        ------
        ValueError
            If the text does not have this form.
        """
        match = re.fullmatch(r"([^@\\\x00-\x1f]{1,16})@(\[[^\]\s]+\]|[^:@\s]+):(\d{1,5})", text.strip())
        if match is None or not 0 < int(match[3]) < 65536:
            raise ValueError(f"{text!r} is not a destination: use AE@host:port, with an AE title of 1 to 16 characters")
        return cls(match[1].strip(), match[1].strip(), match[2].strip("[]"), int(match[3]))


@dataclass(frozen=True)
class ResultObject:
    """A DICOM object created by the node."""

    kind: ObjectKind
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    path: Path


@dataclass(frozen=True)
class Analysed:
    """The results of an analysis, ready for delivery.

    Attributes
    ----------
    objects
        The result objects, in sending order.
    forward_seconds
        Time spent in the network's forward passes.
    outcome, reason
        How the analysis ended (:class:`ftmtl.findings.Outcome`) and why. If it was not processed or failed, the job
        ends in that state too, once the objects are delivered.
    model
        Which model it was: name, version and digest of its weights.
    remarks
        What was read, and what a reader has to know of the images; one line each.
    """

    objects: Sequence[ResultObject]
    forward_seconds: float
    outcome: str = ""
    reason: str = ""
    model: str = ""
    remarks: str = ""


@dataclass(frozen=True)
class Delivery:
    """The delivery of one result object to one destination.

    Attributes
    ----------
    status
        DIMSE status of the last C-STORE response, or None if there was none.
    attempts
        Number of attempts in a row that came to nothing, and the one that did not.
    next_attempt
        When to try again, while pending.
    comment
        What went wrong last, in words.
    opened
        When the delivery was opened, or last reopened by a retry.
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
    """The analysis of some of a study's instances, and the delivery of its results.

    Attributes
    ----------
    reason
        Why it was not processed or failed, in words; otherwise empty.
    last_received
        When its latest instance arrived.
    attempt
        How often a worker has claimed it. The number fences off workers that come back from the dead, so it never
        decreases.
    lost
        How many workers have died while analysing it since it was routed.
    lease_until
        When the lease of the worker that holds it expires, unless renewed; 0 if no worker holds it.
    dispatched
        When it was last put on the queue.
    forward_seconds
        Time spent in the network's forward passes.
    cause
        Why it was made.
    weights
        The weights file that a person asked for; empty for the configured one.
    model
        Which model analysed it: name, version and digest of its weights; empty before.
    plan
        What each destination receives, by its name, as routing decided. No kinds mean what the configuration says:
        an earlier version routed it.
    due
        When the node should look at it again.
    outcome, outcome_reason
        How the analysis ended (:class:`ftmtl.findings.Outcome`) and why, once there are results to deliver; otherwise
        empty.
    remarks
        What was read, and what a reader has to know of the images; one line each.
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
    plan: Mapping[str, tuple[ObjectKind, ...]]
    outcome: str = ""
    outcome_reason: str = ""
    remarks: str = ""
    cause: Cause = Cause.ARRIVAL
    weights: str = ""
    model: str = ""
    priority: int = 0
    run_id: str = ""
    due: float = 0.0

    @property
    def destinations(self) -> tuple[str, ...]:
        """Names of the destinations chosen by routing."""
        return tuple(self.plan)


@dataclass(frozen=True)
class Predecessor:
    """A report that a new one replaces, for example because another model analysed the study (PS3.3 C.17.2)."""

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str
