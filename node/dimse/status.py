"""DIMSE statuses of the Storage service as data (PS3.4 table B.2-1, PS3.7 annex C)."""

from __future__ import annotations

from enum import Enum, IntEnum


class StoreStatus(IntEnum):
    """The statuses with which the node answers a C-STORE."""

    SUCCESS = 0x0000
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_MISMATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000


class Answer(Enum):
    """What a status from a PACS, or the lack of one, means for the object that was to be sent."""

    STORED = "stored"
    WARNING = "stored with a warning"
    TRY_AGAIN = "try again"
    CLASS_REFUSED = "class refused"
    """The peer does not store this SOP class; it may store another one with the same content."""
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    """The object was sent, and nobody knows whether the peer has stored it."""
    NOT_TRIED = "not tried"
    """There was no association, or no longer, in which the object could be sent."""


WARNINGS = {
    0x0001: "requested optional attributes are not supported",
    0x0107: "attribute list error",
    0x0116: "attribute value out of range",
    0xB000: "coercion of data elements",
    0xB006: "elements discarded",
    0xB007: "data set does not match SOP class",
}
"""PS3.7 C.4, PS3.4 table B.2-1: the operation is complete and the object is stored, but not quite as it was sent."""

STORED_BEFORE = 0x0111
"""PS3.7 C.5, duplicate SOP Instance: the peer has an object under this UID already.

UIDs of results are derived from what they are made of, by whom and how (`node.results.common.naming`), so nobody else
has them: the object is ours, stored in an attempt whose answer was lost.
"""

SOP_CLASS_NOT_SUPPORTED = 0x0122
"""PS3.7 C.5.19."""

FAILURES = {
    0x0105: (Answer.REFUSED, "no such attribute"),
    0x0106: (Answer.REFUSED, "invalid attribute value"),
    0x0110: (Answer.TRY_AGAIN, "processing failure"),
    0x0112: (Answer.REFUSED, "no such SOP instance"),
    0x0113: (Answer.REFUSED, "no such event type"),
    0x0114: (Answer.REFUSED, "no such argument"),
    0x0115: (Answer.REFUSED, "invalid argument value"),
    0x0117: (Answer.REFUSED, "invalid SOP instance"),
    0x0118: (Answer.CLASS_REFUSED, "no such SOP class"),
    0x0119: (Answer.REFUSED, "class-instance conflict"),
    0x0120: (Answer.REFUSED, "missing attribute"),
    0x0121: (Answer.REFUSED, "missing attribute value"),
    SOP_CLASS_NOT_SUPPORTED: (Answer.CLASS_REFUSED, "SOP class not supported"),
    0x0123: (Answer.REFUSED, "no such action"),
    0x0124: (Answer.REFUSED, "not authorised"),
    0x0210: (Answer.TRY_AGAIN, "duplicate invocation"),
    0x0211: (Answer.REFUSED, "unrecognised operation"),
    0x0212: (Answer.REFUSED, "mistyped argument"),
    0x0213: (Answer.TRY_AGAIN, "resource limitation"),
}
"""PS3.7 C.5: the object is not stored."""

UNFINISHED = {
    0xFE00: "cancelled",
    0xFF00: "pending",
    0xFF01: "pending",
}
"""PS3.7 C.2 and C.3: no C-STORE may end so (PS3.4 B.2.3); whether the object is stored is not known."""

_RANGES = (
    (0xA700, 0xA7FF, Answer.TRY_AGAIN, "out of resources"),
    (0xA900, 0xA9FF, Answer.REFUSED, "data set does not match SOP class"),
    (0xB000, 0xBFFF, Answer.WARNING, "another warning"),
    (0xC000, 0xCFFF, Answer.REFUSED, "cannot understand"),
)
"""PS3.4 table B.2-1; a PACS may define warnings of its own (PS3.7 C.4)."""


def meaning(status: int) -> tuple[Answer, str]:
    """Return what a C-STORE status means, and its description."""
    if status == 0:
        return Answer.STORED, ""
    if status == STORED_BEFORE:
        return Answer.STORED, "was there already"
    if status in WARNINGS:
        return Answer.WARNING, WARNINGS[status]
    if status in FAILURES:
        return FAILURES[status]
    if status in UNFINISHED:
        return Answer.TRY_AGAIN, UNFINISHED[status]
    ranges = ((answer, words) for first, last, answer, words in _RANGES if first <= status <= last)
    return next(ranges, (Answer.REFUSED, "unknown status"))
