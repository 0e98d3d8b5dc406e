"""What a page says: its views, table and small print from a study's result, and the same in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ftmtl.findings import ImageResult, StudyResult
from node.identity import MANUFACTURER, software_version
from node.results.common.dates import parse_date
from node.results.common.lesions import Lesion, lesions_of
from node.results.common.naming import side_and_view
from node.results.common.outcome import remarks
from node.results.common.outline import contour
from node.results.common.stamp import NOTICE, SCORES
from node.results.sc.contents import Mark, Page, Row, View
from node.results.sc.hanging import hanging_turns

UNKNOWN_VIEW = "Unknown view"
"""Name of an image if neither its side nor its view is known."""

MAX_REASONS = 10
"""How many different reasons are given."""

_MAX_NAMES = 8
_EMPTY_ASPECT = 0.75
_BREASTS = {"R": "Right breast", "L": "Left breast"}


def page_of(
    result: StudyResult,
    images: Sequence[ImageResult],
    places: Mapping[str, tuple[str | None, str | None]],
    headers: Mapping[str, Dataset],
    pixels: Mapping[str, NDArray[np.float32]],
) -> Page:
    aside = {image.sop_instance_uid for image in result.left_aside}
    told = [image.sop_instance_uid for image in images]
    names = _names({uid: places[uid] for uid in told if uid not in aside}) | {
        uid: side_and_view(*places[uid]) or UNKNOWN_VIEW for uid in aside
    }
    analysed = [image for image in images if image.was_read]
    refused = [image for image in images if not image.was_read and image.sop_instance_uid not in aside]
    left_aside = [image for image in images if image.sop_instance_uid in aside]
    lesions = lesions_of(result)
    views = []
    for image in analysed:
        uid = image.sop_instance_uid
        views.append(_view(lesions[uid], names[uid], places[uid], headers[uid], pixels[uid]))
    return Page(
        views=(*views, *_empty_places(refused, names, places, [(view.laterality, view.view) for view in views])),
        rows=tuple(
            _row(names[image.sop_instance_uid], lesion)
            for image in analysed
            for lesion in lesions[image.sop_instance_uid]
        ),
        scores=tuple(_scores(result)),
        refused=tuple(_grouped((names[image.sop_instance_uid], printable_reason(image)) for image in refused)),
        left_aside=tuple(_grouped((names[image.sop_instance_uid], printable_reason(image)) for image in left_aside)),
        remarks=tuple(_grouped((names[image.sop_instance_uid], printable(said)) for image, said in remarks(result))),
        facts=tuple(_facts(result, headers[min(headers)])),
        notes=tuple(_notes(analysed)),
    )


def _names(places: Mapping[str, tuple[str | None, str | None]]) -> dict[str, str]:
    """Return each image's name by UID: side and view, with a number if several would have the same name."""
    plain = {uid: side_and_view(*where) or UNKNOWN_VIEW for uid, where in places.items()}
    count, seen = Counter(plain.values()), Counter[str]()
    names = {}
    for uid, name in plain.items():
        seen[name] += 1
        names[uid] = f"{name} ({seen[name]})" if count[name] > 1 else name
    return names


def printable_reason(image: ImageResult) -> str:
    """Return why an image was not analysed, in a form that can be printed."""
    return printable(image.reason)[:300] or "no reason was given"


def printable(said: str) -> str:
    """Return a text as one line of ASCII."""
    return " ".join(said.split()).encode("ascii", "replace").decode()


