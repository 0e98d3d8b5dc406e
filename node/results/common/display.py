"""How a source image is displayed, for an object that has to repeat it (PS3.4 N.2).

The transformations of a presentation state replace the image's own, and an absent one means identity even if
the image has it. So everything that determines how the image looks has to be repeated: modality LUT, VOI LUT,
polarity, shutter, and the shape of the pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag, Tag

LUTS = ("ModalityLUTSequence", "VOILUTSequence")
"""Sequences of which :func:`first_lut` copies the first item."""

SHUTTER_SHAPES = {
    "RECTANGULAR": (
        "ShutterLeftVerticalEdge", "ShutterRightVerticalEdge", "ShutterUpperHorizontalEdge",
        "ShutterLowerHorizontalEdge",
    ),
    "CIRCULAR": ("CenterOfCircularShutter", "RadiusOfCircularShutter"),
    "POLYGONAL": ("VerticesOfThePolygonalShutter",),
}  # fmt: skip
"""The attributes that describe each shape of a display shutter (PS3.3 C.7.6.11)."""

SHUTTER = ("ShutterShape", *(keyword for of in SHUTTER_SHAPES.values() for keyword in of), "ShutterPresentationValue")
"""Attributes of the Display Shutter Module."""

ATTRIBUTES = (
    "PhotometricInterpretation", "PresentationLUTShape", "PixelRepresentation", "PixelAspectRatio",
    "RescaleIntercept", "RescaleSlope", "RescaleType", "WindowCenter", "WindowWidth", "VOILUTFunction",
    *SHUTTER,
)  # fmt: skip
"""Attributes, in addition to the sequences, that a normalised header carries for this module."""

_DESCRIPTOR, _DATA = Tag("LUTDescriptor"), Tag("LUTData")


def first_lut(source: Dataset, keyword: str) -> Dataset | None:
    """Return the first item of a LUT sequence, reduced to the table (PS3.3 C.11.1.1, C.11.2.1.1).

    Parameters
    ----------
    source
        The image as it was read; its tables may be US, SS, OW or, in Implicit VR, undeclared.
    keyword
        One of :data:`LUTS`.

    Returns
    -------
    Dataset or None
        LUT Descriptor, LUT Data as OW, little-endian, and for a modality LUT its type; None if there is no
        table, or descriptor and data do not match.
    """
    sequence = source.get(keyword)
    if not isinstance(sequence, Items) or not sequence:
        return None
    item = sequence[0]
    descriptor, data = _words(item, _DESCRIPTOR), _words(item, _DATA)
    if len(descriptor) != 3:
        return None
    entries, first, bits = (int(word) for word in descriptor)
    if not 8 <= bits <= 16 or len(data) not in ((entries or 65536), -(-entries // 2) if bits == 8 else -1):
        return None
    lut = Dataset()
    if first > 32767 and _is_signed(source, item):
        entries, first = entries - 65536 if entries > 32767 else entries, first - 65536
    lut.add_new(_DESCRIPTOR, "SS" if first < 0 else "US", [entries, first, bits])
    lut.add_new(_DATA, "OW", data.astype("<u2").tobytes())
    if keyword == "ModalityLUTSequence":
        lut.ModalityLUTType = "US"
    return lut


def _words(item: Dataset, tag: BaseTag) -> NDArray[np.uint16]:
    """Return an element's 16-bit words; an empty array if it is absent or has another form."""
    element = item.get_item(tag)
    value: Any = element.value if element is not None else None
    if isinstance(value, bytes):
        little = not isinstance(element, RawDataElement) or element.is_little_endian
        return np.frombuffer(value[: len(value) // 2 * 2], dtype="<u2" if little else ">u2").astype(np.uint16)
    try:
        return (np.atleast_1d(np.asarray(value, dtype=np.int64)) & 0xFFFF).astype(np.uint16)
    except (TypeError, ValueError):
        return np.zeros(0, dtype=np.uint16)


def _is_signed(source: Dataset, item: Dataset) -> bool:
    """Return whether the second value of a LUT Descriptor is signed: by its VR, else like the pixels."""
    declared = getattr(item.get_item(_DESCRIPTOR), "VR", None)
    return declared == "SS" or (declared != "US" and source.get("PixelRepresentation") == 1)


def transformations(source: Dataset) -> Dataset:
    """Return the modules of a Grayscale Softcopy Presentation State that make an image look as it does on its own.

    Parameters
    ----------
    source
        Normalised header of the image (:func:`node.results.common.source.read_source`).

    Returns
    -------
    Dataset
        Modality LUT, Softcopy VOI LUT (PS3.3 C.11.8; the VOI LUT if there is one, else the first window),
        Presentation State Shutter (C.11.12), Softcopy Presentation LUT (C.11.6) and Displayed Area (C.10.4).
        Whatever the image does not have is absent.
    """
    ds = _modality_lut(source)
    voi = _voi_lut(source)
    if voi:
        ds.SoftcopyVOILUTSequence = Items([voi])
    ds.update(_shutter(source))
    ds.PresentationLUTShape = "INVERSE" if _is_inverse(source) else "IDENTITY"
    ds.DisplayedAreaSelectionSequence = Items([_displayed_area(source)])
    return ds


def _modality_lut(source: Dataset) -> Dataset:
    """Return the table, or slope and intercept; one of them alone counts as neither (PS3.3 C.11.1)."""
    ds = Dataset()
    if source.get("ModalityLUTSequence"):
        ds.ModalityLUTSequence = source.ModalityLUTSequence
    elif _is_number(source.get("RescaleIntercept")) and _is_number(source.get("RescaleSlope")):
        ds.RescaleIntercept, ds.RescaleSlope = source.RescaleIntercept, source.RescaleSlope
        ds.RescaleType = source.get("RescaleType") or "US"
    return ds


def _voi_lut(source: Dataset) -> Dataset:
    """Return one VOI LUT or one window, as C.11.8 allows; empty if the image has neither."""
    ds = Dataset()
    if source.get("VOILUTSequence"):
        ds.VOILUTSequence = Items([_to_16_bits(source.VOILUTSequence[0])])
        return ds
    center, width = _first(source.get("WindowCenter")), _first(source.get("WindowWidth"))
    function = source.get("VOILUTFunction") or "LINEAR"
    if _is_number(center) and _is_number(width) and (width >= 1 or (function != "LINEAR" and width > 0)):
        ds.WindowCenter, ds.WindowWidth = center, width
        if function != "LINEAR":
            ds.VOILUTFunction = function
    return ds


def _to_16_bits(lut: Dataset) -> Dataset:
    """Stretch a table of 9 to 15 bits to 16. Mammograms may have one (PS3.3 C.8.11.5), but readers expect 8 or 16."""
    entries, first, bits = lut.LUTDescriptor
    if bits in (8, 16):
        return lut
    table = np.frombuffer(lut.LUTData, dtype="<u2").astype(np.float64)
    wide = Dataset()
    wide.add_new(_DESCRIPTOR, lut[_DESCRIPTOR].VR, [entries, first, 16])
    stretched = np.rint(table * (65535 / (2**bits - 1))).clip(0, 65535)
    wide.add_new(_DATA, "OW", stretched.astype("<u2").tobytes())
    return wide


def _is_inverse(source: Dataset) -> bool:
    """Return whether an image is inverted, by MONOCHROME1 or by the shape INVERSE.

    The two mean the same; a presentation state has only the shape (PS3.4 N.2.1.4).
    """
    inverse = (
        source.get("PhotometricInterpretation") == "MONOCHROME1" or source.get("PresentationLUTShape") == "INVERSE"
    )
    return bool(inverse)


def _shutter(source: Dataset) -> Dataset:
    """Return the display shutter, without shapes that are incompletely described or given by an overlay."""
    ds = Dataset()
    shapes = source.get("ShutterShape")
    shapes = [shapes] if isinstance(shapes, str) else list(shapes or ())
    shapes = [shape for shape in shapes if _is_described(shape, source)]
    if shapes:
        for keyword in (keyword for shape in shapes for keyword in SHUTTER_SHAPES[shape]):
            setattr(ds, keyword, source[keyword].value)
        ds.ShutterShape = shapes
        ds.ShutterPresentationValue = source.get("ShutterPresentationValue") or 0
    return ds


def _is_described(shape: str, source: Dataset) -> bool:
    return shape in SHUTTER_SHAPES and all(keyword in source for keyword in SHUTTER_SHAPES[shape])


def _displayed_area(source: Dataset) -> Dataset:
    """Select the whole image, whose first pixel is 1\\1 here, and give the size or the shape of a pixel."""
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [source.Columns, source.Rows]
    area.PresentationSizeMode = "SCALE TO FIT"
    spacing = source.get("PixelSpacing") or source.get("ImagerPixelSpacing")
    aspect = [int(size) for size in source.get("PixelAspectRatio") or (1, 1)]
    if spacing:
        area.PresentationPixelSpacing = spacing
    else:
        area.PresentationPixelAspectRatio = aspect if min(aspect) > 0 else [1, 1]
    return area


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, (MultiValue, list)) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))
