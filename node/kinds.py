"""The kinds of result objects: one table, a row per kind, in the order of sending.

The table says everything that the rest of the node needs to know of a kind without making an object of it. It
imports no builder: a row names the room that has one, and `node.results.build` imports that room when it is asked
for the first object. A new kind is a new row here and a room (or a builder in an existing room), nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydicom import uid

LabelMapSegmentationStorage = uid.UID("1.2.840.10008.5.1.4.1.1.66.7")
"""PS3.4 B.5; pydicom 3.0 has no name for it."""


class ObjectKind(StrEnum):
    """What a result object is, in the order of sending: a report comes after the objects that it refers to.

    The values are the names in the configuration, in the ledger and in ``summary.json``.
    """

    SEG = "seg"
    SEG_FRACTIONAL = "seg-fractional"
    SEG_LABELMAP = "seg-labelmap"
    SEG_OHIF = "seg-ohif"
    SR = "sr"
    SR_COMPREHENSIVE = "sr-comprehensive"
    SR_OHIF = "sr-ohif"
    CAD = "cad"
    PR = "pr"
    SC = "sc"

    @property
    def place(self) -> int:
        """Its place in the order of sending, from 0."""
        return list(ObjectKind).index(self)

    @property
    def row(self) -> Row:
        """Its row of the table."""
        return KINDS[self]

    @property
    def fallback(self) -> ObjectKind | None:
        """The kind that is sent instead to a destination that refuses its SOP class, or None."""
        return self.row.fallback


@dataclass(frozen=True)
class Row:
    """What there is to know of a kind.

    Attributes
    ----------
    room
        The package of its builder and its checks: ``build.make`` and ``check.faults``, as `node.results.study`
        describes them.
    sop_classes
        SOP Class UIDs that its objects may have (PS3.4 B.5); which one of several depends on the findings.
    series_number
        Series Number of its object, or of the first one where there is one per image; these are 1,000 apart, so that
        no two kinds meet in a study of fewer images.
    fallback
        The kind that is sent instead to a destination that refuses the SOP class, or None.
    refers_to
        The kind whose objects it refers to, so that a destination needs both, or None.
    profile, stands_for
        The viewer's profile in which it replaces another kind, and which.
    selectable
        Whether a configuration may name it. The others come with a profile or as a fallback.
    """

    room: str
    sop_classes: tuple[str, ...]
    series_number: int
    fallback: ObjectKind | None = None
    refers_to: ObjectKind | None = None
    profile: str = ""
    stands_for: ObjectKind | None = None
    selectable: bool = True


_K = ObjectKind

KINDS: Mapping[ObjectKind, Row] = {
    _K.SEG: Row("node.results.seg", (uid.SegmentationStorage,), 901, fallback=_K.PR),
    _K.SEG_FRACTIONAL: Row("node.results.seg", (uid.SegmentationStorage,), 1901, fallback=_K.PR),
    _K.SEG_LABELMAP: Row("node.results.seg", (LabelMapSegmentationStorage,), 2901, fallback=_K.SEG),
    _K.SEG_OHIF: Row(
        "node.results.seg",
        (uid.SegmentationStorage, LabelMapSegmentationStorage),
        3901,
        fallback=_K.PR,
        profile="ohif",
        stands_for=_K.SEG,
        selectable=False,
    ),
    _K.SR: Row("node.results.sr", (uid.Comprehensive3DSRStorage,), 900, _K.SR_COMPREHENSIVE, refers_to=_K.SEG),
    _K.SR_COMPREHENSIVE: Row(
        "node.results.sr", (uid.ComprehensiveSRStorage,), 900, _K.CAD, refers_to=_K.SEG, selectable=False
    ),
    _K.SR_OHIF: Row(
        "node.results.sr",
        (uid.Comprehensive3DSRStorage,),
        4901,
        fallback=_K.SC,
        refers_to=_K.SEG_OHIF,
        profile="ohif",
        stands_for=_K.SR,
        selectable=False,
    ),
    _K.CAD: Row("node.results.cad", (uid.MammographyCADSRStorage,), 899, fallback=_K.SC),
    _K.PR: Row("node.results.pr", (uid.GrayscaleSoftcopyPresentationStateStorage,), 5901, fallback=_K.SC),
    _K.SC: Row("node.results.sc", (uid.SecondaryCaptureImageStorage,), 898),
}

CHOICES = tuple(kind for kind in ObjectKind if kind.row.selectable)
"""Kinds that a configuration may name."""

DEFAULT_OBJECTS = (ObjectKind.SEG, ObjectKind.SR)

PROFILES = ("", *dict.fromkeys(row.profile for row in KINDS.values() if row.profile))
"""Names of the profiles: viewers that need something in place of the plain kinds."""


def room_of(sop_class_uid: str) -> str | None:
    """Return the room that checks objects of a SOP class, or None if no kind is of that class."""
    return next((row.room for row in KINDS.values() if sop_class_uid in row.sop_classes), None)


def object_kinds(names: Iterable[str], profile: str = "") -> tuple[ObjectKind, ...]:
    """Return the kinds that a configuration asks for, each once, in the order of sending.

    Raises
    ------
    ValueError
        If a name or the profile is unknown, no kind is named, or one is named without the kind that it refers to.
    """
    asked = list(names)
    unknown = [name for name in asked if name not in CHOICES]
    if unknown or not asked:
        fault = f"{unknown[0]!r} is not a kind of object" if unknown else "no kind of object is named"
        raise ValueError(f"{fault}; choose from {', '.join(CHOICES)}")
    plain = {ObjectKind(name) for name in asked}
    for kind in plain:
        needed = kind.row.refers_to
        if needed is not None and needed not in plain:
            raise ValueError(f"{kind.value!r} refers to the masks of {needed.value!r}: name both")
    if profile not in PROFILES:
        known = ", ".join(repr(name) for name in PROFILES if name)
        raise ValueError(f"there is no profile {profile!r}; choose from {known}")
    instead = {row.stands_for: kind for kind, row in KINDS.items() if row.profile == profile and row.stands_for}
    return tuple(sorted({instead.get(kind, kind) for kind in plain}, key=lambda kind: kind.place))
