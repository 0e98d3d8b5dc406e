"""What the header of a mammogram says about its acquisition: side, view, and whether it can be analysed at all.

Only the standard library, pydicom and `ftmtl.decoding` are imported. The listener uses this module to see which view
has arrived, the worker to decide what to do with the pixels, and both must get the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from ftmtl.decoding.files import ODD_VALUE as ODD_VALUE
from ftmtl.decoding.files import read
from ftmtl.view_codes import MODIFIER_OF_CODE, SIDE_OF_CODE, VIEW_OF_CODE

MG_FOR_PRESENTATION = uid.DigitalMammographyXRayImageStorageForPresentation
MG_FOR_PROCESSING = uid.DigitalMammographyXRayImageStorageForProcessing
SECONDARY_CAPTURE = uid.SecondaryCaptureImageStorage
TOMOSYNTHESIS = uid.BreastTomosynthesisImageStorage
PROJECTION = (
    uid.BreastProjectionXRayImageStorageForPresentation,
    uid.BreastProjectionXRayImageStorageForProcessing,
)

STANDARD_VIEWS = frozenset({("L", "CC"), ("R", "CC"), ("L", "MLO"), ("R", "MLO")})
"""(laterality, view) of the four images of a screening examination."""

CC_FAMILY = frozenset({"CC", "XCC", "XCCL", "XCCM", "FB", "CV"})
"""Views from above or below the breast, which are displayed with the lateral side at the top."""

_EXCLUDED_MODIFIERS = {"S": "a spot compression", "M": "a magnification", "TAN": "a tangential"}
_EXCLUDED_IMAGE_TYPES = (  # PS3.3 C.8.11.7.1.4: prefixes of value 3 and later
    (("STEREO", "PREFIRE", "POSTFIRE", "POSTBIOPSY"), "a stereotactic or biopsy image"),
    (("GENERATED_2D", "SYNTHETIC", "VOLUME"), "an image computed from tomosynthesis"),
    (("TOMO",), "a tomosynthesis projection or scout"),
    (("LOW_ENERGY", "HIGH_ENERGY"), "one energy of a contrast-enhanced examination"),
    (("SUBTRACT", "RECOMBINED", "CONTRAST", "POST_CONTRAST", "PRE_CONTRAST", "ENERGY_SUB"), "a contrast image"),
    (("SPECIMEN",), "an image of a tissue specimen"),
)
_VIEW_WORD = re.compile(
    r"(?P<side>[LR])?(?P<before>[MS])?(?P<view>CC|MLO|ML|LMO|LM|XCCL|XCCM|XCC|SIO|ISO|FB|CV|SPECIMEN)"
    r"(?P<after>ID|RL|RM|RI|RS|S|M|AT|TAN|NP|AC|IMF|AX)?"
)
_VIEW_TEXTS = ("ViewPosition", "PatientOrientation", "AcquisitionDeviceProcessingDescription", "SeriesDescription")
_MODIFIER_WORDS = {
    "SPOT": "S",
    "MAG": "M",
    "MAGN": "M",
    "MAGNIFICATION": "M",
    "MAGNIFIED": "M",
    "TAN": "TAN",
    "ID": "ID",
}
_HOLOGIC_TOMO = Tag(0x7E01, 0x0010)
HEADER_TAGS: list[str] = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "Modality",
    "ImageType",
    "PresentationIntentType",
    "QualityControlImage",
    "BurnedInAnnotation",
    "NumberOfFrames",
    "ImageLaterality",
    "Laterality",
    "SharedFunctionalGroupsSequence",
    "AnatomicRegionSequence",
    "PatientOrientation",
    "ViewCodeSequence",
    "ViewModifierCodeSequence",
    "ViewPosition",
    "AcquisitionDeviceProcessingDescription",
    "SeriesDescription",
    "7E010010",  # Hologic's tomosynthesis, stored as Secondary Capture
]
"""Elements that `read_acquisition` needs, for ``dcmread(..., specific_tags=HEADER_TAGS, stop_before_pixels=True)``."""


@dataclass(frozen=True)
class Acquisition:
    """What the header says about how an image was taken.

    Attributes
    ----------
    sop_class_uid, sop_instance_uid, study_instance_uid, modality
        As in the header; empty where absent.
    laterality
        ``L``, ``R``, or None where the header says neither or both.
    view
        ACR code, such as ``CC``, ``MLO``, ``ML``, ``LM``, ``XCCL``, or None.
    view_modifiers
        ACR codes such as ``S`` (spot), ``M`` (magnification), ``ID`` (implant displaced); the Code
        Meaning of codes that are not in CID 4015.
    row_direction, column_direction
        The two values of Patient Orientation: the direction of the rows (left to right) and of the columns (top to
        bottom), or None.
    for_processing
        True if Presentation Intent Type or the SOP class says FOR PROCESSING.
    frames
        Number of Frames, or 1 where it is absent.
    image_type
        All values of Image Type.
    tomosynthesis
        True for tomosynthesis volumes and projections, including those stored as Secondary Capture.
    quality_control
        True if Quality Control Image says that the image shows a phantom or a flat field.
    burned_in
        True if Burned In Annotation is YES.
    """

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    modality: str = ""
    laterality: str | None = None
    view: str | None = None
    view_modifiers: tuple[str, ...] = ()
    row_direction: str | None = None
    column_direction: str | None = None
    for_processing: bool = False
    frames: int = 1
    image_type: tuple[str, ...] = ()
    tomosynthesis: bool = False
    quality_control: bool = False
    burned_in: bool = False


def read_acquisition(ds: Dataset) -> Acquisition:
    """Read the acquisition from a data set; invalid, empty and damaged values are treated as absent.

    Parameters
    ----------
    ds
        The data set, or only its `HEADER_TAGS`.
    """
    sop_class = _text(ds, "SOPClassUID") or _text(getattr(ds, "file_meta", None), "MediaStorageSOPClassUID")
    directions = _directions(ds)
    view, modifiers, side_of_view = _view(ds)
    side = _laterality(ds) or side_of_view or _side_of_directions(directions, view)
    intent = _text(ds, "PresentationIntentType").upper()
    return Acquisition(
        sop_class_uid=sop_class,
        sop_instance_uid=_text(ds, "SOPInstanceUID"),
        study_instance_uid=_text(ds, "StudyInstanceUID"),
        modality=_text(ds, "Modality").upper(),
        laterality=None if side == "B" else side,
        view=view,
        view_modifiers=modifiers,
        row_direction=directions[0],
        column_direction=directions[1],
        for_processing=sop_class == MG_FOR_PROCESSING or intent == "FOR PROCESSING",
        frames=_frames(ds),
        image_type=tuple(word.upper() for word in _texts(ds, "ImageType")),
        tomosynthesis=sop_class == TOMOSYNTHESIS or sop_class in PROJECTION or _is_hologic_tomosynthesis(ds),
        quality_control=_text(ds, "QualityControlImage").upper() in ("YES", "BOTH"),
        burned_in=_text(ds, "BurnedInAnnotation").upper() == "YES",
    )


def read_header(path: Path) -> Acquisition:
    """Read the acquisition from a file's header, without its pixels.

    Raises
    ------
    InvalidDicomError
        If the file is not DICOM.
    DamagedFile
        If it can't be parsed.
    OSError
        If the file can't be read.
    """
    return read_acquisition(read(path, specific_tags=HEADER_TAGS, stop_before_pixels=True))


def why_not_analysed(acq: Acquisition, *, secondary_capture: bool = True) -> str | None:
    """Return why an image with this header is not analysed, or None if it can be.

    Parameters
    ----------
    acq
        The image's acquisition.
    secondary_capture
        Whether Secondary Capture images whose Modality is MG (digitised film) are accepted.
    """
    return _wrong_class(acq, secondary_capture) or _wrong_image(acq)


def _wrong_class(acq: Acquisition, secondary_capture: bool) -> str | None:
    """Return why the model can't read images of this SOP class (PS3.4 B.5), or None."""
    if acq.tomosynthesis:
        return "This is a tomosynthesis object; the model reads 2D mammograms only."
    if acq.for_processing:
        return "This is a raw (For Processing) image; the model reads the For Presentation image only."
    if acq.sop_class_uid == MG_FOR_PRESENTATION:
        return None
    if acq.sop_class_uid != SECONDARY_CAPTURE:
        what = f"of modality {acq.modality}" if acq.modality else f"of SOP class {acq.sop_class_uid or 'unknown'}"
        return f"This is not a mammogram but an object {what}."
    if acq.modality != "MG":
        return f"This is a secondary capture of modality {acq.modality or 'unknown'}, not a mammogram."
    if not secondary_capture:
        return "This is a secondary capture, and this node is set to ignore those."
    if acq.burned_in:
        return "Annotations are burned into this secondary capture."
    return None


