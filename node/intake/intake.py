"""Handles an instance that has arrived, by whatever transport: header, spool, ledger, response.

Data sets are never decoded here; only the header is read, to identify the instance. The response is 0x0000 only
after the file, its folder and the ledger's row have been synced to disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pydicom.dataset import Dataset

from ftmtl.header.acquisition import Acquisition, read_acquisition
from ftmtl.header.classes import is_image
from ftmtl.header.reading import USUAL, Reading
from ftmtl.header.suitability import is_synthetic, why_not_analysed
from node.charsets import DEFAULT
from node.dimse.status import StoreStatus
from node.domain import Cause, Instance, StudyFacts
from node.errors import LedgerError, SpoolError, SpoolFull
from node.intake.header import facts_of, identity_of, is_uid, read_header
from node.intake.values import Comparison, compare
from node.ledger.arrivals import Registration
from node.ledger.ledger import Ledger
from node.store.spool import Spool, Stored, data_set_offset


@dataclass(frozen=True)
class Policy:
    """How instances are judged.

    Attributes
    ----------
    duplicates
        What becomes of other values under a known UID: ``newest`` takes the newer version, ``first`` keeps the older
        one, ``ask`` takes the newer one and holds its study until a person releases it.
    reading
        Which kinds of images are analysed, and so count for a complete study.
    charset
        The character set of text where none is declared, as a defined term.
    """

    duplicates: str = "newest"
    reading: Reading = USUAL
    charset: str = DEFAULT


@dataclass(frozen=True)
class Arrival:
    """An instance that has arrived, as described by its request.

    Attributes
    ----------
    path
        A complete file in the spool's ``incoming`` folder: preamble, File Meta Information, data set.
    sop_class_uid, sop_instance_uid
        As stated in the request.
    transfer_syntax_uid
        How it is encoded.
    sender
        Application Entity title of the sender.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    sender: str


class Outcome(NamedTuple):
    """The response to the sender: a status (PS3.4 table B.2-1), and the reason for it in words."""

    status: StoreStatus
    reason: str = ""


