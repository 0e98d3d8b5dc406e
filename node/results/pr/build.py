"""Findings as a Grayscale Softcopy Presentation State (PS3.3 A.33.1): lines and text over the unchanged image.

There is one object per source image, and one series per study, for viewers that show neither segmentations nor
structured reports. It repeats the image's own grey scale, so that the image looks the same with it as without
(:mod:`node.results.common.display`).

Coordinates in units of PIXEL have 0\\0 at the top-left *corner* of the first pixel, and Columns\\Rows at the
bottom-right corner of the last one (PS3.3 C.10.5, Graphic Annotation Units). This is the convention of SCOORD and
of :mod:`ftmtl.findings`, so outlines are used unchanged. Only the Displayed Area counts whole pixels from 1\\1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from highdicom.color import CIELabColor
from highdicom.pr import (
    AnnotationUnitsValues,
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GraphicTypeValues,
    GrayscaleSoftcopyPresentationState,
    TextJustificationValues,
    TextObject,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ftmtl.findings import Box, ImageResult, ModelIdentity, StudyResult
from node.kinds import ObjectKind
from node.results.common import display
from node.results.common.finish import PENDING, Clock, Origin, finish, now, share_series
from node.results.common.labels import nearest, place_labels
from node.results.common.lesions import Lesion, lesions_of
from node.results.common.naming import series_description, series_number
from node.results.common.outline import line
from node.results.common.request import repeat_request
from node.results.common.stamp import NOTICE, SCORES, equipment, name_class, patient_of
from node.results.study import Made, Study

Points = NDArray[np.float64]
"""Shape (points, 2) = column, row."""

LAYER = "AI_FINDINGS"

_AMBER = CIELabColor(l_star=82.0, a_star=12.0, b_star=70.0)
_LINES_PER_IMAGE, _LEAST_HEIGHT, _CHARACTER_WIDTH = 60, 12.0, 0.6
_NOTICE_BOX = (0.02, 0.95, 0.62, 0.99)
_LONGEST_TEXT = 1024  # characters of an ST


def make(study: Study, kind: ObjectKind) -> Iterator[Made]:
    """Yield one presentation state per image with findings, all in one series."""
    states = [
        build_presentation(header, image, study.result, nth, study.clock)
        for nth, (header, image) in enumerate(study.found)
    ]
    share_series(states)
    for (_, image), state in zip(study.found, states, strict=True):
        yield Made(state, study.alone(kind, image))


def build_presentation(
    source: Dataset, image: ImageResult, result: StudyResult, nth: int = 0, clock: Clock = now
) -> Dataset:
    """Return the outlines, names and scores of an image's findings as a presentation state.

    Parameters
    ----------
    source
        Normalised header of the image (:func:`node.results.common.source.read_source`).
    image
        What was found on it; at least one finding.
    result
        What was found on all images, which decides how its lesions are numbered; and by which model.
    nth
        Its place in the series, from 0.
    clock
        When it was first made.

    Returns
    -------
    Dataset
        Explicit VR Little Endian, complete, in a series of its own. The same content has the same UIDs.

    Raises
    ------
    ValueError
        If there is no finding, or an outline extends beyond the image.
    """
    if not image.findings:
        raise ValueError("a presentation state needs at least one finding")
    plain, model = _without_display(source), result.model
    lesions = lesions_of(result)[image.sop_instance_uid]
    lines = [line(lesion.finding.mask) for lesion in lesions]
    layer = GraphicLayer(
        LAYER, order=1, description="Findings of an algorithm. Research use only.", display_color=_AMBER
    )
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=[plain],
        series_instance_uid=PENDING,
        series_number=series_number(ObjectKind.PR, model),
        sop_instance_uid=PENDING,
        instance_number=nth + 1,
        series_description=series_description("AI Lesion PR", model),
        content_label=LAYER,
        content_description="Lesions found by an algorithm. Research use only.",
        graphic_layers=[layer],
        graphic_annotations=[
            GraphicAnnotation(
                referenced_images=[plain],
                graphic_layer=layer,
                graphic_objects=list(_graphics(lines, lesions)),
                text_objects=[*_labels(lines, lesions, source), _notice(source, image, model)],
            )
        ],
        **equipment(model),
    )
    state.update(display.transformations(source, image.window))
    name_class(state, source)
    repeat_request(state, source)
    sides = {other.laterality for other in result.images if other.findings}
    state.Laterality = image.laterality if len(sides) == 1 else None  # of the series (PS3.3 C.7.3.1)
    finish(state, ObjectKind.PR, Origin([source], [image], model), clock)
    return state


def label(lesion: Lesion) -> str:
    """Return the label of a lesion: its number in the study, and its scores from 0 to 100."""
    finding = lesion.finding
    return f"{lesion.number}: lesion {100 * finding.lesion_score:.0f}, cancer {100 * finding.cancer_score:.0f}"


def _without_display(source: Dataset) -> Dataset:
    """Return a copy without display attributes, as highdicom raises if an image has both windows and a VOI LUT."""
    plain = patient_of(source)
    for keyword in (*display.ATTRIBUTES, *display.LUTS):
        if keyword in plain:
            delattr(plain, keyword)
    plain.SamplesPerPixel = 1
    return plain


def _graphics(lines: Sequence[Points], lesions: Sequence[Lesion]) -> Iterator[GraphicObject]:
    """Yield the outline of each lesion (PS3.3 C.10.5.1.2)."""
    for points, lesion in zip(lines, lesions, strict=True):
        yield GraphicObject(
            graphic_type=GraphicTypeValues.POLYLINE,
            graphic_data=points,
            units=AnnotationUnitsValues.PIXEL,
            tracking_id=lesion.tracking_id,
            tracking_uid=lesion.tracking_uid,
        )


def _labels(lines: Sequence[Points], lesions: Sequence[Lesion], source: Dataset) -> Iterator[TextObject]:
    """Yield the label of each lesion, connected to it by an anchor point."""
    texts = [label(lesion) for lesion in lesions]
    bounds = [_bounds(points) for points in lines]
    height = max(source.Rows / _LINES_PER_IMAGE, _LEAST_HEIGHT)
    sizes = [(_CHARACTER_WIDTH * height * len(text), height) for text in texts]
    boxes = place_labels(sizes, bounds, source.Columns, source.Rows)
    for text, box, extent, lesion in zip(texts, boxes, bounds, lesions, strict=True):
        yield TextObject(
            text_value=text,
            units=AnnotationUnitsValues.PIXEL,
            bounding_box=box,
            anchor_point=nearest(extent, box),
            text_justification=TextJustificationValues.LEFT,
            tracking_id=lesion.tracking_id,
            tracking_uid=lesion.tracking_uid,
        )


def _bounds(points: Points) -> Box:
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def notice(image: ImageResult, model: ModelIdentity) -> str:
    """Return the notice in the corner of the image: what the findings may be used for, what found them, and notes."""
    return "\r\n".join((NOTICE, f"{model.name} {model.version}", SCORES, *image.notes))[:_LONGEST_TEXT]


def _notice(source: Dataset, image: ImageResult, model: ModelIdentity) -> TextObject:
    """Put the notice into the lower corner away from the chest wall; on the left, if its side is not known."""
    left, top, right, bottom = _NOTICE_BOX
    top -= (bottom - top) / 2 * (1 + len(image.notes))
    anterior_right = str((source.get("PatientOrientation") or [""])[0]).startswith("A")
    return TextObject(
        text_value=notice(image, model),
        units=AnnotationUnitsValues.DISPLAY,
        bounding_box=(1 - right, top, 1 - left, bottom) if anterior_right else (left, top, right, bottom),
        text_justification=TextJustificationValues.RIGHT if anterior_right else TextJustificationValues.LEFT,
    )
