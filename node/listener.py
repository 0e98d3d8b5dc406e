"""The listening Application Entity: C-ECHO and C-STORE. Bytes go to the spool, a status goes back.

Data sets are written to disk as they arrive and never decoded here; only the header is read, to
know what came. 0x0000 is answered after the file, its folder and the ledger's row are synced.
"""

from __future__ import annotations

import ipaddress
import logging
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID
from pynetdicom import AE, _config, evt
from pynetdicom.presentation import AllStoragePresentationContexts

from ftmtl.acquisition import HEADER_TAGS, read_acquisition
from node.config import Peer
from node.domain import Instance
from node.errors import LedgerError, SpoolError, SpoolFull
from node.ledger import Ledger, Registration
from node.results.identity import IMPLEMENTATION_CLASS_UID, implementation_version_name
from node.spool import Spool
from node.status import StoreStatus

log = logging.getLogger(__name__)

VERIFICATION = "1.2.840.10008.1.1"
TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.201",  # HTJ2K Lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K Lossless RPCL
    "1.2.840.10008.1.2.5",  # RLE Lossless
    "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.203",  # HTJ2K
)
"""In the order of preference: the first that a sender offers is accepted, so lossy ones come last."""

_HEADER = [*HEADER_TAGS, "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality"]


class Listener:
    """The C-STORE and C-ECHO service of the node.

    Parameters
    ----------
    spool, ledger
        Where instances are kept and entered.
    peers
        Who may send; empty for this machine only.
    on_received
        Called after an instance was entered into the ledger.
    """

    def __init__(
        self,
        spool: Spool,
        ledger: Ledger,
        *,
        ae_title: str,
        peers: Sequence[Peer] = (),
        max_associations: int = 25,
        on_received: Callable[[], None] = lambda: None,
    ) -> None:
        self.spool = spool
        self.ledger = ledger
        self.peers = tuple(peers)
        self.on_received = on_received
        self._lock = threading.Lock()
        self._studies: dict[threading.Thread, set[str]] = defaultdict(set)  # an association is a thread
        self._ae = application_entity(ae_title, max_associations)
        self._ae.require_calling_aet = sorted({peer.ae_title for peer in peers})
        self._server: Any = None

    def start(self, host: str, port: int) -> int:
        """Listen in a thread of its own; returns the port, which is a free one if 0 was asked for.

        Raises
        ------
        OSError
            If the port cannot be had.
        """
        _config.STORE_RECV_CHUNKED_DATASET = True
        tempfile.tempdir = str(self.spool.incoming)  # pynetdicom writes there; rename needs the same disk
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_C_ECHO, self._on_echo),
            (evt.EVT_CONN_CLOSE, self._on_close),
        ]
        self._server = self._ae.start_server((host, port), block=False, evt_handlers=handlers)
        return int(self._server.socket.getsockname()[1])

    def stop(self) -> None:
        """Stop listening and abort what is open."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def open_studies(self) -> set[str]:
        """Studies of which an association that is still open has brought something."""
        with self._lock:
            for assoc in [assoc for assoc in self._studies if not assoc.is_alive()]:
                del self._studies[assoc]
            return set().union(*self._studies.values())

    def _on_echo(self, event: Any) -> int:
        return int(StoreStatus.SUCCESS if self._allowed(event.assoc) else StoreStatus.NOT_AUTHORISED)

    def _on_close(self, event: Any) -> None:
        """Remove what a sender that went away had begun to send; pynetdicom leaves it there."""
        message = event.assoc.dimse.message
        file = getattr(message, "_data_set_file", None)
        if file is not None:
            file.close()
            Path(file.name).unlink(missing_ok=True)

    def _on_store(self, event: Any) -> int | Dataset:
        started = time.monotonic()
        uid, sender = str(event.request.AffectedSOPInstanceUID), event.assoc.requestor.ae_title.strip()
        try:
            status, reason = self._store(event, sender)
        except SpoolFull as error:
            status, reason = StoreStatus.OUT_OF_RESOURCES, str(error)
        except (SpoolError, LedgerError) as error:
            status, reason = StoreStatus.PROCESSING_FAILURE, str(error)
        except Exception as error:  # the boundary: a sender always gets an answer
            log.exception("store failed sop_instance=%s", uid)
            status, reason = StoreStatus.PROCESSING_FAILURE, type(error).__name__
        took = time.monotonic() - started
        level = logging.INFO if status is StoreStatus.SUCCESS else logging.WARNING
        log.log(level, "store ae=%s sop_instance=%s status=0x%04X s=%.3f %s", sender, uid, status, took, reason)
        return _response(status, reason)

    def _store(self, event: Any, sender: str) -> tuple[StoreStatus, str]:
        if not self._allowed(event.assoc):
            return self._refuse(event, sender, StoreStatus.NOT_AUTHORISED, "this sender is not allowed", keep=False)
        self.spool.check_space()
        received = event.dataset_path
        offset = data_set_offset(received)
        try:
            header = pydicom.dcmread(received, stop_before_pixels=True, specific_tags=[Tag(t) for t in _HEADER])
            fault = _mismatch(event.request, header)
            series_uid = str(header.get("SeriesInstanceUID") or "")
            acquisition = read_acquisition(header)
        except Exception as error:  # noqa: BLE001 - pydicom raises whatever the bytes provoke
            reason = f"cannot be parsed: {type(error).__name__}"  # its words may quote the bytes
            return self._refuse(event, sender, StoreStatus.CANNOT_UNDERSTAND, reason)
        if fault:
            return self._refuse(event, sender, *fault)
        stored = self.spool.accept(received, offset)
        instance = Instance(
            sop_instance_uid=str(header.SOPInstanceUID),
            sop_class_uid=str(header.SOPClassUID),
            study_uid=str(header.StudyInstanceUID),
            series_uid=series_uid if _is_uid(series_uid) else "",
            transfer_syntax_uid=str(event.context.transfer_syntax),
            modality=acquisition.modality[:16],
            laterality=acquisition.laterality,
            view=acquisition.view,
            path=stored.path,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            calling_ae=sender,
            received=time.time(),
        )
        return self._enter(event, instance, sender)

    def _enter(self, event: Any, instance: Instance, sender: str) -> tuple[StoreStatus, str]:
        with self._lock:
            self._studies[event.assoc].add(instance.study_uid)
        registration = self.ledger.register(instance)
        if registration is Registration.CONFLICT:
            kept = self.spool.reject(instance.path)
            reason = "this SOP Instance UID is known with other content: the first is kept, this one lies apart"
            status = StoreStatus.DUPLICATE_INSTANCE
            self.ledger.reject(instance.sop_instance_uid, sender, status, reason, kept.path)
            return status, reason
        self.on_received()
        return StoreStatus.SUCCESS, "" if registration is Registration.NEW else "known already, same content"

    def _refuse(
        self, event: Any, sender: str, status: StoreStatus, reason: str, *, keep: bool = True
    ) -> tuple[StoreStatus, str]:
        path = self.spool.reject(event.dataset_path).path if keep else None
        self.ledger.reject(str(event.request.AffectedSOPInstanceUID), sender, status, reason, path)
        return status, reason

    def _allowed(self, assoc: Any) -> bool:
        address, title = ipaddress.ip_address(assoc.requestor.address), assoc.requestor.ae_title.strip()
        if not self.peers:
            return address.is_loopback
        return any(
            peer.ae_title == title and address in ipaddress.ip_network(peer.host, strict=False) for peer in self.peers
        )


def application_entity(ae_title: str, max_associations: int) -> AE:
    """Return the receiving AE: what it accepts, in which transfer syntaxes, and how long it waits."""
    ae = AE(ae_title)
    ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    ae.implementation_version_name = implementation_version_name()
    ae.maximum_associations = max_associations
    ae.maximum_pdu_size = 131072
    ae.dimse_timeout = 120
    ae.add_supported_context(VERIFICATION)
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(str(context.abstract_syntax), list(TRANSFER_SYNTAXES))
    return ae


def _mismatch(request: Any, header: Dataset) -> tuple[StoreStatus, str] | None:
    """What is wrong between the request and the data set it came with (PS3.4 table B.2-1)."""
    uid, study = str(header.get("SOPInstanceUID") or ""), str(header.get("StudyInstanceUID") or "")
    if not uid or not study or not header.get("SOPClassUID"):
        return StoreStatus.CANNOT_UNDERSTAND, "SOP Class, SOP Instance or Study Instance UID is missing"
    if uid != request.AffectedSOPInstanceUID:
        return StoreStatus.DATA_SET_MISMATCH, "the SOP Instance UID of the data set is not that of the request"
    if header.SOPClassUID != request.AffectedSOPClassUID:
        return StoreStatus.DATA_SET_MISMATCH, "the SOP Class UID of the data set is not that of the request"
    if not all(_is_uid(value) for value in (uid, study)):
        return StoreStatus.INVALID_INSTANCE, "a UID is malformed"
    return None


def _is_uid(value: str) -> bool:
    return len(value) <= 64 and UID(value).is_valid


def data_set_offset(path: Path) -> int:
    """Where the data set begins: behind preamble, prefix and the group whose length (0002,0000) tells."""
    with path.open("rb") as file:
        head = file.read(144)
    return 144 + int.from_bytes(head[140:144], "little")


def _response(status: StoreStatus, reason: str) -> int | Dataset:
    if status is StoreStatus.SUCCESS:
        return int(status)
    response = Dataset()
    response.Status = int(status)
    response.ErrorComment = reason[:64]
    return response
