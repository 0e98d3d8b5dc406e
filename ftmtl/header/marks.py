"""What kind of image a header describes, by every element in which vendors say so.

The standard has a place for each kind: View Modifier Code, Image Type (PS3.3 C.8.11.7.1.4), Quality Control Image.
Vendors also use descriptions, the paddle's name, the magnification factor and the positioner's angles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from ftmtl.decoding.files import ODD_VALUE
from ftmtl.header.elements import items, number, text, texts
from ftmtl.header.views import BOTH, CC_FAMILY, Placement

MAGNIFIED_FROM = 1.5
"""Estimated Radiographic Magnification Factor from which an image is a magnification view."""
STEREO_DEGREES = (10.0, 25.0)
"""Angles at which the tube stands for a stereotactic pair, usually 15 degrees."""


class ImageKind(Enum):
    """A kind of image that is not an ordinary mammogram of one breast, in words."""

    BOTH_BREASTS = "an image of both breasts"
    SPOT = "a spot compression view"
    MAGNIFICATION = "a magnification view"
    TANGENTIAL = "a tangential view"
    SPECIMEN = "an image of a tissue specimen"
    STEREOTACTIC = "a stereotactic or biopsy image"
    QUALITY_CONTROL = "a quality control image"
    VOLUME = "a tomosynthesis volume"
    PROJECTION = "a tomosynthesis projection or scout"
    SYNTHETIC_2D = "a generated 2D image"
    LOW_ENERGY = "a low-energy image of a contrast-enhanced examination"
    HIGH_ENERGY = "a high-energy image of a contrast-enhanced examination"
    RECOMBINED = "a recombined or subtracted contrast image"
    CONTRAST = "an image of a contrast-enhanced examination"


class Mark(NamedTuple):
    """A kind, and the element that tells it, such as ``Image Type LOW_ENERGY``."""

    kind: ImageKind
    told_by: str


_IMAGE_TYPES = (  # beginnings of value 3 and later (PS3.3 C.8.11.7.1.4)
    (("STEREO", "PREFIRE", "POSTFIRE", "POSTBIOPSY", "BIOPSY"), ImageKind.STEREOTACTIC),
    (("GENERATED_2D", "TOMO_2D", "SYNTHETIC"), ImageKind.SYNTHETIC_2D),
    (("TOMO_PROJ", "TOMO_SCOUT"), ImageKind.PROJECTION),
    (("LOW_ENERGY",), ImageKind.LOW_ENERGY),
    (("HIGH_ENERGY",), ImageKind.HIGH_ENERGY),
    (("SUBTRACT", "RECOMBINED", "ENERGY_SUB"), ImageKind.RECOMBINED),
    (("CONTRAST", "POST_CONTRAST", "PRE_CONTRAST"), ImageKind.CONTRAST),
    (("SPECIMEN",), ImageKind.SPECIMEN),
    (("QC", "CALIBRATION", "FLAT_FIELD"), ImageKind.QUALITY_CONTROL),
)
_DERIVED_FROM_TOMO = (("TOMO", "VOLUME"), ImageKind.PROJECTION)
"""These words alone do not say that an image is a generated 2D one."""

_MODIFIERS = {"S": ImageKind.SPOT, "M": ImageKind.MAGNIFICATION, "TAN": ImageKind.TANGENTIAL}

_OF_A_REGION = {
    ImageKind.SPOT: re.compile(r"\b(SPOT\w*|CONED?)\b"),
    ImageKind.MAGNIFICATION: re.compile(r"\bMAG(N|NIF|NIFICATION|NIFIED|S|VIEWS?)?\d*X?\b"),
}
_OF_AN_EXAMINATION = {
    ImageKind.SPECIMEN: re.compile(r"\b(SPECIMENS?|EX ?VIVO)\b"),
    ImageKind.STEREOTACTIC: re.compile(
        r"\b(STEREO\w*|PRE ?FIRE|POST ?FIRE|BIOPSY|BIOPSIES|BX|LOCALI[SZ]ATION|WIRE LOC\w*|NEEDLE LOC\w*)\b"
    ),
    ImageKind.QUALITY_CONTROL: re.compile(
        r"\b(QC|QUALITY (CONTROL|ASSURANCE)|FLAT ?FIELD|PHANTOM|CALIBRATION|UNIFORMITY|CDMAM)\b"
    ),
}
_OF_AN_IMAGE = {
    **_OF_A_REGION,
    **_OF_AN_EXAMINATION,
    ImageKind.TANGENTIAL: re.compile(r"\bTAN(GENTIAL)?\b"),
    ImageKind.SYNTHETIC_2D: re.compile(
        r"\b(C ?VIEW|S ?VIEW|INSIGHT ?2D|V ?PREVIEW|INTELLIGENT ?2D|S2D|TOMO ?2D|GENERATED ?2D|SYN ?2D|SYNTH?\w*)\b"
    ),
    ImageKind.LOW_ENERGY: re.compile(r"\bLOW ?(ENERGY|KV)\b"),
    ImageKind.HIGH_ENERGY: re.compile(r"\bHIGH ?(ENERGY|KV)\b"),
    ImageKind.RECOMBINED: re.compile(r"\b(RECOMB\w*|SUBTR\w*|I ?VIEW)\b"),
    ImageKind.CONTRAST: re.compile(
        r"\b(CEM|CESM|CEDM|TICEM|SENOBRIGHT|(POST|PRE|WITH) ?CONTRAST|CONTRAST (ENHANCED|MAMMO\w*))\b"
    ),
}
_PADDLE = {
    ImageKind.SPOT: re.compile(r"SPOT|\bCONTACT\b|\bCONED?\b"),
    ImageKind.MAGNIFICATION: re.compile(r"\bMAG"),
    ImageKind.STEREOTACTIC: re.compile(r"\b(BX|BIOPSY|LOC|LOCALI[SZ]ATION|STEREO\w*)\b"),
}
_ABBREVIATED = {  # in a contrast-enhanced examination only
    ImageKind.LOW_ENERGY: re.compile(r"\bLE\b"),
    ImageKind.HIGH_ENERGY: re.compile(r"\bHE\b"),
    ImageKind.RECOMBINED: re.compile(r"\b(SUB|DES|RC)\b"),
}
_TEXTS_OF_AN_IMAGE = {
    "ViewPosition": "View Position",
    "SeriesDescription": "Series Description",
    "ProtocolName": "Protocol Name",
    "AcquisitionDeviceProcessingDescription": "Acquisition Device Processing Description",
}
_WHOLE_BREASTS = re.compile(r"\b(SCREEN\w*|BILAT\w*|BOTH|ROUTINE|FOLLOW\w*)\b")
"""An examination so described has ordinary views, too, whatever else is said of it."""

_HOLOGIC_TOMO = Tag(0x7E01, 0x0010)
_PROJECTIONS = (
    uid.BreastProjectionXRayImageStorageForPresentation,
    uid.BreastProjectionXRayImageStorageForProcessing,
)
TAGS = (
    "ImageType", "QualityControlImage", "StudyDescription", "PaddleDescription", "SpecimenDescriptionSequence",
    "EstimatedRadiographicMagnificationFactor", "DistanceSourceToDetector", "DistanceSourceToPatient",
    "PositionerPrimaryAngle", "PositionerSecondaryAngle", "ContrastBolusAgent", "ContrastBolusAgentSequence",
    "NumberOfFrames", "7E010010", *_TEXTS_OF_AN_IMAGE,
)  # fmt: skip
"""Elements that `read_marks` needs; the private one is Hologic's tomosynthesis, stored as Secondary Capture."""


