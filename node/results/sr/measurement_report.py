"""What happened to a study, as a measurement report: TID 1500 in a Comprehensive 3D SR (PS3.16, PS3.3 A.35.13).

Its images are in an Image Library (:mod:`node.results.sr.library`). A lesion is one TID 1410 group: its outline, its
scores and its sizes. The mask itself is the segment of the same Tracking UID; a group takes either a region or a
segment. If nothing was found, one TID 1501 group per image says how its analysis ended. The two kinds of groups never
share a container, because validators and viewers stumble over the mixture: scores of the study and of each breast
stand among the derived measurements (:mod:`node.results.sr.scores`). Every report says in its Qualitative
Evaluations how the analysis ended, as a whole and image by image (:mod:`node.results.sr.evaluations`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.seg import Segmentation
from highdicom.sr import (
    CodedConcept,
    Comprehensive3DSR,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from ftmtl.findings import ImageResult, ModelIdentity, StudyResult
from node.domain import Predecessor
from node.identity import MANUFACTURER
from node.kinds import ObjectKind
from node.results.common import codes
from node.results.common.content import evidence, replaced
from node.results.common.finish import PENDING, Clock, Origin, finish, now
from node.results.common.lesions import Lesion, lesions_of
from node.results.common.naming import device_uid, series_description, series_number, side_and_view, tracking_uid
from node.results.common.outcome import Known, image_status, known_images, referable
from node.results.common.outline import line
from node.results.common.request import refer_to_requests
from node.results.common.source import UTF8
from node.results.common.stamp import equipment, patient_of
from node.results.sr.evaluations import comment, evaluations, image_summary
from node.results.sr.library import image_library
from node.results.sr.parts import Group, algorithm, score
from node.results.sr.scores import derived_measurements

SOURCES_OF_PROCEDURE = ("ProcedureCodeSequence", "RequestedProcedureCodeSequence")
"""Where a header may name the procedure: as performed and as requested (PS3.3 C.7.2.1, C.4.11)."""


def build_report(
    sources: Sequence[Dataset],
    result: StudyResult,
    segmentations: Mapping[str, Segmentation],
    missing: Mapping[str, Dataset] = {},
    *,
    kind: ObjectKind = ObjectKind.SR,
    nth: int = 0,
    predecessor: Predecessor | None = None,
    only: str = "",
    clock: Clock = now,
) -> Comprehensive3DSR | ComprehensiveSR:
    """Return the report of a study.

    Parameters
    ----------
    sources
        Normalised headers of the images that were analysed, in a fixed order; all of one study.
    result
        What was found. Its other images count as not analysed.
    segmentations
        By SOP Instance UID of the source image: the masks, for every image with findings.
    missing
        By SOP Instance UID: normalised headers of the images that were not processed or failed, as far
        as they could be read. The report cannot refer to the others; it only mentions them in words. Nor does it refer
        to images that its outcome is not about.
    kind
        ``sr``; ``sr-comprehensive`` makes a Comprehensive SR, for destinations that refuse a Comprehensive 3D SR;
        ``sr-ohif`` a report of one image, in a series of its own.
    nth
        Which series of its kind it is, from 0.
    predecessor
        An earlier report on the same study, if the new one replaces it.
    only
        SOP Instance UID of the only image that the report is about, if it is not about the whole study; its lesions
        have the numbers that they have in the study.
    clock
        When it was first made.

    Returns
    -------
    Comprehensive3DSR or ComprehensiveSR
        Complete, unverified, preliminary; Explicit VR Little Endian. Every mammogram with a header and every
        segmentation is evidence. The same content has the same UIDs. The ``content`` property
        lacks the measurements; ``ContentSequence`` has them, and so does the file once it is read.

    Raises
    ------
    KeyError
        If an image is not in ``result``.
    ValueError
        If no image has a header, or an image or the predecessor belongs to another study.
    """
    lesions = lesions_of(result)
    result = about(result, only)
    headers_of = {str(header.SOPInstanceUID): header for header in sources} | dict(missing)
    told = referable(result, headers_of)
    images = [known for known in known_images(sources, result, missing) if known.image.sop_instance_uid in told]
    place = {image.sop_instance_uid: n for n, image in enumerate(result.hung)}
    images.sort(key=lambda known: place[known.image.sop_instance_uid])
    headers = [known.header for known in images]
    analysed = [source.SOPInstanceUID for source in sources]
    if predecessor is not None and predecessor.study_uid != result.study_uid:
        raise ValueError(f"the predecessor {predecessor.sop_instance_uid} is not in study {result.study_uid}")
    root = _content(images, result, lesions)[0]
    *context, measurements = root.ContentSequence
    # highdicom copies the tree twice and walks it twice more, which costs more than everything else.
    # So it gets the tree without the measurements (which come last); the check of the written file
    # makes sure that every reference leads somewhere.
    root.ContentSequence = root.ContentSequence[:-1]
    report = _document(images[0], root, kind, nth, result.model)
    derived = () if only else derived_measurements(images, result)
    report.ContentSequence = Items(
        [*context, image_library(images), measurements, *derived, evaluations(images, result)]
    )
    masks = [segmentations[uid] for uid in analysed if uid in segmentations]
    report.CurrentRequestedProcedureEvidenceSequence = [evidence([*headers, *masks])]
    if analysed:
        report.PerformedProcedureCodeSequence = [CodedConcept.from_code(codes.MAMMOGRAPHY)]
    if predecessor is not None:
        report.PredecessorDocumentsSequence = [replaced(predecessor)]
    refer_to_requests(report, headers[0])
    finish(report, kind, Origin(headers, result.images, result.model), clock)
    return report


def about(result: StudyResult, only: str) -> StudyResult:
    """Return the part of a result that a report is about: all of it, or one image."""
    if not only:
        return result
    return replace(result, images=tuple(image for image in result.images if image.sop_instance_uid == only))


def _document(
    first: Known, root: Dataset, kind: ObjectKind, nth: int, model: ModelIdentity
) -> Comprehensive3DSR | ComprehensiveSR:
    """Let highdicom make the object, with patient and study from the header of the first image."""
    title = "AI Mammography Report"
    if kind is ObjectKind.SR_OHIF:  # which cuts off names after about twenty characters
        title = f"{side_and_view(first.image.laterality, first.image.view)} AI Report for OHIF".strip()
    return (ComprehensiveSR if kind is ObjectKind.SR_COMPREHENSIVE else Comprehensive3DSR)(
        evidence=[patient_of(first.header)],
        content=root,
        series_instance_uid=PENDING,
        series_number=series_number(kind, model, nth),
        sop_instance_uid=PENDING,
        instance_number=1,
        is_complete=True,
        is_final=False,
        is_verified=False,
        specific_character_set=UTF8,
        series_description=series_description(title, model),
        coding_schemes=[_coding_scheme()],
        **equipment(model),
    )


def _coding_scheme() -> CodingSchemeIdentificationItem:
    return CodingSchemeIdentificationItem(
        designator=codes.SCHEME,
        name=codes.SCHEME_NAME,
        responsible_organization=MANUFACTURER,
    )


def _content(
    images: Sequence[Known], result: StudyResult, lesions: Mapping[str, Sequence[Lesion]]
) -> MeasurementReport:
    """Return the tree of TID 1500 down to its measurements, without the library."""
    groups: list[Group] = [
        _lesion_group(known.header, lesion)
        for known in images
        if known.analysed
        for lesion in lesions[known.image.sop_instance_uid]
    ]
    return MeasurementReport(
        observation_context=_observer(result.model),
        procedure_reported=procedure([known.header for known in images]),
        imaging_measurements=groups or [_image_group(known, result.model) for known in images],
        title=codes.REPORT,
    )


def procedure(headers: Sequence[Dataset]) -> codes.Code:
    """Return the code of the procedure: the first one that a header has, else that of mammography."""
    for header in headers:
        requests = header.get("RequestAttributesSequence") or ()
        for place in (header, *requests):
            for keyword in SOURCES_OF_PROCEDURE:
                for item in place.get(keyword) or ():
                    told = [str(item.get(k) or "") for k in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")]
                    if all(told):
                        return codes.Code(*told)
    return codes.MAMMOGRAPHY


def _observer(model: ModelIdentity) -> ObservationContext:
    """Return the device as observer (TID 1004)."""
    device = DeviceObserverIdentifyingAttributes(
        uid=device_uid(model),
        name=f"{model.name} {model.version}",
        manufacturer_name=MANUFACTURER,
        model_name=model.name,
        serial_number=model.weights_sha256[:16],
    )
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=CodedConcept.from_code(codes.DEVICE),
            observer_identifying_attributes=device,
        )
    )


def _lesion_group(source: Dataset, lesion: Lesion) -> Group:
    """Return the group of a lesion: its outline, its scores, and its sizes if the pixel spacing is known (TID 1410)."""
    finding = lesion.finding
    sizes = ((codes.AREA, finding.area_mm2, codes.MM2), (codes.LONG_AXIS, finding.long_axis_mm, codes.MM))
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=lesion.tracking_uid, identifier=lesion.tracking_id),
        referenced_region=ImageRegion(
            GraphicTypeValues.POLYLINE,
            line(finding.mask).astype(np.float32),
            SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID),
        ),
        geometric_purpose=codes.OUTLINE,
        finding_type=codes.FINDING_TYPES[finding.type],
        finding_sites=[FindingSite(codes.breast(lesion.image.laterality))],
        measurements=[
            score(codes.CANCER_SCORE, finding.cancer_score),
            score(codes.LESION_SCORE, finding.lesion_score),
            score(codes.MALIGNANCY_SCORE, finding.malignancy_score),
            *(Measurement(name, round(value, 2), unit) for name, value, unit in sizes if value is not None),
        ],
        algorithm_id=algorithm(lesion.model, spacing_note(lesion.image)),
    )


def spacing_note(image: ImageResult) -> str:
    """Return what the sizes were measured on, and by which pixel spacing, in words."""
    if image.spacing_mm is None:
        return "pixel spacing unknown, sizes not measured"
    row, column = image.spacing_mm
    kind = image.spacing_source or "unspecified"
    return f"sizes of the mask; pixel spacing {row:.5g} x {column:.5g} mm (row x column), {kind}"


def _image_group(known: Known, model: ModelIdentity) -> Group:
    """Return the group of an image on which nothing was found, or that was not read (TID 1501)."""
    source, image, _ = known
    outcomes = [(codes.SUMMARY_OF_DETECTIONS, image_status(image))]
    if image.was_read:
        outcomes.append((codes.CAD_SUMMARY, image_summary(image)))
    called = side_and_view(image.laterality, image.view)
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=tracking_uid(image.sop_instance_uid, model, 0), identifier=f"{called} image".strip()
        ),
        source_images=[SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)],
        finding_sites=[FindingSite(codes.breast(image.laterality))] if image.was_read else None,
        qualitative_evaluations=[QualitativeEvaluation(name, value) for name, value in outcomes],
        algorithm_id=algorithm(model),
    )
    if not image.was_read:
        words = TextContentItem(codes.COMMENT, comment(image), RelationshipTypeValues.CONTAINS)
        group[0].ContentSequence.append(words)
    return group
