"""The kinds of result objects: one table with a row per kind, in sending order.

The table holds everything that the rest of the node needs to know about a kind without building an object. It
imports no builder: a row names the package that has one, and `node.results.study` imports that package when the
first object is requested. A new kind needs a row here and a package (or a builder in an existing one), nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

# SOP Class UIDs of PS3.4 B.5, written out: importing pydicom for them would double the time that a command such as
# `ftmtl jobs list` needs to start.
_Segmentation = "1.2.840.10008.5.1.4.1.1.66.4"
_Comprehensive3DSR = "1.2.840.10008.5.1.4.1.1.88.34"
_ComprehensiveSR = "1.2.840.10008.5.1.4.1.1.88.33"
_MammographyCADSR = "1.2.840.10008.5.1.4.1.1.88.50"
_GrayscaleSoftcopyPresentationState = "1.2.840.10008.5.1.4.1.1.11.1"
_SecondaryCaptureImage = "1.2.840.10008.5.1.4.1.1.7"

LabelMapSegmentationStorage = "1.2.840.10008.5.1.4.1.1.66.7"
"""PS3.4 B.5; pydicom 3.0 has no name for it."""


class ObjectKind(StrEnum):
    """The kind of a result object, in sending order: a report comes after the objects that it refers to.

    The values are the names used in the configuration, in the ledger and in ``summary.json``.
    """

    SEG = "seg"
    SEG_FRACTIONAL = "seg-fractional"
    SEG_LABELMAP = "seg-labelmap"
    SEG_OHIF = "seg-ohif"
    SR = "sr"
    SR_COMPREHENSIVE = "sr-comprehensive"
    SR_OHIF = "sr-ohif"
    CAD = "cad"
    CAD_DENSITY = "cad-density"
    PR = "pr"
    SC = "sc"

    @property
    def place(self) -> int:
        """Position in the sending order, from 0."""
        return list(ObjectKind).index(self)

    @property
    def row(self) -> Row:
        """The kind's row in the table."""
        return KINDS[self]

    @property
    def fallback(self) -> ObjectKind | None:
        """The kind that is sent instead to a destination that refuses this kind's SOP class, or None."""
        return self.row.fallback


@dataclass(frozen=True)
class Row:
    """Everything that the node needs to know about a kind.

    Attributes
    ----------
    title
        Its name in documents.
    room
        The package with its builder and its checks: ``build.make`` and ``check.faults``, as described in
        `node.results.study`.
    sop_classes
        SOP Class UIDs that its objects may have (PS3.4 B.5). If there are several, the findings decide between them.
    series_number
        Series Number of its object, or of the first one if there is one per image. Kinds with one series per image
        start 1,000 apart, so that no two of them collide in a study with fewer images.
    fallback
        The kind that is sent instead to a destination that refuses the SOP class, or None.
    refers_to
        The kind that its objects refer to, so that a destination needs both, or None.
    profile, map_distortion, stands_for
        The viewer profile, or what distortions are coded as, for which it replaces another kind; and that kind.
    selectable
        Whether a configuration may name it. Other kinds come with such a setting or as a fallback.
    """

    title: str
    room: str
    sop_classes: tuple[str, ...]
    series_number: int
    fallback: ObjectKind | None = None
    refers_to: ObjectKind | None = None
    profile: str = ""
    map_distortion: str = ""
    stands_for: ObjectKind | None = None
    selectable: bool = True


_K = ObjectKind

_SEG, _SR = "node.results.seg", "node.results.sr"

