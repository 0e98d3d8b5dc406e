"""What an association request says (A-ASSOCIATE-RQ, PS3.8 9.3.2), as bytes that pynetdicom can read.

pynetdicom is stricter than the standard: it fails at items that it doesn't know, which have to be ignored (PS3.8 annex
D), and at padding. So a request is taken apart here and written anew with what the node needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

A_ASSOCIATE_RQ = 0x01
_PRESENTATION_CONTEXT, _USER_INFORMATION = 0x20, 0x50
_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0x30, 0x40
_MAXIMUM_LENGTH, _IMPLEMENTATION_CLASS, _IMPLEMENTATION_VERSION = 0x51, 0x52, 0x55
_VERSION_1 = 1
_HEADER, _ITEMS = 6, 74
"""Where the fixed part and the items of the PDU begin, in bytes (PS3.8 table 9-11)."""

_APPLICATION_CONTEXT = (0x10, b"1.2.840.10008.3.1.1.1")
_SMALLEST_PDU, _USUAL_PDU = 128, 16384
"""A sender that takes less in one PDU than the first could not be answered; one that doesn't say gets the second."""

_TITLE = re.compile(r"[ -\[\]-~]{1,16}")
_UID = re.compile(r"[0-9.]{1,64}")
_NO_UID = "0"
"""Stands for a UID that is none, so that its presentation context is refused and not the whole request."""


class InvalidRequest(ValueError):  # noqa: N818 - it names what it is
    """The bytes are no association request, in words that may be logged."""


@dataclass(frozen=True)
class AssociationRequest:
    """An association request.

    Attributes
    ----------
    calling_ae, called_ae
        Application Entity titles, without padding; empty if it is no legal title (PS3.5 6.2).
    classes
        The SOP classes that are proposed, as UIDs.
    version_1
        Whether the sender speaks version 1 of the protocol, the only one there is.
    pdu
        The request as pynetdicom can read it.
    """

    calling_ae: str
    called_ae: str
    classes: tuple[str, ...]
    version_1: bool
    pdu: bytes


def read_request(pdu: bytes) -> AssociationRequest:
    """Read a whole A-ASSOCIATE-RQ PDU.

    Raises
    ------
    InvalidRequest
        If an item is cut short, or there is no usable presentation context.
    """
    if len(pdu) < _ITEMS:
        raise InvalidRequest("the association request is too short")
    called, calling = _title(pdu[10:26]), _title(pdu[26:42])
    contexts, user_information, classes = [], b"", []
    for kind, value in _items(pdu[_ITEMS:]):
        if kind == _PRESENTATION_CONTEXT:
            sop_class, context = _context(value)
            contexts.append(_item(kind, context))
            classes.append(sop_class)
        elif kind == _USER_INFORMATION:
            user_information = _user_information(value)
    if not contexts:
        raise InvalidRequest("the association request proposes no presentation context")
    titles = (called or "ANY").ljust(16).encode() + (calling or "UNKNOWN").ljust(16).encode()
    user_information = user_information or _user_information(b"")
    items = b"".join([_item(*_APPLICATION_CONTEXT), *contexts, _item(_USER_INFORMATION, user_information)])
    body = _VERSION_1.to_bytes(2, "big") + bytes(2) + titles + bytes(32) + items
    return AssociationRequest(
        calling_ae=calling,
        called_ae=called,
        classes=tuple(classes),
        version_1=bool(int.from_bytes(pdu[_HEADER : _HEADER + 2], "big") & _VERSION_1),
        pdu=bytes([A_ASSOCIATE_RQ, 0]) + len(body).to_bytes(4, "big") + body,
    )


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each item (PS3.8 9.3.2)."""
    start = 0
    while start < len(data):
        end = start + 4 + int.from_bytes(data[start + 2 : start + 4], "big")
        if end > len(data) or len(data) - start < 4:
            raise InvalidRequest("an item of the association request is cut short")
        yield data[start], data[start + 4 : end]
        start = end


def _item(kind: int, value: bytes) -> bytes:
    return bytes([kind, 0]) + len(value).to_bytes(2, "big") + value


def _context(value: bytes) -> tuple[str, bytes]:
    """Return the SOP class of a presentation context, and its item's value anew (PS3.8 9.3.2.2)."""
    abstract, transfer = "", []
    for kind, uid in _items(value[4:]):
        if kind == _ABSTRACT_SYNTAX:
            abstract = _uid(uid) or _NO_UID
        elif kind == _TRANSFER_SYNTAX:
            transfer.append(_uid(uid) or _NO_UID)
    if not abstract or not transfer or not value[0] % 2:
        raise InvalidRequest("a presentation context of the association request is incomplete")
    syntaxes = [_item(_TRANSFER_SYNTAX, uid.encode()) for uid in transfer]
    return abstract, bytes([value[0], 0, 0, 0]) + b"".join([_item(_ABSTRACT_SYNTAX, abstract.encode()), *syntaxes])


def _user_information(value: bytes) -> bytes:
    """Return the sub-items that the node heeds; all the others are offers that it may leave unanswered (PS3.7 D.3.3).

    Negotiation of roles, of asynchronous operations and of user identity is not answered, so the defaults apply.
    """
    given = dict(_items(value))
    length = int.from_bytes(given.get(_MAXIMUM_LENGTH, _USUAL_PDU.to_bytes(4, "big")), "big")
    length = min(max(length, _SMALLEST_PDU), 0xFFFFFFFF) if length else 0  # 0: no limit
    kept = [_item(_MAXIMUM_LENGTH, length.to_bytes(4, "big"))]
    implementation = _uid(given.get(_IMPLEMENTATION_CLASS, b""))
    if implementation:
        kept.append(_item(_IMPLEMENTATION_CLASS, implementation.encode()))
    version = _title(given.get(_IMPLEMENTATION_VERSION, b""))
    if version:
        kept.append(_item(_IMPLEMENTATION_VERSION, version.encode()))
    return b"".join(kept)


def _title(value: bytes) -> str:
    """Return an AE title without its padding; empty if it is none (PS3.5 6.2)."""
    text = value.strip(b" \0").decode("ascii", "replace")
    return text if _TITLE.fullmatch(text) else ""


def _uid(value: bytes) -> str:
    """Return a UID without its padding; empty if it is none (PS3.8 annex F)."""
    text = value.strip(b" \0").decode("ascii", "replace")
    return text if _UID.fullmatch(text) else ""