def read_marks(ds: Dataset, sop_class_uid: str, frames: int, placement: Placement) -> tuple[Mark, ...]:
    """Return what a header says of the kind of image, each kind once, with the first element that tells it."""
    first: dict[ImageKind, Mark] = {}
    for mark in (
        *_tomosynthesis(ds, sop_class_uid, frames),
        *_standard(ds, placement),
        *_numbers(ds, placement.view),
        *_descriptions(ds),
    ):
        first.setdefault(mark.kind, mark)
    if ImageKind.CONTRAST in first:
        for mark in _in_texts(ds, _ABBREVIATED):
            first.setdefault(mark.kind, mark)
    if ImageKind.SYNTHETIC_2D in first:
        first.pop(ImageKind.PROJECTION, None)
    return tuple(first.values())


def _tomosynthesis(ds: Dataset, sop_class_uid: str, frames: int) -> Iterator[Mark]:
    """Tell by the SOP class; before there was one, Hologic kept volumes in private elements of a Secondary Capture."""
    if sop_class_uid == uid.BreastTomosynthesisImageStorage:
        kind = ImageKind.SYNTHETIC_2D if frames == 1 else ImageKind.VOLUME
        yield Mark(kind, f"SOP class Breast Tomosynthesis Image, {frames} frame{'s' * (frames > 1)}")
    if sop_class_uid in _PROJECTIONS:
        yield Mark(ImageKind.PROJECTION, f"SOP class {uid.UID(sop_class_uid).name}")
    try:
        if "HOLOGIC" in str(ds[_HOLOGIC_TOMO].value).upper():
            yield Mark(ImageKind.VOLUME, "private elements of Hologic")
    except ODD_VALUE:
        return