def _grouped(told: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the names of the images for each sentence; if there are very many images or sentences, the first ones."""
    groups: dict[str, list[str]] = {}
    for name, said in told:
        groups.setdefault(said, []).append(name)
    for said, called in list(groups.items())[:MAX_REASONS]:
        more = f" and {len(called) - _MAX_NAMES} more" if len(called) > _MAX_NAMES else ""
        yield ", ".join(called[:_MAX_NAMES]) + more, said
    if len(groups) > MAX_REASONS:
        rest = sum(len(called) for called in list(groups.values())[MAX_REASONS:])
        yield f"{rest} more image{'s' * (rest > 1)}", "for other reasons"


def _empty_places(
    refused: Sequence[ImageResult],
    names: Mapping[str, str],
    places: Mapping[str, tuple[str | None, str | None]],
    filled: Sequence[tuple[str | None, str | None]],
) -> Iterator[View]:
    """Yield empty places for standard views that were not analysed, unless another image of the same view was."""
    taken = set(filled)
    for image in refused:
        laterality, view = where = places[image.sop_instance_uid]
        if where not in taken and laterality in _BREASTS and view in ("CC", "MLO"):
            taken.add(where)
            name, why = names[image.sop_instance_uid], printable_reason(image)
            yield View(name, laterality, view, None, _EMPTY_ASPECT, reason=why)


def _view(
    lesions: Sequence[Lesion],
    name: str,
    where: tuple[str | None, str | None],
    header: Dataset,
    pixels: NDArray[np.float32],
) -> View:
    """Flip an image and its outlines the way it is hung."""
    laterality, view = where
    rows, columns = int(header.Rows), int(header.Columns)
    factor = max(1, round(columns / pixels.shape[1]))
    if any(abs(size / factor - side) >= 1 for size, side in zip((rows, columns), pixels.shape, strict=True)):
        raise ValueError(f"pixels of {header.SOPInstanceUID} are {pixels.shape}, the image is {(rows, columns)}")
    turns = hanging_turns(header, laterality)
    across, down = turns or (False, False)
    row_mm, column_mm = header.get("PixelSpacing") or header.get("ImagerPixelSpacing") or (1.0, 1.0)
    extent = np.array(pixels.shape[::-1]) * factor
    marks = []
    for lesion in lesions:
        points = contour(lesion.finding.mask) / extent
        turned = np.where((across, down), 1 - points, points)
        marks.append(Mark(turned, lesion.finding.cancer_score, lesion.number))
    return View(
        name=name,
        laterality=laterality,
        view=view,
        pixels=pixels[:: -1 if down else 1, :: -1 if across else 1],
        aspect=columns * float(column_mm) / (rows * float(row_mm)),
        as_stored=turns is None,
        marks=tuple(marks),
    )


def _row(name: str, lesion: Lesion) -> Row:
    finding = lesion.finding
    return Row(
        view=name,
        n=lesion.number,
        type=finding.type.value.replace("_", " "),
        lesion_score=finding.lesion_score,
        cancer_score=finding.cancer_score,
        size_mm=finding.long_axis_mm,
    )


def _scores(result: StudyResult) -> Iterator[tuple[str, str]]:
    """Yield the score of each breast that has images, and of the study if some images have no known side."""
    for side, name in _BREASTS.items():
        images = [image for image in result.mammograms if image.laterality == side]
        if images:
            yield name, _score(images, result.breast_scores.get(side))
    if any(image.laterality not in _BREASTS for image in result.mammograms):
        yield "All images", _score(result.mammograms, result.score)


def _score(images: Sequence[ImageResult], score: float | None) -> str:
    """Return a score in words, with the number of images that it is based on if some were not analysed."""
    analysed = sum(image.was_read for image in images)
    if score is None or not analysed:
        return "not analysed"
    part = f", {analysed} of {len(images)} images" if analysed < len(images) else ""
    return (f"{100 * score:.0f}" if any(image.findings for image in images) else "no findings") + part


def _facts(result: StudyResult, header: Dataset) -> Iterator[tuple[str, str]]:
    yield "Model", f"{result.model.name} {result.model.version}"
    yield "Weights", result.model.weights_sha256[:8]
    yield "Software", f"{MANUFACTURER} {software_version()}"
    day: datetime | None = parse_date(str(header.get("StudyDate") or ""))
    yield "Study date", f"{day:%Y-%m-%d}" if day else "unknown"
    if result.read:
        yield "Read", ", ".join(result.read)
    if result.not_read:
        yield "Not read", ", ".join(result.not_read)


def _notes(images: Sequence[ImageResult]) -> Iterator[str]:
    found = [image for image in images if image.findings]
    if len(found) < len(images):
        yield "No findings: nothing that the model holds for a lesion at its threshold. Cancer is not excluded."
    if found:
        yield (
            "Lesion: score that the outlined region is a lesion. Cancer: score that it is a malignant one. "
            f"{SCORES} A breast has the highest of its findings."
        )
    kinds = sorted({image.spacing_source or "unspecified" for image in found if image.spacing_mm is not None})
    if kinds:
        yield f"Size: long axis; pixel spacing: {', '.join(kinds)}."
    if any(image.spacing_mm is None for image in found):
        yield "Size -: the image does not tell its pixel spacing."


def tell(page: Page) -> Iterator[str]:
    """Yield the text of the page, line by line."""
    yield NOTICE
    yield from (f"{name}: {value}" for name, value in page.facts)
    yield from (f"Cancer score (0 to 100, not calibrated), {name.lower()}: {score}" for name, score in page.scores)
    for view in page.views:
        for row in (row for row in page.rows if row.view == view.name):
            size = "" if row.size_mm is None else f", {row.size_mm:.0f} mm"
            yield (
                f"{view.name} lesion {row.n} ({row.type}): lesion score {100 * row.lesion_score:.0f}, "
                f"cancer score {100 * row.cancer_score:.0f}{size}"
            )
        if view.pixels is not None and not view.marks:
            yield f"{view.name}: no findings"
    yield from (f"{name} not analysed: {reason}" for name, reason in page.refused)
    yield from (f"{name} left aside: {reason}" for name, reason in page.left_aside)
    yield from (f"{name}, remark: {said}" for name, said in page.remarks)
