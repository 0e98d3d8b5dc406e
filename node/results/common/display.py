"""How a source image is displayed, for an object that has to repeat it (PS3.4 N.2).

The transformations of a presentation state replace the image's own, and an absent one means identity even if
the image has it. So everything that determines how the image looks has to be repeated: modality LUT, VOI LUT,
polarity, shutter, and the shape of the pixels.
"""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from ftmtl.header.grayscale import Window, is_inverse, luts, windows

LUTS = ("ModalityLUTSequence", "VOILUTSequence")
"""Sequences of which :func:`usable_lut` copies the first item."""

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


def usable_lut(source: Dataset, keyword: str) -> Dataset | None:
    """Return the first item of a LUT sequence, reduced to the table.

    Parameters
    ----------
    source
        The image as it was read.
    keyword
        One of :data:`LUTS`.

    Returns
    -------
    Dataset or None
        LUT Descriptor, LUT Data as OW, little-endian, and for a modality LUT its type; None if there is no
        table, or descriptor and data do not match.
    """
    table = next(iter(luts(source, keyword)), None)
    if table is None:
        return None
    item = table.item()
    if keyword == "ModalityLUTSequence":
        item.ModalityLUTType = "US"
    return item


def transformations(source: Dataset, window: tuple[float, float] | None = None) -> Dataset:
    """Return the modules of a Grayscale Softcopy Presentation State that make an image look as the model saw it.

    Parameters
    ----------
    source
        Normalised header of the image (:func:`node.results.common.source.read_source`).
    window
        Center and width of the window in which the model saw the image, if it was not the image's own grey scale.

    Returns
    -------
    Dataset
        Modality LUT, Softcopy VOI LUT (PS3.3 C.11.8; the VOI LUT if there is one, else the first window, unless another
        is given),
        Presentation State Shutter (C.11.12), Softcopy Presentation LUT (C.11.6) and Displayed Area (C.10.4).
        Whatever the image does not have is absent.
    """
    ds = _modality_lut(source)
    voi = _voi_lut(source) if window is None else _window(Window(*window, "LINEAR_EXACT"))
    if voi:
        ds.SoftcopyVOILUTSequence = Items([voi])
    ds.update(_shutter(source))
    ds.PresentationLUTShape = "INVERSE" if is_inverse(source) else "IDENTITY"
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
    table = next(iter(luts(source, "VOILUTSequence")), None)
    if table is not None:
        ds.VOILUTSequence = Items([table.stretched().item()])  # readers expect 8 or 16 bits, of which all are used
        return ds
    window = next(iter(windows(source)), None)
    return ds if window is None else _window(window)


def _window(window: Window) -> Dataset:
    ds = Dataset()
    ds.WindowCenter, ds.WindowWidth = (f"{edge:.10g}" for edge in window[:2])
    if window.function != "LINEAR":
        ds.VOILUTFunction = window.function
    return ds


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


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))
