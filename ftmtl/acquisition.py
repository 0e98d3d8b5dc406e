"""What the header of a mammogram says of its acquisition: side, view, and whether it can be analysed at all.

Standard library and pydicom only: the listener's side asks it which view arrived, the worker's
side what to make of the pixels, and both must hear the same answer.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import Tag

MG_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
MG_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
PROJECTION = ("1.2.840.10008.5.1.4.1.1.13.1.4", "1.2.840.10008.5.1.4.1.1.13.1.5")

STANDARD_VIEWS = frozenset({("L", "CC"), ("R", "CC"), ("L", "MLO"), ("R", "MLO")})
"""(laterality, view) of the four images of a screening examination."""

CC_FAMILY = frozenset({"CC", "XCC", "XCCL", "XCCM", "FB", "CV"})
"""Views that show the breast from above or below, so that lateral hangs at the top."""

_VIEW_CODES = {  # CID 4014 View for Mammography: SCT, then the SRT (SNM3) codes that it replaced
    "CC": ("399162004", "R-10242"),
    "MLO": ("399368009", "R-10226"),
    "ML": ("399260004", "R-10224"),
    "LM": ("399352003", "R-10228"),
    "LMO": ("399099002", "R-10230"),
    "SIO": ("399188001", "R-102D0"),
    "ISO": ("441555000", "R-40AAA"),
    "FB": ("399196006", "R-10244"),
    "XCCL": ("399192008", "R-1024A"),
    "XCCM": ("399101009", "R-1024B"),
    "SPECIMEN": ("127457009", "G-8310"),
}
_MODIFIER_CODES = {  # CID 4015 View Modifier for Mammography
    "AC": ("441752004", "P2-00161"),
    "AT": ("399011000", "R-102D1"),
    "AX": ("442580003", "R-40AB2"),
    "CV": ("399161006", "R-102D2"),
    "ID": ("399209000", "R-102D5"),
    "IMF": ("442593008", "R-40ABE"),
    "M": ("399163009", "R-102D6"),
    "NP": ("442581004", "R-40AB3"),
    "RI": ("414493004", "R-102CA"),
    "RL": ("399197002", "R-102D3"),
    "RM": ("399226006", "R-102D4"),
    "RS": ("415670009", "R-102C9"),
    "S": ("399055006", "R-102D7"),
    "TAN": ("399110001", "R-102C2"),
}
_SIDE_CODES = {"L": ("80248007", "T-04030", "7771000", "G-A101"), "R": ("73056007", "T-04020", "24028007", "G-A100")}


def _by_code(table: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {code: name for name, codes in table.items() for code in codes}


_VIEW_OF_CODE = _by_code(_VIEW_CODES)
_MODIFIER_OF_CODE = _by_code(_MODIFIER_CODES)
_SIDE_OF_CODE = _by_code(_SIDE_CODES)

_EXCLUDED_MODIFIERS = {"S": "a spot compression", "M": "a magnification", "TAN": "a tangential"}
_EXCLUDED_IMAGE_TYPES = (  # PS3.3 C.8.11.7.1.4: how value 3 and later begin
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
ODD_VALUE = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pydicom and its decoders raise over elements that break the standard."""

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
    "7E010010",  # Hologic's tomosynthesis in disguise
]
"""What `read_acquisition` reads: ``dcmread(..., specific_tags=HEADER_TAGS, stop_before_pixels=True)`` is enough."""


@dataclass(frozen=True)
class Acquisition:
    """What the header says of how one image was taken.

    Attributes
    ----------
    sop_class_uid, sop_instance_uid, study_instance_uid, modality
        As in the header; empty where absent.
    laterality
        ``L``, ``R``, or None where the header does not tell or says both.
    view
        ACR code, such as ``CC``, ``MLO``, ``ML``, ``LM``, ``XCCL``, or None.
    view_modifiers
        ACR codes such as ``S`` (spot), ``M`` (magnification), ``ID`` (implant displaced); the code's
        meaning where it is not in CID 4015.
    row_direction, column_direction
        The two values of PatientOrientation: where a row runs (left to right), and a column (down); or None.
    for_processing
        True if Presentation Intent Type or the SOP class says FOR PROCESSING.
    frames
        Number of Frames, 1 where absent.
    image_type
        All values of ImageType.
    tomosynthesis
        True for tomosynthesis volumes and projections, those that are disguised as Secondary Capture too.
    quality_control
        True if Quality Control Image says that this is a phantom or flat field.
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
    """Read what `ds` says of its acquisition; odd, empty and damaged values count as absent.

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
    """Read what a file's header says; its pixels are left alone.

    Raises
    ------
    InvalidDicomError
        If the file is not DICOM.
    OSError
        If it can't be read.
    """
    return read_acquisition(dcmread(path, specific_tags=HEADER_TAGS, stop_before_pixels=True))


