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
    """What a status from a PACS means for the object that was sent."""

    STORED = "stored"
    WARNING = "stored with a warning"
    TRY_AGAIN = "try again"
    CLASS_REFUSED = "class refused"
    """The peer does not store this SOP class; it may store another one with the same content."""
    REFUSED = "refused"


WARNINGS = {
    0xB000: "coercion of data elements",
    0xB006: "elements discarded",
    0xB007: "data set does not match SOP class",
}
"""PS3.4 table B.2-1: the object is stored, but not as it was sent."""

SOP_CLASS_NOT_SUPPORTED = 0x0122
"""PS3.7 C.5.19."""

REFUSALS = {
    0x0110: "processing failure",
    0x0111: "another object is stored under this SOP Instance UID",
    0x0117: "invalid SOP instance",
    0x0124: "not authorised",
}


def meaning(status: int) -> tuple[Answer, str]:
    """Return what a C-STORE status means, and its description."""
    if status == 0:
        return Answer.STORED, ""
    if status in WARNINGS:
        return Answer.WARNING, WARNINGS[status]
    if status == SOP_CLASS_NOT_SUPPORTED:
        return Answer.CLASS_REFUSED, "SOP class not supported"
    if status >> 8 == 0xA7:
        return Answer.TRY_AGAIN, "out of resources"
    if status == 0x0110:
        return Answer.TRY_AGAIN, REFUSALS[status]
    if status >> 8 == 0xA9:
        return Answer.REFUSED, "data set does not match SOP class"
    if status >> 12 == 0xC:
        return Answer.REFUSED, "cannot understand"
    return Answer.REFUSED, REFUSALS.get(status, "refused")
