"""Findings of a study for mammography workstations: Mammography CAD SR (PS3.3 A.35.5, PS3.16 TID 4000).

Workstations read it to draw marks on the images. highdicom has no class for it, so the tree is built
by hand. It names every image once, in its Image Library, and everything else refers to that entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian, MammographyCADSRStorage

from ftmtl.findings import Finding, ImageResult, ModelIdentity, StudyResult
from ftmtl.header.acquisition import read_acquisition
from node.kinds import ObjectKind
from node.results.common import codes
from node.results.common.content import (
    CONTAINS,
    HAS_ACQ_CONTEXT,
    HAS_CONCEPT_MOD,
    HAS_OBS_CONTEXT,
    HAS_PROPERTIES,
    INFERRED_FROM,
    SELECTED_FROM,
    by_reference,
    coded,
    container,
    date,
    evidence,
    image_item,
    number,
    region,
    text,
    time,
    uid_reference,
)
from node.results.common.finish import PENDING, Clock, Origin, finish, now
from node.results.common.naming import series_description, series_number, tracking_uid
from node.results.common.outcome import known_images, outcome_code, reason_of, remark_lines, where
from node.results.common.outline import outline
from node.results.common.request import refer_to_requests
from node.results.common.source import PATIENT_AND_STUDY
from node.results.common.stamp import RESEARCH_NOTICE, algorithm_parameters, equipment, nameless
from node.results.study import Expected, Made, Study

REQUIRED_FROM = 0.5
"""Probability of a lesion from which a workstation is asked to show it without being prompted by the reader."""


class Entry(NamedTuple):
    """An image of the Image Library.

    Attributes
    ----------
    header
        Its normalised header.
    image
        What was found on it, or why it was not analysed.
    analysed
        Whether it was analysed.
    position
        Its position in the content tree (Referenced Content Item Identifier).
    """

    header: Dataset
    image: ImageResult
    analysed: bool
    position: tuple[int, int, int]


def make(study: Study, kind: ObjectKind) -> Iterator[Made]:
    """Yield the CAD report of the study."""
    report = build_cad_report(list(study.headers.values()), study.result, study.missing, clock=study.clock)
    yield Made(report, Expected(kind, study.result, study.headers, missing=study.missing))


def build_cad_report(
    sources: Sequence[Dataset],
    result: StudyResult,
    missing: Mapping[str, Dataset] = {},
    *,
    clock: Clock = now,
) -> Dataset:
    """Return the CAD report of a study.

    Parameters
    ----------
    sources
        Normalised headers (:func:`node.results.common.source.read_source`) of the images that were analysed,
        in a fixed order; all of one study.
    result
        What was found. Its other images count as not analysed.
    missing
        By SOP Instance UID: normalised headers of the images that were not processed or failed, as far
        as they could be read. The report cannot refer to the others; it only mentions them in words.

    Returns
    -------
    Dataset
        Complete, unverified, preliminary; with File Meta Information, Explicit VR Little Endian. The
        same arguments give the same bytes.

    Raises
    ------
    KeyError
        If an image is not in ``result``.
    ValueError
        If no image has a header, or one belongs to another study.
    """
    known = known_images(sources, result, missing)
    library = [Entry(*image, (1, 2, place)) for place, image in enumerate(known, start=1)]
    ds = _document(library, result)
    root = container("", codes.CAD_REPORT, _content(library, result))
    root.ContentTemplateSequence = Items([_template()])
    ds.update(root)
    finish(ds, ObjectKind.CAD, Origin([entry.header for entry in library], result.images, result.model), clock)
    return ds


def _document(library: list[Entry], result: StudyResult) -> Dataset:
    """Return everything but the content tree: Patient, Study, SR Document Series, Equipment, SR Document General."""
    ds, model = Dataset(), result.model
    patient = nameless(library[0].header)
    for keyword in PATIENT_AND_STUDY:
        if keyword in patient:
            ds.add(patient[keyword])
    ds.SOPClassUID, ds.SOPInstanceUID = MammographyCADSRStorage, UID(PENDING)
    ds.Modality, ds.SeriesInstanceUID = "SR", PENDING
    ds.SeriesNumber, ds.InstanceNumber = series_number(ObjectKind.CAD, model), 1
    ds.SeriesDescription = series_description("AI Mammography CAD SR", model)
    refer_to_requests(ds, library[0].header)
    ds.ReferencedPerformedProcedureStepSequence = Items()
    ds.PerformedProcedureCodeSequence = Items()
    device = equipment(model)
    ds.Manufacturer, ds.ManufacturerModelName = device["manufacturer"], device["manufacturer_model_name"]
    ds.SoftwareVersions, ds.DeviceSerialNumber = device["software_versions"], device["device_serial_number"]
    ds.ContentQualification = device["content_qualification"]
    ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    ds.CurrentRequestedProcedureEvidenceSequence = Items([evidence(entry.header for entry in library)])
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _template() -> Dataset:
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "4000"
    return template


def _content(library: list[Entry], result: StudyResult) -> Iterator[Dataset]:
    """Yield the items below the root (TID 4000). The library must come second: positions in it rely on that."""
    yield coded(HAS_CONCEPT_MOD, codes.LANGUAGE, codes.ENGLISH)
    yield container(CONTAINS, codes.IMAGE_LIBRARY, map(_library_entry, library))
    yield _overall_impression(library, result)
    yield _detections(library, result.model)
    yield coded(CONTAINS, codes.SUMMARY_OF_ANALYSES, codes.NOT_ATTEMPTED)


def _library_entry(entry: Entry) -> Dataset:
    """Return an image of the library (TID 4020)."""
    return image_item(CONTAINS, entry.header, _acquisition(entry))


def _acquisition(entry: Entry) -> Iterator[Dataset]:
    """Yield what is known about how an image was acquired and how it is oriented (TID 4020)."""
    header, result = entry.header, entry.image
    if result.laterality in codes.BREASTS:
        yield coded(HAS_ACQ_CONTEXT, codes.IMAGE_LATERALITY, codes.BREASTS[result.laterality])
    if result.view in codes.VIEWS:
        modifiers = [codes.VIEW_MODIFIERS.get(word) for word in read_acquisition(header).view_modifiers]
        yield coded(
            HAS_ACQ_CONTEXT,
            codes.IMAGE_VIEW,
            codes.VIEWS[result.view],
            [coded(HAS_CONCEPT_MOD, codes.IMAGE_VIEW_MODIFIER, modifier) for modifier in modifiers if modifier],
        )
    if header.PatientOrientation:
        row, column = header.PatientOrientation
        yield text(HAS_ACQ_CONTEXT, codes.ORIENTATION_ROW, row)
        yield text(HAS_ACQ_CONTEXT, codes.ORIENTATION_COLUMN, column)
    for write, name, keyword in (
        (date, codes.STUDY_DATE, "StudyDate"),
        (time, codes.STUDY_TIME, "StudyTime"),
        (date, codes.CONTENT_DATE, "ContentDate"),
        (time, codes.CONTENT_TIME, "ContentTime"),
    ):
        if header.get(keyword):
            yield write(HAS_ACQ_CONTEXT, name, header[keyword].value)
    if result.spacing_mm is not None:
        vertical, horizontal = result.spacing_mm
        yield number(HAS_ACQ_CONTEXT, codes.HORIZONTAL_SPACING, 1000 * horizontal, codes.UM)
        yield number(HAS_ACQ_CONTEXT, codes.VERTICAL_SPACING, 1000 * vertical, codes.UM)


def _overall_impression(library: list[Entry], result: StudyResult) -> Dataset:
    """Return how the analysis ended, as a code and in words, and the findings (TID 4001, 4002)."""
    analysed = [entry for entry in library if entry.analysed]
    content = [
        text(HAS_PROPERTIES, codes.IMPRESSION_DESCRIPTION, _in_words(analysed, result)),
        *_algorithm(result.model),
    ]
    if any(entry.image.findings for entry in analysed):
        content.append(_individual_impression(analysed, result.model))
    return coded(CONTAINS, codes.CAD_SUMMARY, outcome_code(result), content)


def _in_words(analysed: list[Entry], result: StudyResult) -> str:
    """Return the research notice, what was analysed and why the rest was not, and what else a reader has to know."""
    uids = {entry.image.sop_instance_uid for entry in analysed}
    lines = [RESEARCH_NOTICE, f"{len(uids)} of {len(result.images)} images analysed."]
    for other in sorted(result.images, key=lambda image: image.sop_instance_uid):
        if other.sop_instance_uid not in uids:
            lines.append(f"{where(other)} not analysed: {reason_of(other)}")
    return "\r\n".join([*lines, *remark_lines(result)])


def _algorithm(model: ModelIdentity, *more: str) -> Iterator[Dataset]:
    """Yield the identification of the algorithm (TID 4019)."""
    yield text(HAS_PROPERTIES, codes.ALGORITHM_NAME, model.name)
    yield text(HAS_PROPERTIES, codes.ALGORITHM_VERSION, model.version)
    for parameter in (algorithm_parameters(model), *more):
        yield text(HAS_PROPERTIES, codes.ALGORITHM_PARAMETERS, parameter)


def _individual_impression(analysed: list[Entry], model: ModelIdentity) -> Dataset:
    """Return all findings (TID 4003); the group is to be shown if one of them is."""
    findings = [(entry, n, finding) for entry in analysed for n, finding in enumerate(entry.image.findings, start=1)]
    most = max(finding.lesion_score for _, _, finding in findings)
    return container(
        INFERRED_FROM,
        codes.INDIVIDUAL_IMPRESSION,
        [
            coded(HAS_CONCEPT_MOD, codes.RENDERING_INTENT, rendering_intent(most)),
            *(_single_image_finding(entry, n, finding, model) for entry, n, finding in findings),
        ],
    )


def rendering_intent(lesion_score: float) -> codes.Code:
    """Return whether a workstation is expected to show a finding, or may (CID 6034)."""
    return codes.PRESENTATION_REQUIRED if lesion_score >= REQUIRED_FROM else codes.PRESENTATION_OPTIONAL


def _single_image_finding(entry: Entry, n: int, finding: Finding, model: ModelIdentity) -> Dataset:
    """Return finding ``n`` (from 1) of an image (TID 4006), with its tracking (TID 4108) and place (TID 4021)."""
    result, on_image = entry.image, by_reference(SELECTED_FROM, entry.position)
    points, centre = outline(finding.mask)
    return coded(
        CONTAINS,
        codes.SINGLE_IMAGE_FINDING,
        codes.CAD_FINDING_TYPES[finding.type],
        [
            coded(HAS_CONCEPT_MOD, codes.RENDERING_INTENT, rendering_intent(finding.lesion_score)),
            text(HAS_OBS_CONTEXT, codes.TRACKING_IDENTIFIER, f"{where(result)} lesion {n}"),
            uid_reference(HAS_OBS_CONTEXT, codes.TRACKING_UID, tracking_uid(result.sop_instance_uid, model, n)),
            *_algorithm(model),
            number(HAS_PROPERTIES, codes.CERTAINTY_OF_FINDING, 100 * finding.lesion_score, codes.PERCENT),
            number(HAS_PROPERTIES, codes.PROBABILITY_OF_CANCER, 100 * finding.cancer_score, codes.PERCENT),
            region(HAS_PROPERTIES, codes.CENTER, "POINT", [centre], on_image),
            region(HAS_PROPERTIES, codes.OUTLINE, "POLYLINE", [*points, points[0]], on_image),
        ],
    )


def _detections(library: list[Entry], model: ModelIdentity) -> Dataset:
    """Return which detections were performed on which images, and on which they failed (TID 4015)."""
    analysed = [entry for entry in library if entry.analysed]
    failed = [entry for entry in library if not entry.analysed]
    kinds = _kinds(analysed)
    content = []
    if analysed:
        performed = [_detection(kind, analysed, model) for kind in kinds]
        content.append(container(INFERRED_FROM, codes.SUCCESSFUL_DETECTIONS, performed))
    if failed:
        reasons = dict.fromkeys(reason_of(entry.image) for entry in failed)
        attempted = [
            _detection(kind, [e for e in failed if reason_of(e.image) == reason], model, f"Not analysed: {reason}")
            for kind in kinds
            for reason in reasons
        ]
        content.append(container(INFERRED_FROM, codes.FAILED_DETECTIONS, attempted))
    status = codes.SUCCEEDED if not failed else codes.PARTIALLY_SUCCEEDED if analysed else codes.FAILED
    return coded(CONTAINS, codes.SUMMARY_OF_DETECTIONS, status, content)


def _kinds(analysed: list[Entry]) -> list[codes.Code]:
    """Return what the model detects, as far as a result shows: lesions of any kind, and every kind that it found."""
    found = [codes.CAD_FINDING_TYPES[finding.type] for entry in analysed for finding in entry.image.findings]
    return sorted({codes.DENSITY, *found}, key=lambda code: code.value)


def _detection(kind: codes.Code, entries: list[Entry], model: ModelIdentity, *more: str) -> Dataset:
    """Return one detection, and the images that it was performed on (TID 4017)."""
    images = [by_reference(HAS_PROPERTIES, entry.position) for entry in entries]
    return coded(CONTAINS, codes.DETECTION_PERFORMED, kind, [*_algorithm(model, *more), *images])