def _wrong_image(acq: Acquisition) -> str | None:
    """Return why a mammogram is unlike those that the model was trained on (PS3.3 C.8.11.7), or None."""
    if acq.frames > 1:
        return f"This image has {acq.frames} frames; the model reads single-frame mammograms only."
    if acq.quality_control:
        return "This is a quality control image, not a patient's."
    if acq.view == "SPECIMEN":
        return "This is an image of a tissue specimen."
    for modifier in acq.view_modifiers:
        if modifier in _EXCLUDED_MODIFIERS:
            return f"This is {_EXCLUDED_MODIFIERS[modifier]} view; the model reads whole-breast views only."
    for word in acq.image_type[2:]:
        for beginnings, what in _EXCLUDED_IMAGE_TYPES:
            if word.startswith(beginnings):
                return f"This is {what} (Image Type {word}), not an ordinary mammogram."
    return None


def _texts(ds: Dataset | None, keyword: str) -> tuple[str, ...]:
    """Return an element's values as stripped text, including empty ones; an unreadable element has no values."""
    if ds is None:
        return ()
    try:
        value = ds.get(keyword)
        if value is None or isinstance(value, (Sequence, Dataset, bytes)):
            return ()
        values = value if isinstance(value, (MultiValue, list, tuple)) else [value]
        return tuple(str(item).replace("\0", "").strip() for item in values)
    except ODD_VALUE:
        return ()


