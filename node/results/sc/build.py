"""A study's findings as one page of pixels: a Secondary Capture (PS3.3 A.8.1), which every PACS client can show.

The patient is not named on the page, so Burned In Annotation is what the source images say (PS3.3 C.7.6.1).
The text of the page is also in Image Comments, for searching and for those who cannot see it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

import numpy as np
from highdicom import SOPClass
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from ftmtl.findings import ImageResult, ModelIdentity, StudyResult
from node.identity import MANUFACTURER, software_version
from node.kinds import ObjectKind
from node.results.common import codes
from node.results.common.dates import parse_date
from node.results.common.finish import PENDING, Clock, Origin, finish, now
from node.results.common.lesions import Lesion, lesions_of
from node.results.common.naming import series_description, series_number, side_and_view
from node.results.common.outcome import remarks
from node.results.common.outline import contour
from node.results.common.request import repeat_request
from node.results.common.stamp import NOTICE, SCORES, equipment, patient_of
from node.results.sc.contents import Mark, Page, Row, View
from node.results.sc.hanging import hanging_turns
from node.results.sc.page import draw_page
from node.results.study import Expected, Made, Study

__all__ = ["build_capture", "draw_page"]

DESCRIPTION = "AI Mammography Summary"

UNKNOWN_VIEW = "Unknown view"
"""Name of an image if neither its side nor its view is known."""

MORE = "and more"
"""Last line of Image Comments if there is more than they can hold."""

MAX_REASONS = 10
"""How many different reasons are given."""

_MAX_NAMES, _MAX_COMMENTS = 8, 10240
_EMPTY_ASPECT = 0.75
_BREASTS = {"R": "Right breast", "L": "Left breast"}


def make(study: Study, kind: ObjectKind) -> Iterator[Made]:
    """Yield the page of the study.

    Raises
    ------
    ValueError
        If the study has no function to read images for display.
    """
    if study.display is None:
        raise ValueError("a page needs a function that reads images for display")
    windows = {image.sop_instance_uid: image.window for image in study.result.images}
    pixels = {uid: study.display(path, windows[uid]) for uid, path in study.paths.items()}
    page = build_capture(list(study.headers.values()), study.result, pixels, study.missing, study.clock)
    yield Made(page, Expected(kind, study.result, study.headers, missing=study.missing))


def build_capture(
    sources: Sequence[Dataset],
    result: StudyResult,
    pixels: Mapping[str, NDArray[np.float32]],
    missing: Mapping[str, Dataset] = MappingProxyType({}),
    clock: Clock = now,
) -> Dataset:
    """Return the page of a study: its views with outlines and scores, and in words what was found and not analysed.

    Parameters
    ----------
    sources
        Normalised headers of the images that were analysed, in any order; all of one study.
    result
        What was found, and why some images were not analysed.
    pixels
        By SOP Instance UID, every analysed image as it is displayed: float32, shape (rows, columns), 0
        black to 1 white, possibly reduced by an integer factor. A view is at most 1000 pixels high on the page.
    missing
        By SOP Instance UID: normalised headers of images that were not analysed, as far as they could be read.
    clock
        When it was first made.

    Returns
    -------
    Dataset
        RGB, 8 bit, uncompressed, Explicit VR Little Endian, complete. The same content has the same UIDs.

    Raises
    ------
    ValueError
        If there is no header at all, an analysed image lacks its header or its pixels, or its pixels have
        another shape than the image.
    """
    images = {image.sop_instance_uid: image for image in result.images}
    headers = {str(header.SOPInstanceUID): header for header in (*sources, *missing.values())}
    if not headers:
        raise ValueError("a page needs the header of at least one image")
    places = {uid: place(image, headers.get(uid)) for uid, image in images.items()}
    order = sorted(images.values(), key=lambda image: _hanging(image, *places[image.sop_instance_uid]))
    analysed = [image for image in order if image.was_read]
    for image in analysed:
        if image.sop_instance_uid not in headers or image.sop_instance_uid not in pixels:
            raise ValueError(f"no header or no pixels for {image.sop_instance_uid}")
    shown = [headers[image.sop_instance_uid] for image in analysed]
    page = _page(result, order, places, headers, pixels)
    stated = shown or [headers[uid] for uid in sorted(headers)]
    ds = _new(stated, result.model)
    _add_image(ds, page, result)
    ds.Laterality = _side(analysed, places)
    if shown:
        ds.SourceImageSequence = Items([_reference(header) for header in shown])
    lossy = [header for header in shown if header.get("LossyImageCompression") == "01"]
    ds.LossyImageCompression = "01" if lossy else "00"
    finish(ds, ObjectKind.SC, Origin(stated, result.images, result.model), clock)
    return ds


def _side(analysed: Sequence[ImageResult], places: Mapping[str, tuple[str | None, str | None]]) -> str | None:
    """Return L or R if all views on the page are of this breast, else None (PS3.3 C.7.3.1)."""
    sides = {places[image.sop_instance_uid][0] for image in analysed}
    return next(iter(sides)) if len(sides) == 1 else None


def place(image: ImageResult, header: Dataset | None) -> tuple[str | None, str | None]:
    """Return laterality and view, from the result or else from the header."""
    header = header or Dataset()
    laterality = image.laterality or header.get("ImageLaterality") or header.get("Laterality") or None
    return laterality, image.view or header.get("ViewPosition") or None


def _hanging(image: ImageResult, laterality: str | None, view: str | None) -> tuple[str, int, str]:
    """Return the sort key: view, right before left, then UID, to be independent of the order of arrival."""
    return view or "~", {"R": 0, "L": 1}.get(laterality or "", 2), image.sop_instance_uid


def _new(headers: Sequence[Dataset], model: ModelIdentity) -> SOPClass:
    """Return the object without its image: patient, study, series, equipment."""
    first = patient_of(headers[0])
    ds = SOPClass(
        study_instance_uid=first.StudyInstanceUID,
        series_instance_uid=PENDING,
        series_number=series_number(ObjectKind.SC, model),
        sop_instance_uid=PENDING,
        sop_class_uid=SecondaryCaptureImageStorage,
        instance_number=1,
        modality="OT",  # not MG: this node reads secondary captures of that modality
        transfer_syntax_uid=ExplicitVRLittleEndian,
        patient_id=first.PatientID,
        patient_birth_date=first.PatientBirthDate,
        patient_sex=first.PatientSex,
        accession_number=first.AccessionNumber,
        study_id=first.StudyID,
        study_date=first.StudyDate,
        study_time=first.StudyTime,
        referring_physician_name=first.ReferringPhysicianName,
        specific_character_set=first.get("SpecificCharacterSet"),
        series_description=series_description(DESCRIPTION, model),
        **equipment(model),
    )
    ds.copy_patient_and_study_information(first)
    repeat_request(ds, headers[0])
    if _burned_in(headers):
        ds.BurnedInAnnotation = _burned_in(headers)
    return ds


def _burned_in(headers: Sequence[Dataset]) -> str:
    """Return Burned In Annotation: YES if any source says so, NO if all do, else empty, as nobody knows."""
    said = {str(header.get("BurnedInAnnotation") or "") for header in headers}
    return "YES" if "YES" in said else "NO" if said == {"NO"} else ""


def _add_image(ds: Dataset, page: Page, result: StudyResult) -> None:
    """Add SC Equipment, General Image and Image Pixel (PS3.3 C.8.6.1, C.7.6.1, C.7.6.3)."""
    picture = draw_page(page)
    ds.ConversionType = "WSD"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.PatientOrientation = None  # a page has none
    ds.DerivationDescription = (
        f"Views with the findings of {result.model.name} {result.model.version} drawn on a page. {NOTICE}."
    )[:1024]
    ds.ImageComments = _comments(list(tell(page)))
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.Rows, ds.Columns = picture.height, picture.width
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    data = picture.tobytes()
    ds.PixelData = data + bytes(len(data) % 2)


def _reference(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = Items([CodedConcept.from_code(codes.SOURCE_IMAGE)])
    return item


def _comments(lines: list[str]) -> str:
    """Return lines as one LT value; if there are more than it can hold, the last line says so."""
    whole = "\r\n".join(lines)
    while len(whole) > _MAX_COMMENTS:
        lines = [*lines[:-2], MORE]
        whole = "\r\n".join(lines)
    return whole.encode("ascii", "replace").decode()


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


# --- what the page says ------------------------------------------------------------------------------------


def _page(
    result: StudyResult,
    images: Sequence[ImageResult],
    places: Mapping[str, tuple[str | None, str | None]],
    headers: Mapping[str, Dataset],
    pixels: Mapping[str, NDArray[np.float32]],
) -> Page:
    names = _names({image.sop_instance_uid: places[image.sop_instance_uid] for image in images})
    analysed = [image for image in images if image.was_read]
    aside = {image.sop_instance_uid for image in result.left_aside}
    refused = [image for image in images if not image.was_read and image.sop_instance_uid not in aside]
    left_aside = [image for image in images if image.sop_instance_uid in aside]
    lesions = lesions_of(result)
    views = []
    for image in analysed:
        uid = image.sop_instance_uid
        views.append(_view(lesions[uid], names[uid], *places[uid], headers[uid], pixels[uid]))
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
    laterality: str | None,
    view: str | None,
    header: Dataset,
    pixels: NDArray[np.float32],
) -> View:
    """Flip an image and its outlines the way it is hung."""
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
        yield "No findings: nothing that the model holds for a lesion at its operating point. Cancer is not excluded."
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
