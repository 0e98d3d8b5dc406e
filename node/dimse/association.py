"""An association that a sender has asked for, served by pynetdicom within the node's own limits."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import uid_to_service_class
from pynetdicom.transport import AddressInformation

from node.dimse.entity import VERIFICATION
from node.dimse.messages import DataSetFile, Messages, discard
from node.dimse.reception import Connection
from node.dimse.request import AssociationRequest
from node.dimse.status import SOP_CLASS_NOT_SUPPORTED, StoreStatus
from node.dimse.upper_layer import A_ABORT, Socket, UpperLayer

log = logging.getLogger(__name__)

_ABORT = bytes([A_ABORT, 0, 0, 0, 0, 4, 0, 0, 0, 0])
"""A-ABORT by the service user (PS3.8 9.3.8)."""


@dataclass(frozen=True)
class Limits:
    """What a sender may take up.

    Attributes
    ----------
    associations, associations_per_peer
        How many associations are served at the same time: altogether, and for one AE title at one address.
    request_s
        Seconds that a connection has to bring its association request.
    silence_s
        Seconds that a PDU may take, and that a sender may be silent in the middle of a message.
    idle_s
        Seconds that a sender may be silent between two messages.
    """

    associations: int = 25
    associations_per_peer: int = 10
    request_s: float = 10.0
    silence_s: float = 30.0
    idle_s: float = 60.0


@dataclass(frozen=True)
class Service:
    """What associations are served with.

    Attributes
    ----------
    entity
        The Application Entity; it supports what its contexts say.
    limits
        For every association.
    handlers
        Pairs of pynetdicom event and handler.
    receive
        Returns a file for a data set that is about to arrive.
    ended
        Called with each association that has ended, whatever ended it.
    """

    entity: AE
    limits: Limits
    handlers: Sequence[tuple[Any, Callable[[Any], Any]]]
    receive: Callable[[], DataSetFile]
    ended: Callable[[AcceptedAssociation], None]


class AcceptedAssociation(Association):
    """An association with a sender; a thread.

    Attributes
    ----------
    asked, connection
        What the sender asked for, and where it is.
    serving
        Whether a request is being served.
    trouble
        Why it ended, in words, unless the sender released it.
    """

    def __init__(self, service: Service, request: AssociationRequest, connection: Connection) -> None:
        entity = service.entity
        super().__init__(entity, "acceptor")
        self.service, self.asked, self.connection = service, request, connection
        self.serving = False
        self.trouble = ""
        self.dul: UpperLayer = UpperLayer(self)
        self.dimse: Messages = Messages(self)
        self.acse_timeout, self.network_timeout = entity.acse_timeout, service.limits.idle_s  # of the new upper layer
        self.set_socket(Socket(self, connection.socket, request.pdu + connection.read_ahead))
        self.requestor.address_info = AddressInformation(str(connection.address), connection.port)
        self.acceptor.ae_title = entity.ae_title
        self.acceptor.address_info = AddressInformation.from_tuple(connection.socket.getsockname())
        self.acceptor.maximum_length = entity.maximum_pdu_size
        self.acceptor.implementation_class_uid = entity.implementation_class_uid
        self.acceptor.implementation_version_name = entity.implementation_version_name
        self.acceptor.supported_contexts = _supported(entity, request)
        for event, handler in service.handlers:
            self.bind(event, handler)

    def blame(self, reason: str) -> None:
        """Note why the association ends; the first reason counts."""
        if not self.trouble:
            self.trouble = reason + (" in the middle of an image" if self.dimse.image_under_way else "")

    def hang_up(self, reason: str) -> None:
        """Abort at once, from another thread."""
        self.blame(reason)
        with contextlib.suppress(OSError):
            self.connection.socket.send(_ABORT, socket.MSG_DONTWAIT)
            self.connection.socket.shutdown(socket.SHUT_RDWR)

    def run_reactor(self) -> None:
        """Serve the association until it ends."""
        try:
            super().run_reactor()
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a sender provokes ends one association only
            self.blame(f"failed: {type(error).__name__}")
        finally:
            self._close()
            self.service.ended(self)

    def _close(self) -> None:
        self.dul.kill_dul()
        self.connection.close()
        if self.dul.is_alive():
            self.dul.join()
        self.dimse.discard()

    def _serve_request(self, msg: Any, context_id: int) -> None:
        self.serving = True
        try:
            self._serve(msg, context_id)
        finally:
            self.serving = False
            discard(msg)

    def _serve(self, message: Any, context_id: int) -> None:
        offered = isinstance(message, C_ECHO | C_STORE) and message.MessageIDBeingRespondedTo is None
        if not offered or message.MessageID is None:
            self.blame(f"sent a message that is not offered here: {message.msg_type}")
            self.abort()
        elif not _is_whole(message):
            self._refuse(message, context_id, StoreStatus.CANNOT_UNDERSTAND, "the request lacks a UID")
        elif not _fits(message):
            self._refuse(message, context_id, SOP_CLASS_NOT_SUPPORTED, "the SOP class is not offered")
        else:
            super()._serve_request(message, context_id)

    def _refuse(self, request: Any, context_id: int, status: int, reason: str) -> None:
        discard(request)
        response = type(request)()
        response.MessageIDBeingRespondedTo = request.MessageID
        response.Status, response.ErrorComment = status, reason
        log.warning("refused ae=%s status=0x%04X %s", self.asked.calling_ae, status, reason)
        self.dimse.send_msg(response, context_id)


def _is_whole(request: C_ECHO | C_STORE) -> bool:
    """Return whether a request says what it is about."""
    uids = [request.AffectedSOPClassUID] + ([request.AffectedSOPInstanceUID] if isinstance(request, C_STORE) else [])
    return bool(request.is_valid_request and all(uids))


def _fits(request: C_ECHO | C_STORE) -> bool:
    """Return whether a request's SOP class is one of its service."""
    uid = str(request.AffectedSOPClassUID)
    if isinstance(request, C_ECHO):
        return uid == VERIFICATION
    return uid_to_service_class(uid).__name__ == "StorageServiceClass"


def _supported(entity: AE, request: AssociationRequest) -> list[PresentationContext]:
    """Return the contexts of what is supported and requested: to copy all of them for each association takes long."""
    wanted = set(request.classes)
    return [context for context in entity.supported_contexts if context.abstract_syntax in wanted]