def _standard(ds: Dataset, placement: Placement) -> Iterator[Mark]:
    """Tell by the elements that the standard has for it."""
    if placement.laterality == BOTH:
        yield Mark(ImageKind.BOTH_BREASTS, "Image Laterality B")
    if text(ds, "QualityControlImage").upper() in ("YES", "BOTH"):
        yield Mark(ImageKind.QUALITY_CONTROL, "Quality Control Image")
    if placement.view == "SPECIMEN":
        yield Mark(ImageKind.SPECIMEN, "the view")
    if next(items(ds, "SpecimenDescriptionSequence"), None) is not None:
        yield Mark(ImageKind.SPECIMEN, "Specimen Description Sequence")
    for modifier in placement.modifiers:
        if modifier in _MODIFIERS:
            yield Mark(_MODIFIERS[modifier], f"view modifier {modifier}")
    words = [word.upper().replace(" ", "_") for word in texts(ds, "ImageType")[2:]]
    for beginnings, kind in (*_IMAGE_TYPES, _DERIVED_FROM_TOMO):
        for word in words:
            if word.startswith(beginnings):
                yield Mark(kind, f"Image Type {word[:16]}")
    if _was_given(ds):
        yield Mark(ImageKind.CONTRAST, "Contrast/Bolus Agent")


def _was_given(ds: Dataset) -> bool:
    """Return whether a contrast agent was given (PS3.3 C.7.6.4)."""
    named = text(ds, "ContrastBolusAgent").upper() not in ("", "NO", "NONE", "N/A", "NA", "0")
    return named or next(items(ds, "ContrastBolusAgentSequence"), None) is not None


def _numbers(ds: Dataset, view: str | None) -> Iterator[Mark]:
    """Tell by magnification and by the angles of the tube (PS3.3 C.8.11.7, C.8.7.5)."""
    factor = number(ds, "EstimatedRadiographicMagnificationFactor")
    if factor is not None and factor >= MAGNIFIED_FROM:
        yield Mark(ImageKind.MAGNIFICATION, f"Estimated Radiographic Magnification Factor {factor:g}")
    detector, patient = number(ds, "DistanceSourceToDetector"), number(ds, "DistanceSourceToPatient")
    if detector and patient and patient > 0 and detector / patient >= MAGNIFIED_FROM:
        yield Mark(ImageKind.MAGNIFICATION, f"Distance Source to Patient {patient:g} of {detector:g} mm")
    for keyword, name in (("PositionerPrimaryAngle", "Primary"), ("PositionerSecondaryAngle", "Secondary")):
        angle = number(ds, keyword)
        tilted = angle is not None and STEREO_DEGREES[0] <= abs(angle) <= STEREO_DEGREES[1]
        if tilted and (name == "Secondary" or view in CC_FAMILY):
            yield Mark(ImageKind.STEREOTACTIC, f"Positioner {name} Angle {angle:g}")


def _descriptions(ds: Dataset) -> Iterator[Mark]:
    """Tell by descriptions; of the examination's, only what holds for all of its images."""
    yield from _in_text(ds, "PaddleDescription", "Paddle Description", _PADDLE)
    yield from _in_texts(ds, _OF_AN_IMAGE)
    if not _WHOLE_BREASTS.search(_plain(ds, "StudyDescription")):
        yield from _in_text(ds, "StudyDescription", "Study Description", _OF_AN_EXAMINATION | _OF_A_REGION)


def _in_texts(ds: Dataset, patterns: dict[ImageKind, re.Pattern[str]]) -> Iterator[Mark]:
    for keyword, name in _TEXTS_OF_AN_IMAGE.items():
        yield from _in_text(ds, keyword, name, patterns)


def _in_text(ds: Dataset, keyword: str, name: str, patterns: dict[ImageKind, re.Pattern[str]]) -> Iterator[Mark]:
    """Yield the kinds that a text names; only the word itself is told, as the rest may be about the patient."""
    words = _plain(ds, keyword)
    for kind, pattern in patterns.items():
        if match := pattern.search(words):
            yield Mark(kind, f"{name} {match[0]}")


def _plain(ds: Dataset, keyword: str) -> str:
    """Return a text in capitals, with single blanks instead of anything but letters and digits."""
    return re.sub(r"[^A-Z0-9]+", " ", " ".join(texts(ds, keyword)).upper())
