"""Handles an instance that has arrived, by whatever transport: header, spool, ledger, response.

Data sets are never decoded here; only the header is read, to identify the instance. The response is 0x0000 only
after the file, its folder and the ledger's row have been synced to disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pydicom
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from ftmtl.acquisition import HEADER_TAGS, Acquisition, read_acquisition
from node.dimse.status import StoreStatus
from node.domain import Instance
from node.errors import LedgerError, SpoolError, SpoolFull
from node.ledger.arrivals import Registration
from node.ledger.ledger import Ledger
from node.store.spool import Spool, data_set_offset

_HEADER = [*HEADER_TAGS, "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality"]


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
    """

    def __init__(self, spool: Spool, ledger: Ledger, on_received: Callable[[], None] = lambda: None) -> None:
        self.spool = spool
        self.ledger = ledger
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
            return Outcome(StoreStatus.PROCESSING_FAILURE, str(error))

    def refuse(self, arrival: Arrival, outcome: Outcome, *, keep: bool = True) -> Outcome:
        """Record a refused instance; unless ``keep`` is False, a copy is kept for a person to look at."""
        path = self.spool.reject(arrival.path).path if keep else None
        self.ledger.arrivals.reject(arrival.sop_instance_uid, arrival.sender, *outcome, path)
        return outcome

    def _take(self, arrival: Arrival, entering: Callable[[str], None]) -> Outcome:
        offset = data_set_offset(arrival.path)
        try:
            header = pydicom.dcmread(arrival.path, stop_before_pixels=True, specific_tags=[Tag(t) for t in _HEADER])
            fault = _mismatch(arrival, header)
            acquisition = read_acquisition(header)
        except Exception as error:  # noqa: BLE001 - the boundary: pydicom raises whatever the bytes provoke
            reason = f"cannot be parsed: {type(error).__name__}"  # its message may quote patient data
            return self.refuse(arrival, Outcome(StoreStatus.CANNOT_UNDERSTAND, reason))
        if fault:
            return self.refuse(arrival, fault)
        instance = self._keep(arrival, header, acquisition, offset)
        entering(instance.study_uid)
        return self._enter(instance)

    def _keep(self, arrival: Arrival, header: Dataset, acquisition: Acquisition, offset: int) -> Instance:
        series_uid = str(header.get("SeriesInstanceUID") or "")
        stored = self.spool.accept(arrival.path, offset)
        return Instance(
            sop_instance_uid=str(header.SOPInstanceUID),
            sop_class_uid=str(header.SOPClassUID),
            study_uid=str(header.StudyInstanceUID),
            series_uid=series_uid if _is_uid(series_uid) else "",
            transfer_syntax_uid=arrival.transfer_syntax_uid,
            modality=acquisition.modality[:16],
            laterality=acquisition.laterality,
            view=acquisition.view,
            path=stored.path,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            calling_ae=arrival.sender,
            received=time.time(),
        )

    def _enter(self, instance: Instance) -> Outcome:
        registration = self.ledger.arrivals.register(instance)
        if registration is Registration.CONFLICT:
            kept = self.spool.reject(instance.path)
            reason = "this SOP Instance UID is stored with other content; the first is kept, this one is set aside"
            outcome = Outcome(StoreStatus.DUPLICATE_INSTANCE, reason)
            self.ledger.arrivals.reject(instance.sop_instance_uid, instance.calling_ae, *outcome, kept.path)
            return outcome
        self.on_received()
        return Outcome(StoreStatus.SUCCESS, "" if registration is Registration.NEW else "already stored, same content")


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
    if not all(_is_uid(value) for value in (uid, study)):
        return Outcome(StoreStatus.INVALID_INSTANCE, "a UID is malformed")
    return None


def _is_uid(value: str) -> bool:
    return len(value) <= 64 and UID(value).is_valid
