"""The listening Application Entity, for C-ECHO and C-STORE. Bytes go to a file as they arrive; a status goes back."""

from __future__ import annotations

import ipaddress
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt

from node.config import Peer
from node.dimse.entity import accepting_entity, receive_into
from node.dimse.status import StoreStatus
from node.intake.intake import Arrival, Intake, Outcome

log = logging.getLogger(__name__)


@dataclass
class _Connection:
    """An open association: its id in the ledger, when data last arrived on it, and which studies it has brought."""

    association_id: str
    active: float
    studies: set[str] = field(default_factory=set)


class Listener:
    """The node's C-STORE and C-ECHO SCP.

    Parameters
    ----------
    intake
        Handles the instances.
    ae_title
        The node's own Application Entity title.
    peers
        Peers that may send; if empty, only this machine may.
    max_associations
        How many associations are served at the same time.
    """

    def __init__(
        self,
        intake: Intake,
        *,
        ae_title: str,
        peers: Sequence[Peer] = (),
        max_associations: int = 25,
    ) -> None:
        self.intake = intake
        self.peers = tuple(peers)
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, _Connection] = {}  # an association is a thread
        self._ae = accepting_entity(ae_title, max_associations)
        self._ae.require_calling_aet = sorted({peer.ae_title for peer in peers})
        self._server: Any = None

    def start(self, host: str, port: int) -> int:
        """Listen in a background thread; return the port, which is a free one if ``port`` is 0.

        Raises
        ------
        OSError
            If the port is not available.
        """
        receive_into(self.intake.spool.incoming)
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_C_ECHO, self._on_echo),
            (evt.EVT_ACCEPTED, self._on_accepted),
            (evt.EVT_DATA_RECV, self._on_data),
            (evt.EVT_CONN_CLOSE, self._on_close),
        ]
        self._server = self._ae.start_server((host, port), block=False, evt_handlers=handlers)
        return int(self._server.socket.getsockname()[1])

    def stop(self) -> None:
        """Stop listening and abort open associations."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def beat(self) -> None:
        """Show the other nodes that this one is alive, and which of its associations carry data."""
        with self._lock:
            dead = [assoc for assoc in self._open if not assoc.is_alive()]
            gone = [self._open.pop(assoc).association_id for assoc in dead]
            active = {one.association_id: one.active for one in self._open.values()}
        for association_id in gone:
            self.intake.ledger.associations.close(association_id)
        self.intake.ledger.associations.beat(active)

    def _on_accepted(self, event: Any) -> None:
        if self._allowed(event.assoc):
            sender = event.assoc.requestor.ae_title.strip()
            connection = _Connection(self.intake.ledger.associations.open(sender), self.intake.ledger.clock())
            with self._lock:
                self._open[event.assoc] = connection

    def _on_data(self, event: Any) -> None:
        connection = self._open.get(event.assoc)
        if connection is not None:
            connection.active = self.intake.ledger.clock()

    def _on_echo(self, event: Any) -> int:
        return int(StoreStatus.SUCCESS if self._allowed(event.assoc) else StoreStatus.NOT_AUTHORISED)

    def _on_close(self, event: Any) -> None:
        """Remove the unfinished file of a sender that disconnected; pynetdicom leaves it behind."""
        message = event.assoc.dimse.message
        file = getattr(message, "_data_set_file", None)
        if file is not None:
            file.close()
            Path(file.name).unlink(missing_ok=True)
        with self._lock:
            connection = self._open.pop(event.assoc, None)
        if connection is not None:
            self.intake.ledger.associations.close(connection.association_id)
            self.intake.on_received()

    def _on_store(self, event: Any) -> int | Dataset:
        started = time.monotonic()
        uid, sender = str(event.request.AffectedSOPInstanceUID), event.assoc.requestor.ae_title.strip()
        try:
            status, reason = self._store(event, sender)
        except Exception as error:  # the boundary: a sender always gets an answer
            log.exception("store failed sop_instance=%s", uid)
            status, reason = StoreStatus.OUT_OF_RESOURCES, type(error).__name__  # the sender keeps its copy
        took = time.monotonic() - started
        level = logging.INFO if status is StoreStatus.SUCCESS else logging.WARNING
        log.log(level, "store ae=%s sop_instance=%s status=0x%04X s=%.3f %s", sender, uid, status, took, reason)
        return _response(status, reason)

    def _store(self, event: Any, sender: str) -> Outcome:
        arrival = Arrival(
            path=event.dataset_path,
            sop_class_uid=str(event.request.AffectedSOPClassUID),
            sop_instance_uid=str(event.request.AffectedSOPInstanceUID),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            sender=sender,
        )
        if not self._allowed(event.assoc):
            outcome = Outcome(StoreStatus.NOT_AUTHORISED, "this sender is not allowed")
            return self.intake.refuse(arrival, outcome, keep=False)

        def entering(study_uid: str) -> None:
            connection = self._open.get(event.assoc)
            if connection is not None and study_uid not in connection.studies:
                self.intake.ledger.associations.brings(connection.association_id, study_uid)
                connection.studies.add(study_uid)

        return self.intake.take(arrival, entering)

    def _allowed(self, assoc: Any) -> bool:
        address, title = ipaddress.ip_address(assoc.requestor.address), assoc.requestor.ae_title.strip()
        if not self.peers:
            return address.is_loopback
        return any(
            peer.ae_title == title and address in ipaddress.ip_network(peer.host, strict=False) for peer in self.peers
        )


def _response(status: StoreStatus, reason: str) -> int | Dataset:
    if status is StoreStatus.SUCCESS:
        return int(status)
    response = Dataset()
    response.Status = int(status)
    response.ErrorComment = reason[:64]
    return response