def _text(ds: Dataset | None, keyword: str) -> str:
    """Return the value of an element that has exactly one, otherwise an empty string."""
    values = _texts(ds, keyword)
    return values[0] if len(values) == 1 else ""


def _items(ds: Dataset, keyword: str) -> Iterator[Dataset]:
    try:
        value = ds.get(keyword)
        items = list(value) if isinstance(value, (Sequence, list)) else []
    except ODD_VALUE:
        return
    yield from (item for item in items if isinstance(item, Dataset))


def _frames(ds: Dataset) -> int:
    try:
        return max(1, int(float(_text(ds, "NumberOfFrames"))))
    except (ValueError, OverflowError):
        return 1


def _is_hologic_tomosynthesis(ds: Dataset) -> bool:
    """Return whether this is a volume that Hologic stored in private elements of a Secondary Capture.

    It did so before the tomosynthesis SOP class existed.
    """
    try:
        return "HOLOGIC" in str(ds[_HOLOGIC_TOMO].value).upper()
    except ODD_VALUE:
        return False


def _directions(ds: Dataset) -> tuple[str | None, str | None]:
    """Return the two directions of Patient Orientation, if it has two (PS3.3 C.7.6.1.1.1)."""
    values = tuple(value.upper() for value in _texts(ds, "PatientOrientation"))
    if len(values) != 2 or not all(re.fullmatch(r"[APLRHF]{1,3}", value) for value in values):
        return None, None
    return values


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


def _laterality(ds: Dataset) -> str | None:
    """Return the laterality from the first element that has one: ``L``, ``R`` or ``B`` (PS3.3 C.8.11.7, C.7.3.1)."""
    anatomies = [ds]
    for keyword in ("ImageLaterality", "Laterality"):
        if (said := _text(ds, keyword).upper()) in ("L", "R", "B", "LEFT", "RIGHT", "BOTH"):
            return said[0]
    for groups in _items(ds, "SharedFunctionalGroupsSequence"):
        for anatomy in _items(groups, "FrameAnatomySequence"):
            if (said := _text(anatomy, "FrameLaterality").upper()) in ("L", "R", "B"):
                return said
            anatomies.append(anatomy)
    for anatomy in anatomies:
        for region in _items(anatomy, "AnatomicRegionSequence"):
            modifiers = _items(region, "AnatomicRegionModifierSequence")
            for code in (region, *modifiers):
                if side := SIDE_OF_CODE.get(_text(code, "CodeValue")):
                    return side
    return None


def _view(ds: Dataset) -> tuple[str | None, tuple[str, ...], str | None]:
    """Return (view, modifiers, side named along with the view) from the most reliable element that names a view."""
    view, modifiers = None, []
    for code in _items(ds, "ViewCodeSequence"):
        view = view or VIEW_OF_CODE.get(_text(code, "CodeValue"))
        modifiers += [_modifier(item) for item in _items(code, "ViewModifierCodeSequence")]
    modifiers += [_modifier(item) for item in _items(ds, "ViewModifierCodeSequence")]
    side = None
    for keyword in _VIEW_TEXTS:
        texts = _texts(ds, keyword)
        if keyword == "PatientOrientation" and len(texts) != 1:
            continue  # two directions, as the standard requires; in CBIS-DDSM a single value is the view
        found, words, also = _parse_view(" ".join(texts))
        if view is None or keyword == "ViewPosition":
            modifiers += words  # a spot view may be coded as plain CC, with only View Position naming the spot
        view, side = view or found, side or also
    return view, tuple(dict.fromkeys(word for word in modifiers if word)), side


def _modifier(code: Dataset) -> str:
    return MODIFIER_OF_CODE.get(_text(code, "CodeValue")) or _text(code, "CodeMeaning")


def _parse_view(text: str) -> tuple[str | None, list[str], str | None]:
    """Find view, modifiers and side in text such as ``RMLO``, ``L CC``, ``LEFT_MLO`` or ``CCID``.

    Text that names two different views has no view, and likewise for sides.
    """
    views: set[str] = set()
    sides: set[str] = set()
    modifiers: list[str] = []
    for word in re.split(r"[^A-Z0-9]+", text.upper()):
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