def why_not_analysed(acq: Acquisition, *, secondary_capture: bool = True) -> str | None:
    """Say why an image with this header is not analysed, or None if it may be.

    Parameters
    ----------
    acq
        What the header says.
    secondary_capture
        Whether Secondary Capture images whose Modality is MG (digitised film) are accepted.
    """
    return _wrong_class(acq, secondary_capture) or _wrong_image(acq)


def _wrong_class(acq: Acquisition, secondary_capture: bool) -> str | None:
    """PS3.4 B.5: which SOP classes hold an image that the model can read."""
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
    """PS3.3 C.8.11.7: which mammograms are unlike those that the model was trained on."""
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
    """Return the element's values as stripped text, empty ones kept; an unreadable element has none."""
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
    """Return the element's only value, else an empty string."""
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
    """Before the tomosynthesis SOP class existed, Hologic kept volumes in private elements of a Secondary Capture."""
    try:
        return "HOLOGIC" in str(ds[_HOLOGIC_TOMO].value).upper()
    except ODD_VALUE:
        return False


def _directions(ds: Dataset) -> tuple[str | None, str | None]:
    """Patient Orientation, if it holds two directions (PS3.3 C.7.6.1.1.1)."""
    values = tuple(value.upper() for value in _texts(ds, "PatientOrientation"))
    if len(values) != 2 or not all(re.fullmatch(r"[APLRHF]{1,3}", value) for value in values):
        return None, None
    return values


def _side_of_directions(directions: tuple[str | None, str | None], view: str | None) -> str | None:
    """Infer the side from Patient Orientation: down a mammogram that hangs as usual is towards the other side."""
    row, column = directions
    if not row or not column or row[0] not in "AP":
        return None
    if view in CC_FAMILY or column[0] in "LR":
        return {("P", "L"): "R", ("A", "R"): "L"}.get((row[0], column[0]))
    return {"FL": "R", "HR": "R", "FR": "L", "HL": "L"}.get(column[:2])


def _laterality(ds: Dataset) -> str | None:
    """Return the first side that an element names, or ``B`` (PS3.3 C.8.11.7, C.7.3.1)."""
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
                if side := _SIDE_OF_CODE.get(_text(code, "CodeValue")):
                    return side
    return None


def _view(ds: Dataset) -> tuple[str | None, tuple[str, ...], str | None]:
    """Return (view, modifiers, side named together with the view), from the best source that names a view."""
    view, modifiers = None, []
    for code in _items(ds, "ViewCodeSequence"):
        view = view or _VIEW_OF_CODE.get(_text(code, "CodeValue"))
        modifiers += [_modifier(item) for item in _items(code, "ViewModifierCodeSequence")]
    modifiers += [_modifier(item) for item in _items(ds, "ViewModifierCodeSequence")]
    side = None
    for keyword in _VIEW_TEXTS:
        texts = _texts(ds, keyword)
        if keyword == "PatientOrientation" and len(texts) != 1:
            continue  # two directions, as it should be; a single value is CBIS-DDSM's view
        found, words, also = _parse_view(" ".join(texts))
        if view is None or keyword == "ViewPosition":
            modifiers += words  # a spot view may be coded as plain CC, and only the position says so
        view, side = view or found, side or also
    return view, tuple(dict.fromkeys(word for word in modifiers if word)), side


def _modifier(code: Dataset) -> str:
    return _MODIFIER_OF_CODE.get(_text(code, "CodeValue")) or _text(code, "CodeMeaning")


def _parse_view(text: str) -> tuple[str | None, list[str], str | None]:
    """Find the view in words such as ``RMLO``, ``L CC``, ``LEFT_MLO`` or ``CCID``; two views or two sides are none."""
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