class Intake:
    """Accepts or refuses instances.

    Parameters
    ----------
    spool, ledger
        Where instances are stored and recorded.
    on_received
        Called after an instance has been recorded in the ledger.
    policy
        How instances are judged.
    """

    def __init__(
        self,
        spool: Spool,
        ledger: Ledger,
        on_received: Callable[[], None] = lambda: None,
        policy: Policy = Policy(),
    ) -> None:
        self.spool = spool
        self.ledger = ledger
        self.policy = policy
        self.on_received = on_received

    def take(self, arrival: Arrival, entering: Callable[[str], None] = lambda study_uid: None) -> Outcome:
        """Store an instance, record it in the ledger, and return the response to the sender.

        Parameters
        ----------
        entering
            Called with the Study Instance UID before the instance is recorded.
        """
        try:
            self.spool.check_space()
            return self._take(arrival, entering)
        except SpoolFull as error:
            return Outcome(StoreStatus.OUT_OF_RESOURCES, str(error))
        except (SpoolError, LedgerError) as error:
            return Outcome(StoreStatus.OUT_OF_RESOURCES, str(error))

    def refuse(self, arrival: Arrival, outcome: Outcome, *, keep: bool = True) -> Outcome:
        """Record a refused instance; unless ``keep`` is False, a copy is kept for a person to look at."""
        key = self.spool.reject(arrival.path).key if keep else None
        self.ledger.arrivals.reject(arrival.sop_instance_uid, arrival.sender, *outcome, key)
        return outcome

    def _take(self, arrival: Arrival, entering: Callable[[str], None]) -> Outcome:
        try:
            offset = data_set_offset(arrival.path)
            header = read_header(arrival.path)
            fault = _mismatch(arrival, header)
            acquisition = read_acquisition(header)
            facts = facts_of(header, self.policy.charset)
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the sender's
                raise SpoolError(f"{error.strerror}") from error
            raised = type(error.__cause__ or error).__name__  # the message may quote patient data
            return self.refuse(arrival, Outcome(StoreStatus.CANNOT_UNDERSTAND, f"cannot be parsed: {raised}"))
        if fault:
            return self.refuse(arrival, fault)
        stored = self.spool.accept(arrival.path, offset)
        instance = self._instance(arrival, header, acquisition, stored)
        entering(instance.study_uid)
        outcome = self._enter(replace(instance, identity=identity_of(facts)), facts)
        self.on_received()
        return outcome

    def _instance(self, arrival: Arrival, header: Dataset, acquisition: Acquisition, stored: Stored) -> Instance:
        series_uid = str(header.get("SeriesInstanceUID") or "")
        refusal = why_not_analysed(acquisition, self.policy.reading)
        return Instance(
            sop_instance_uid=str(header.SOPInstanceUID),
            sop_class_uid=str(header.SOPClassUID),
            study_uid=str(header.StudyInstanceUID),
            series_uid=series_uid if is_uid(series_uid) else "",
            transfer_syntax_uid=arrival.transfer_syntax_uid,
            modality=acquisition.modality[:16],
            laterality=acquisition.laterality,
            view=acquisition.view,
            key=stored.key,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            calling_ae=arrival.sender,
            received=time.time(),
            refusal=refusal or "",
            substitute=is_synthetic(acquisition),
        )

    def _enter(self, instance: Instance, facts: StudyFacts) -> Outcome:
        image = is_image(instance.sop_class_uid)
        registration = self.ledger.arrivals.register(instance, facts, image=image)
        if registration is not Registration.CONFLICT:
            return Outcome(StoreStatus.SUCCESS, _WORDS[registration])
        known = self.ledger.arrivals.current(instance.sop_instance_uid)
        if known is None:
            comparison = Comparison.OTHER
        else:
            comparison = compare(self.spool.path(known.key), self.spool.path(instance.key))
        if comparison is Comparison.SAME:
            self.spool.forget(instance.key)
            return Outcome(StoreStatus.SUCCESS, "already stored, the same values in another encoding")
        if comparison is Comparison.OTHER and self.policy.duplicates == "first":
            reason = "another version with the same UID was here first"
            self.ledger.arrivals.set_aside(instance, reason)
            return Outcome(StoreStatus.SUCCESS, f"set aside: {reason}")
        cause = Cause.CORRECTED if comparison is Comparison.OTHER else Cause.LATE
        self.ledger.arrivals.register(instance, facts, image=image, replace=cause)
        return Outcome(StoreStatus.SUCCESS, f"takes the place of an earlier version: {comparison.value}")


_WORDS = {
    Registration.NEW: "",
    Registration.SAME: "already stored, same content",
    Registration.OWN: "a result object of this node: stored, not analysed",
}


def _mismatch(arrival: Arrival, header: Dataset) -> Outcome | None:
    """Return how the data set and its request disagree, or None if they agree (PS3.4 table B.2-1)."""
    uid, study = str(header.get("SOPInstanceUID") or ""), str(header.get("StudyInstanceUID") or "")
    if not uid or not study or not header.get("SOPClassUID"):
        return Outcome(StoreStatus.CANNOT_UNDERSTAND, "SOP Class, SOP Instance or Study Instance UID is missing")
    if uid != arrival.sop_instance_uid:
        reason = "the data set's SOP Instance UID differs from the request's"
        return Outcome(StoreStatus.DATA_SET_MISMATCH, reason)
    if header.SOPClassUID != arrival.sop_class_uid:
        return Outcome(StoreStatus.DATA_SET_MISMATCH, "the data set's SOP Class UID differs from the request's")
    if not all(is_uid(value) for value in (uid, study)):
        return Outcome(StoreStatus.CANNOT_UNDERSTAND, "a UID is malformed")
    return None
