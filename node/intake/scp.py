"""The listening Application Entity, for C-ECHO and C-STORE. Bytes go to a file as they arrive; a status goes back."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from sqlalchemy.exc import SQLAlchemyError

from node.dimse.association import AcceptedAssociation, Limits, Service
from node.dimse.entity import accepting_entity
from node.dimse.messages import received_file
from node.dimse.reception import Address, Connection, Reception
from node.dimse.request import AssociationRequest, InvalidRequest, read_request
from node.dimse.status import StoreStatus
from node.domain import NetworkEvent, NetworkEventKind
from node.errors import SpoolError
from node.intake.admission import Admission, Sender
from node.intake.intake import Arrival, Intake, Outcome
from node.intake.network_log import NetworkLog
from node.settings import Peer

log = logging.getLogger(__name__)

_GRACE_S = 5.0
"""How long an image that is being stored may take when the node stops."""
_LIMITS = Limits()
_ABSTRACT_SYNTAX_REFUSED = 3
"""PS3.8 table 9-18."""


@dataclass
class _Open:
    """An open association: its id in the ledger, when data last arrived on it, and which studies it has brought."""

    sender: Sender
    active: float
    association_id: str = ""
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
    limits
        What a sender may take up.
    """

    def __init__(
        self,
        intake: Intake,
        *,
        ae_title: str,
        peers: Sequence[Peer] = (),
        limits: Limits = _LIMITS,
    ) -> None:
        self.intake = intake
        self.admission = Admission(peers, limits)
        self.network_log = NetworkLog(lambda: self.intake.ledger.clock())
        self._lock = threading.Lock()
        self._open: dict[AcceptedAssociation, _Open] = {}
        self._gone: list[str] = []  # ids of associations that have ended, and that the ledger still has
        self._reception: Reception | None = None
        self._service = Service(
            entity=accepting_entity(ae_title),
            limits=limits,
            handlers=[
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_C_ECHO, self._on_echo),
                (evt.EVT_ACCEPTED, self._on_accepted),
                (evt.EVT_DATA_RECV, self._on_data),
            ],
            receive=intake.spool.receive,
            ended=self._ended,
        )

    def start(self, host: str, port: int) -> int:
        """Listen in a background thread; return the port, which is a free one if ``port`` is 0.

        Raises
        ------
        OSError
            If the port is not available.
        """
        self._reception = Reception(self, (host, port), self.admission.limits.request_s)
        self._reception.start()
        return self._reception.port

    def stop(self) -> None:
        """Stop listening and abort open associations; an image that is being stored may still be answered."""
        if self._reception is None:
            return
        self._reception.stop()
        self._reception = None
        deadline = time.monotonic() + _GRACE_S
        while (associations := self._associations()) and time.monotonic() < deadline:
            for association in associations:
                if not association.serving:
                    association.hang_up("the node is stopping")
            time.sleep(0.01)
        for association in self._associations():
            association.hang_up("the node is stopping")
        with _ledger_may_fail():
            self.network_log.flush(self.intake.ledger.network_events.add)

    def beat(self) -> None:
        """Show the other nodes that this one is alive, and which of its associations carry data; tidy up."""
        self._close_gone()
        with self._lock:
            active = {one.association_id: one.active for one in self._open.values() if one.association_id}
        self.intake.ledger.associations.beat(active)
        self.network_log.flush(self.intake.ledger.network_events.add)
        removed = self.intake.spool.recover()
        if removed:
            log.info("removed unfinished files=%d: they were never acknowledged", removed)

    # -- connections: called by the reception -------------------------------------------------------------------

    def knows(self, address: Address) -> bool:
        """Return whether some peer may have this address."""
        return self.admission.knows(address)

    def turned_away(self, address: Address, reason: str) -> None:
        """Note a connection that was closed without an association request."""
        expected = "an association request (A-ASSOCIATE-RQ)" if self.knows(address) else self.admission.expected
        self.network_log.note(NetworkEvent(NetworkEventKind.NO_REQUEST, str(address), reason, expected))

    def visited(self, connection: Connection, request: bytes) -> None:
        """Begin an association, or reject it."""
        try:
            asked = read_request(request)
        except InvalidRequest as error:
            connection.close()
            self.turned_away(connection.address, str(error))
            return
        with self._lock:
            senders = [one.sender for one in self._open.values()]
        rejection = self.admission.rejection(asked, connection.address, senders)
        if rejection is None:
            self._begin(connection, asked)
            return
        with contextlib.suppress(OSError):  # gone already
            connection.socket.send(rejection.pdu, socket.MSG_DONTWAIT)
        connection.close()
        self._note(NetworkEventKind.REJECTED, asked, connection.address, (rejection.reason, rejection.expected))

    def _begin(self, connection: Connection, request: AssociationRequest) -> None:
        association = AcceptedAssociation(self._service, request, connection)
        sender = Sender(request.calling_ae, connection.address)
        with self._lock:
            self._open[association] = _Open(sender, self.intake.ledger.clock())
        try:
            association.start()
        except RuntimeError:  # no more threads
            with self._lock:
                del self._open[association]
            raise

    # -- associations: called in their threads ------------------------------------------------------------------

    def _on_accepted(self, event: Any) -> None:
        association: AcceptedAssociation = event.assoc
        with _ledger_may_fail():  # what it brings is refused then, with a reason
            self._open[association].association_id = self.intake.ledger.associations.open(association.asked.calling_ae)
        if association.rejected_contexts:
            refused, expected = _not_accepted(association)
            self._note(
                NetworkEventKind.NOT_ACCEPTED, association.asked, association.connection.address, (refused, expected)
            )

    def _on_data(self, event: Any) -> None:
        self._open[event.assoc].active = self.intake.ledger.clock()

    def _on_echo(self, event: Any) -> int:
        return int(StoreStatus.SUCCESS)

    def _ended(self, association: AcceptedAssociation) -> None:
        """Forget an association that has ended, whatever ended it."""
        if not association.is_released:
            reason = association.trouble or "ended without a release"
            self._note(
                NetworkEventKind.ABORTED, association.asked, association.connection.address, (reason, "a release")
            )
        with self._lock:
            self._gone.append(self._open.pop(association).association_id)
        with _ledger_may_fail():
            self._close_gone()
        self.intake.on_received()

    def _close_gone(self) -> None:
        """Close associations that have ended in the ledger, too; what fails is tried again with the next beat."""
        while self._gone:
            association_id = self._gone[0]
            if association_id:
                self.intake.ledger.associations.close(association_id)
            with self._lock:
                if association_id in self._gone:
                    self._gone.remove(association_id)

    def _associations(self) -> list[AcceptedAssociation]:
        with self._lock:
            return list(self._open)

    def _note(
        self, kind: NetworkEventKind, request: AssociationRequest, address: Address, words: tuple[str, str]
    ) -> None:
        reason, expected = words
        event = NetworkEvent(kind, str(address), reason, expected, request.calling_ae, request.called_ae)
        self.network_log.note(event)

    # -- instances ----------------------------------------------------------------------------------------------

    def _on_store(self, event: Any) -> int | Dataset:
        started = time.monotonic()
        uid, sender = str(event.request.AffectedSOPInstanceUID), event.assoc.asked.calling_ae
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
        file = received_file(event.request)
        if file is None:
            return Outcome(StoreStatus.CANNOT_UNDERSTAND, "the request has no data set")
        try:
            file.finish()
            return self._take(event, file.path, sender)
        except SpoolError as error:
            return Outcome(StoreStatus.OUT_OF_RESOURCES, str(error))
        finally:
            file.discard()  # what was not moved to its place

    def _take(self, event: Any, path: Path, sender: str) -> Outcome:
        arrival = Arrival(
            path=path,
            sop_class_uid=str(event.request.AffectedSOPClassUID),
            sop_instance_uid=str(event.request.AffectedSOPInstanceUID),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            sender=sender,
        )

        def entering(study_uid: str) -> None:
            open_ = self._open[event.assoc]
            if open_.association_id and study_uid not in open_.studies:
                self.intake.ledger.associations.brings(open_.association_id, study_uid)
                open_.studies.add(study_uid)

        return self.intake.take(arrival, entering)


def _response(status: StoreStatus, reason: str) -> int | Dataset:
    if status is StoreStatus.SUCCESS:
        return int(status)
    response = Dataset()
    response.Status = int(status)
    response.ErrorComment = reason[:64]
    return response


def _not_accepted(association: AcceptedAssociation) -> tuple[str, str]:
    """Return which presentation contexts were not accepted, and what would have been."""
    refused = {}
    for context in association.rejected_contexts:
        sop_class = UID(context.abstract_syntax or "").name
        if context.result == _ABSTRACT_SYNTAX_REFUSED:
            refused[sop_class] = "a Storage SOP class or Verification"
        else:
            refused[f"{sop_class} in {context.transfer_syntax[0].name}"] = "an accepted transfer syntax"
    words = "nothing accepted: " if not association.accepted_contexts else ""
    return words + ", ".join(sorted(refused))[:300], " and ".join(sorted(set(refused.values())))


@contextlib.contextmanager
def _ledger_may_fail() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        log.error("ledger unavailable: %s", type(error).__name__)
