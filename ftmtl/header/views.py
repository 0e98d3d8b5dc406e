"""Side, view and orientation of a mammogram: every element that names them, in order of trust (PS3.3 C.8.11.7)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pydicom.dataset import Dataset

from ftmtl.header.elements import items, text, texts
from ftmtl.header.view_codes import MODIFIER_OF_CODE, SIDE_OF_CODE, VIEW_OF_CODE

CC_FAMILY = frozenset({"CC", "XCC", "XCCL", "XCCM", "FB", "CV"})
"""Views from above or below the breast, which are displayed with the lateral side at the top."""

BOTH = "B"

_VIEW_WORD = re.compile(
    r"(?P<side>[LR])?(?P<before>[MS])?(?P<view>CC|MLO|ML|LMO|LM|XCCL|XCCM|XCC|SIO|ISO|FB|CV|SPECIMEN)"
    r"(?P<after>ID|RL|RM|RI|RS|S|M|AT|TAN|NP|AC|IMF|AX)?"
)
_MODIFIER_WORDS = {
    "SPOT": "S",
    "MAG": "M",
    "MAGN": "M",
    "MAGNIFICATION": "M",
    "MAGNIFIED": "M",
    "TAN": "TAN",
    "ID": "ID",
}
_VIEW_TEXTS = {
    "ViewPosition": "View Position",
    "PatientOrientation": "Patient Orientation",
    "AcquisitionDeviceProcessingDescription": "Acquisition Device Processing Description",
    "SeriesDescription": "Series Description",
}
TAGS = (
    "ImageLaterality", "Laterality", "SharedFunctionalGroupsSequence", "AnatomicRegionSequence", "PatientOrientation",
    "ViewCodeSequence", "ViewModifierCodeSequence", *_VIEW_TEXTS,
)  # fmt: skip
"""Elements that `read_placement` needs."""


class Said(NamedTuple):
    """What one element says: its name, and ``L``, ``R``, ``B`` or a view."""

    source: str
    value: str


Words = tuple[str, str | None, list[str], str | None]
"""The name of an element with a text, and the view, the modifiers and the side that it names."""


class Placement(NamedTuple):
    """Which breast an image shows, from where, and how it lies.

    Attributes
    ----------
    laterality
        ``L``, ``R``, ``B`` for both, or None.
    view, modifiers
        ACR codes, or the Code Meaning of modifiers that are not in CID 4015.
    directions
        The two values of Patient Orientation, or None.
    contradictions
        Sentences about elements that contradict each other.
    """

    laterality: str | None
    view: str | None
    modifiers: tuple[str, ...]
    directions: tuple[str | None, str | None]
    contradictions: tuple[str, ...]


def read_placement(ds: Dataset) -> Placement:
    """Read side, view and orientation; of elements that contradict each other the most reliable one is believed."""
    directions = _directions(ds)
    words = list(_view_words(ds))
    views, modifiers = _views(ds, words)
    view = views[0].value if views else None
    sides = [*_sides(ds), *(Said(name, side) for name, _, _, side in words if side)]
    inferred = _side_of_directions(directions, view)
    if inferred and not sides:
        sides.append(Said("Patient Orientation", inferred))
    return Placement(
        laterality=sides[0].value if sides else None,
        view=view,
        modifiers=modifiers,
        directions=directions,
        contradictions=(
            *_contradictions(sides),
            *_against_side(inferred, sides),
            *_contradictions(views),
            *_against_view(directions, view),
        ),
    )


# --- the side ----------------------------------------------------------------------------------------------


def _sides(ds: Dataset) -> Iterator[Said]:
    """Yield what each element that is made for it says of the side (PS3.3 C.8.11.7, C.7.3.1, C.7.6.16.2.8)."""
    for keyword, name in (("ImageLaterality", "Image Laterality"), ("Laterality", "Laterality")):
        if (said := text(ds, keyword).upper()) in ("L", "R", "B", "LEFT", "RIGHT", "BOTH"):
            yield Said(name, said[0])
    anatomies = [ds]
    for groups in items(ds, "SharedFunctionalGroupsSequence"):
        for anatomy in items(groups, "FrameAnatomySequence"):
            if (said := text(anatomy, "FrameLaterality").upper()) in ("L", "R", "B"):
                yield Said("Frame Laterality", said)
            anatomies.append(anatomy)
    for anatomy in anatomies:
        for region in items(anatomy, "AnatomicRegionSequence"):
            for code in (region, *items(region, "AnatomicRegionModifierSequence")):
                if side := SIDE_OF_CODE.get(text(code, "CodeValue")):
                    yield Said("Anatomic Region", side)


def _side_of_directions(directions: tuple[str | None, str | None], view: str | None) -> str | None:
    """Infer the laterality from Patient Orientation.

    The columns of a mammogram that is displayed as usual run towards the other side of the body.
    """
    row, column = directions
    if not row or not column or row[0] not in "AP":
        return None
    if view in CC_FAMILY or column[0] in "LR":
        return {("P", "L"): "R", ("A", "R"): "L"}.get((row[0], column[0]))
    return {"FL": "R", "HR": "R", "FR": "L", "HL": "L"}.get(column[:2])


def _directions(ds: Dataset) -> tuple[str | None, str | None]:
    """Return the two directions of Patient Orientation, if it has two (PS3.3 C.7.6.1.1.1)."""
    values = tuple(value.upper() for value in texts(ds, "PatientOrientation"))
    if len(values) != 2 or not all(re.fullmatch(r"[APLRHF]{1,3}", value) for value in values):
        return None, None
    return values


# --- the view ----------------------------------------------------------------------------------------------


def _views(ds: Dataset, words: Sequence[Words]) -> tuple[list[Said], tuple[str, ...]]:
    """Return what each element says of the view, most reliable first, and the modifiers."""
    views: list[Said] = []
    modifiers: list[str] = []
    for code in items(ds, "ViewCodeSequence"):
        if view := VIEW_OF_CODE.get(text(code, "CodeValue")):
            views.append(Said("View Code", view))
        modifiers += [_modifier(item) for item in items(code, "ViewModifierCodeSequence")]
    modifiers += [_modifier(item) for item in items(ds, "ViewModifierCodeSequence")]
    for name, found, more, _ in words:
        if not views or name == "View Position":
            modifiers += more  # a spot view may be coded as plain CC, with only View Position naming the spot
        if found:
            views.append(Said(name, found))
    return views, tuple(dict.fromkeys(word for word in modifiers if word))


def _modifier(code: Dataset) -> str:
    return MODIFIER_OF_CODE.get(text(code, "CodeValue")) or text(code, "CodeMeaning")


def _view_words(ds: Dataset) -> Iterator[Words]:
    """Yield what each text names that may name a view."""
    for keyword, name in _VIEW_TEXTS.items():
        values = texts(ds, keyword)
        if keyword == "PatientOrientation" and len(values) != 1:
            continue  # two directions, as the standard requires; in CBIS-DDSM a single value is the view
        yield name, *parse_view(" ".join(values))


def parse_view(words: str) -> tuple[str | None, list[str], str | None]:
    """Find view, modifiers and side in text such as ``RMLO``, ``L CC``, ``LEFT_MLO`` or ``CCID``.

    Text that names two different views has no view, and likewise for sides.
    """
    views: set[str] = set()
    sides: set[str] = set()
    modifiers: list[str] = []
    for word in re.split(r"[^A-Z0-9]+", words.upper()):
        if word in ("L", "R", "LEFT", "RIGHT"):
            sides.add(word[0])
        elif word in _MODIFIER_WORDS:
            modifiers.append(_MODIFIER_WORDS[word])
        elif match := _VIEW_WORD.fullmatch(word):
            views.add(match["view"])
            sides |= {match["side"]} - {None}
            modifiers += [part for part in (match["before"], match["after"]) if part]
    view = views.pop() if len(views) == 1 else None
    return view, modifiers, sides.pop() if len(sides) == 1 else None


# --- contradictions ----------------------------------------------------------------------------------------


def _contradictions(said: Sequence[Said]) -> Iterator[str]:
    """Yield a sentence if elements contradict the one that is believed."""
    if not said:
        return
    believed = said[0]
    others = [Said(s.source, s.value) for s in said[1:] if not _agree(believed.value, s.value)]
    if others:
        told = " and ".join(dict.fromkeys(f"{other.source} says {_word(other.value)}" for other in others))
        yield f"{believed.source} says {_word(believed.value)}, but {told}; the first was believed."


def _agree(first: str, other: str) -> bool:
    return first == other or (first in CC_FAMILY and other in CC_FAMILY)


def _word(value: str) -> str:
    return {"L": "left", "R": "right", BOTH: "both breasts"}.get(value, value)


def _against_side(inferred: str | None, sides: Sequence[Said]) -> Iterator[str]:
    """Yield a sentence if Patient Orientation is usual for the other breast."""
    if inferred and sides and sides[0].value in "LR" and sides[0].value != inferred:
        yield (
            f"{sides[0].source} says {_word(sides[0].value)}, but Patient Orientation is that of the {_word(inferred)} "
            "breast, or of an image that is turned round; the first was believed."
        )


def _against_view(directions: tuple[str | None, str | None], view: str | None) -> Iterator[str]:
    """Yield a sentence if Patient Orientation fits another kind of view (PS3.3 C.8.11.7.1.2).

    Oblique and lateral views show head and feet, cranio-caudal ones do not.
    """
    told = [direction for direction in directions if direction]
    if view is None or not told:
        return
    upright = any(direction[0] in "HF" for direction in told)
    level = not set("HF") & set("".join(told)) and bool(set("LR") & set("".join(told)))
    if upright if view in CC_FAMILY else level:
        yield f"The view is {view}, but Patient Orientation is that of another one."