KINDS: Mapping[ObjectKind, Row] = {
    _K.SEG: Row("Segmentation, masks", _SEG, (_Segmentation,), 901, _K.PR),
    _K.SEG_FRACTIONAL: Row("Segmentation, scores by pixel", _SEG, (_Segmentation,), 1901, _K.PR),
    _K.SEG_LABELMAP: Row("Label Map Segmentation", _SEG, (LabelMapSegmentationStorage,), 2901, _K.SEG),
    _K.SEG_OHIF: Row(
        "Segmentation for OHIF",
        _SEG,
        (_Segmentation, LabelMapSegmentationStorage),
        3901,
        _K.PR,
        profile="ohif",
        stands_for=_K.SEG,
        selectable=False,
    ),
    _K.SR: Row("Measurement report", _SR, (_Comprehensive3DSR,), 900, _K.SR_COMPREHENSIVE, refers_to=_K.SEG),
    _K.SR_COMPREHENSIVE: Row(
        "Measurement report, where Comprehensive 3D SR is refused",
        _SR,
        (_ComprehensiveSR,),
        900,
        _K.CAD,
        refers_to=_K.SEG,
        selectable=False,
    ),
    _K.SR_OHIF: Row(
        "Measurement report for OHIF",
        _SR,
        (_Comprehensive3DSR,),
        4901,
        _K.SC,
        refers_to=_K.SEG_OHIF,
        profile="ohif",
        stands_for=_K.SR,
        selectable=False,
    ),
    _K.CAD: Row("Mammography CAD report", "node.results.cad", (_MammographyCADSR,), 899, _K.SC),
    _K.CAD_DENSITY: Row(
        "Mammography CAD report, distortions coded as densities",
        "node.results.cad",
        (_MammographyCADSR,),
        897,
        _K.SC,
        map_distortion="density",
        stands_for=_K.CAD,
        selectable=False,
    ),
    _K.PR: Row("Presentation state", "node.results.pr", (_GrayscaleSoftcopyPresentationState,), 5901, _K.SC),
    _K.SC: Row("Summary page", "node.results.sc", (_SecondaryCaptureImage,), 898),
}

REPORTS: Mapping[ObjectKind, tuple[ObjectKind, ...]] = {
    _K.SR: (_K.SR, _K.SR_COMPREHENSIVE),
    _K.CAD: (_K.CAD,),
    _K.CAD_DENSITY: (_K.CAD_DENSITY,),
}
"""Reports of a study, each of which names the one that it replaces, and the forms in which they are sent."""

CHOICES = tuple(kind for kind in ObjectKind if kind.row.selectable)
"""Kinds that a configuration may name."""

DEFAULT_OBJECTS = (ObjectKind.SEG, ObjectKind.SR)

PROFILES = ("", *dict.fromkeys(row.profile for row in KINDS.values() if row.profile))
"""Names of the profiles, for viewers that need other objects in place of the plain kinds."""

DISTORTION_MAPPINGS = ("", *dict.fromkeys(row.map_distortion for row in KINDS.values() if row.map_distortion))
"""What architectural distortions may be coded as, for workstations that do not draw them."""


def room_of(sop_class_uid: str) -> str | None:
    """Return the package that checks objects of a SOP class, or None if no kind has that class."""
    return next((row.room for row in KINDS.values() if sop_class_uid in row.sop_classes), None)


def object_kinds(names: Iterable[str], profile: str = "", map_distortion: str = "") -> tuple[ObjectKind, ...]:
    """Return the kinds that a configuration asks for, each once, in sending order.

    Raises
    ------
    ValueError
        If a name, the profile or the mapping is unknown, no kind is named, one is named without the kind that it refers
        to, or distortions are mapped although no kind that is named has codes for them.
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
    for value, choices, what in (
        (profile, PROFILES, "a profile"),
        (map_distortion, DISTORTION_MAPPINGS, "what distortions may be mapped to"),
    ):
        if value not in choices:
            raise ValueError(f"{value!r} is not {what}; choose from {', '.join(repr(c) for c in choices if c)}")
    mapped = {row.stands_for: kind for kind, row in KINDS.items() if row.map_distortion and row.stands_for}
    if map_distortion and not plain & mapped.keys():
        raise ValueError(f"distortions are mapped in {', '.join(map(repr, map(str, mapped)))} only: name it, too")
    settings = {(profile, ""), ("", map_distortion)} - {("", "")}
    instead = {
        row.stands_for: kind
        for kind, row in KINDS.items()
        if row.stands_for and (row.profile, row.map_distortion) in settings
    }
    return tuple(sorted({instead.get(kind, kind) for kind in plain}, key=lambda kind: kind.place))


def fallback_for(refused: ObjectKind, wanted: Iterable[ObjectKind]) -> ObjectKind | None:
    """Return the kind that is sent instead of a refused one to a destination that wants these kinds, or None.

    A destination for which distortions are mapped gets no report in which they are not.
    """
    fallback = refused.fallback
    mapped = (kind for kind in wanted if kind.row.map_distortion and kind.row.stands_for is fallback)
    return next(mapped, fallback)
