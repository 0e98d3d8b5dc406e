"""A study's findings as one page of pixels: a Secondary Capture (PS3.3 A.8.1), which every PACS client can show.

The patient is not named on the page, so Burned In Annotation is what the source images say (PS3.3 C.7.6.1).
The text of the page is also in Image Comments, for searching and for those who cannot see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from highdicom import SOPClass
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from ftmtl.findings import ImageResult, ModelIdentity, StudyResult
from node.kinds import ObjectKind
from node.results.common import codes
from node.results.common.finish import PENDING, Clock, Origin, finish, now
from node.results.common.naming import series_description, series_number
from node.results.common.request import repeat_request
from node.results.common.stamp import NOTICE, equipment, patient_of
from node.results.sc.contents import Page
from node.results.sc.page import draw_page
from node.results.sc.words import page_of, tell
from node.results.study import Expected, Made, Study

__all__ = ["build_capture", "draw_page"]

DESCRIPTION = "AI Mammography Summary"

MORE = "and more"
"""Last line of Image Comments if there is more than they can hold."""

_MAX_COMMENTS = 10240


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
    page = page_of(result, order, places, headers, pixels)
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
