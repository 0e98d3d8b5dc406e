"""Which SOP classes are those of images (PS3.4 B.5)."""

from __future__ import annotations

_STORED_ONLY = tuple(f"1.2.840.10008.5.1.4.1.1.{family}" for family in ("88.", "66", "11.", "104.", "67", "68."))
"""Beginnings of SOP Class UIDs of objects that refer to images and are none: reports and key objects, segmentations
and registrations, presentation states, encapsulated documents, real world value maps, surfaces (PS3.4 B.5)."""


def is_image(sop_class_uid: str) -> bool:
    """Return whether objects of a SOP class are images, which a study is analysed or refused by."""
    return not sop_class_uid.startswith(_STORED_ONLY)
