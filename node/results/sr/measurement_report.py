"""What happened to a study, as a measurement report: TID 1500 in a Comprehensive 3D SR (PS3.16, PS3.3 A.35.13).

A lesion is two TID 1410 groups with one tracking UID, because a group takes either a region or a
segment: the first has the box and the probabilities, the second the mask and its measurements.
If nothing was found, one TID 1501 group per image says how its analysis ended. The two kinds of groups
never share a report, because validators and viewers stumble over the mixture.

To make every report complete all the same, its Qualitative Evaluations (TID 1500, rows 12 to 14) say how the
whole analysis ended and, image by image, where nothing was found, and which images were not analysed and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.seg import Segmentation
from highdicom.sr import (
    AlgorithmIdentification,
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
    ReferencedSegmentationFrame,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    SourceImageForSegmentation,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from ftmtl.findings import Finding, ImageResult, ModelIdentity, Outcome, StudyResult
from node.domain import Predecessor
from node.identity import MANUFACTURER
from node.kinds import ObjectKind
from node.results.common import codes
from node.results.common.content import (
    CONTAINS,
    INFERRED_FROM,
    coded,
    container,
    evidence,
    image_item,
    replaced,
    text,
)
from node.results.common.finish import PENDING, Clock, Origin, finish, now
from node.results.common.naming import device_uid, series_description, series_number, side_and_view, tracking_uid
from node.results.common.outcome import Known, hung, known_images, outcome_code, reason_of, where
from node.results.common.request import refer_to_requests
from node.results.common.source import UTF8
from node.results.common.stamp import RESEARCH_NOTICE, algorithm_parameters, equipment, patient_of

Group = PlanarROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations


def build_report(
    sources: Sequence[Dataset],
    result: StudyResult,
    segmentations: Mapping[str, Segmentation],
    missing: Mapping[str, Dataset] = {},
    *,
    kind: ObjectKind = ObjectKind.SR,
    nth: int = 0,
    predecessor: Predecessor | None = None,
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
        as they could be read. The report cannot refer to the others; it only mentions them in words.
    kind
        ``sr``; ``sr-comprehensive`` makes a Comprehensive SR, for destinations that refuse a Comprehensive 3D SR;
        ``sr-ohif`` a report of one image, in a series of its own.
    nth
        Which series of its kind it is, from 0.
    predecessor
        An earlier report on the same study, if the new one replaces it.
    clock
        When it was first made.

    Returns
    -------
    Comprehensive3DSR or ComprehensiveSR
        Complete, unverified, preliminary; Explicit VR Little Endian. Every image with a header and every
        segmentation is evidence. The same content has the same UIDs. The ``content`` property
        lacks the measurements; ``ContentSequence`` has them, and so does the file once it is read.

    Raises
    ------
    KeyError
        If an image is not in ``result``.
    ValueError
        If no image has a header, or an image or the predecessor belongs to another study.
    """
    images = known_images(sources, result, missing)
    headers = [known.header for known in images]
    analysed = [source.SOPInstanceUID for source in sources]
    if predecessor is not None and predecessor.study_uid != result.study_uid:
        raise ValueError(f"the predecessor {predecessor.sop_instance_uid} is not in study {result.study_uid}")
    root = _content(images, result, segmentations)[0]
    tree = root.ContentSequence
    # highdicom copies the tree twice and walks it twice more, which costs more than everything else.
    # So it gets the tree without the measurements (which come last); the check of the written file
    # makes sure that every reference leads somewhere.
    root.ContentSequence = tree[:-1]
    report = _document(images[0], root, kind, nth, result.model)
    report.ContentSequence = Items([*tree, _evaluations(images, result)])
    masks = [segmentations[uid] for uid in analysed if uid in segmentations]
    report.CurrentRequestedProcedureEvidenceSequence = [evidence([*headers, *masks])]
    if analysed:
        report.PerformedProcedureCodeSequence = [CodedConcept.from_code(codes.MAMMOGRAPHY)]
    if predecessor is not None:
        report.PredecessorDocumentsSequence = [replaced(predecessor)]
    refer_to_requests(report, headers[0])
    finish(report, kind, Origin(headers, result.images, result.model), clock)
    return report


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
    images: Sequence[Known], result: StudyResult, segmentations: Mapping[str, Segmentation]
) -> MeasurementReport:
    """Return the tree of TID 1500 down to its measurements."""
    groups: list[Group] = []
    for header, image, analysed in images:
        if analysed and image.findings:
            groups += _lesions(header, image, segmentations[image.sop_instance_uid], result.model)
    return MeasurementReport(
        observation_context=_observer(result.model),
        procedure_reported=codes.PROCEDURE,
        imaging_measurements=groups or [_image_group(known, result.model) for known in images],
        title=codes.REPORT,
    )


def _evaluations(images: Sequence[Known], result: StudyResult) -> Dataset:
    """Return how the whole analysis ended, as a code and in words (TID 1500, rows 12 to 14)."""
    analysed = [known.image for known in images if known.analysed]
    return container(
        CONTAINS,
        codes.QUALITATIVE_EVALUATIONS,
        [
            coded(CONTAINS, codes.CAD_SUMMARY, outcome_code(result)),
            text(CONTAINS, codes.IMPRESSION_DESCRIPTION, impression(analysed, result)),
            *_comments(images, result),
        ],
    )


def impression(analysed: Sequence[ImageResult], result: StudyResult) -> str:
    """Return the research notice, how many images were analysed, how many findings they have, and what was read."""
    found = sum(len(image.findings) for image in analysed)
    count = f"{len(analysed)} of {len(result.images)} images analysed; findings: {found}."
    return "\r\n".join(filter(None, (RESEARCH_NOTICE, count, result.coverage)))


def _comments(images: Sequence[Known], result: StudyResult) -> Iterator[Dataset]:
    """Yield a comment on each image without findings or with notes, inferred from the image if it has a header."""
    by_uid = {known.image.sop_instance_uid: known for known in images}
    for image in hung(result):
        known = by_uid.get(image.sop_instance_uid)
        analysed = known is not None and known.analysed
        if is_commented(image, analysed):
            of = [] if known is None else [image_item(INFERRED_FROM, known.header, name=codes.SOURCE)]
            yield text(CONTAINS, codes.COMMENT, comment(image, analysed), of)


def is_commented(image: ImageResult, analysed: bool) -> bool:
    """Return whether a report has a comment on an image: it has no findings, or a reader has to know something."""
    return not (analysed and image.findings) or bool(image.notes)


def comment(image: ImageResult, analysed: bool) -> str:
    """Return the comment on an image, such as ``L CC not processed: ...``, with its notes."""
    if analysed:
        said = f"{where(image)}: no findings" if not image.findings else f"{where(image)}:"
    else:
        said = f"{where(image)} {'failed' if image.outcome is Outcome.FAILED else 'not processed'}: {reason_of(image)}"
    stop = "" if not image.notes or said.endswith((":", ".")) else "."
    return " ".join((said + stop, *image.notes))


def _observer(model: ModelIdentity) -> ObservationContext:
    """Return the device as observer (TID 1004), and what it may be used for."""
    device = DeviceObserverIdentifyingAttributes(
        uid=device_uid(model),
        name=f"{model.name} {model.version}. {RESEARCH_NOTICE}",
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


def _algorithm(model: ModelIdentity, *more: str) -> AlgorithmIdentification:
    """Return the identification of the algorithm (TID 4019); its parameters say what else a reader has to know."""
    return AlgorithmIdentification(
        name=model.name,
        version=model.version,
        parameters=[algorithm_parameters(model), *more],
        family=codes.ARTIFICIAL_INTELLIGENCE,
    )


def _lesions(source: Dataset, image: ImageResult, seg: Segmentation, model: ModelIdentity) -> Iterator[Group]:
    """Yield both groups of each lesion of an image."""
    for n, finding in enumerate(image.findings, start=1):
        common = {
            "tracking_identifier": TrackingIdentifier(
                uid=tracking_uid(image.sop_instance_uid, model, n),
                identifier=f"{side_and_view(image.laterality, image.view)} lesion {n}",
            ),
            "finding_type": codes.FINDING_TYPES[finding.type],
            "finding_sites": [FindingSite(codes.breast(image.laterality))],
        }
        yield _box_group(source, finding, model, common)
        yield _mask_group(source, image, finding, seg, n, model, common)


def _box_group(source: Dataset, finding: Finding, model: ModelIdentity, common: dict[str, Any]) -> Group:
    """Return the group of the box: how likely it is to be a lesion, and a malignant one (TID 1410)."""
    x0, y0, x1, y1 = finding.box
    malignant = finding.malignancy_score >= 0.5
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        referenced_region=ImageRegion(
            GraphicTypeValues.POLYLINE,
            np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], dtype=np.float32),
            SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID),
        ),
        geometric_purpose=codes.BOUNDED_BY,
        measurements=[
            _percent(codes.PROBABILITY_OF_CANCER, finding.cancer_score),
            _percent(codes.CERTAINTY_OF_FINDING, finding.lesion_score),
        ],
        qualitative_evaluations=[
            QualitativeEvaluation(codes.MALIGNANCY_CLASS, codes.MALIGNANT if malignant else codes.BENIGN)
        ],
        algorithm_id=_algorithm(model),
        **common,
    )


def _mask_group(
    source: Dataset,
    image: ImageResult,
    finding: Finding,
    seg: Segmentation,
    n: int,
    model: ModelIdentity,
    common: dict[str, Any],
) -> Group:
    """Return the group of the segment: how large it is, if the pixel spacing is known (TID 1410)."""
    segment = ReferencedSegmentationFrame(
        sop_class_uid=seg.SOPClassUID,
        sop_instance_uid=seg.SOPInstanceUID,
        frame_number=n,
        segment_number=n,
        source_image=SourceImageForSegmentation(source.SOPClassUID, source.SOPInstanceUID),
    )
    # A reference names a frame or a segment, not both (PS3.3 10.3); here they are the same thing.
    del segment[0].ReferencedSOPSequence[0].ReferencedFrameNumber
    sizes = ((codes.AREA, finding.area_mm2, codes.MM2), (codes.LONG_AXIS, finding.long_axis_mm, codes.MM))
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        referenced_segment=segment,
        measurements=[Measurement(name, round(value, 2), unit) for name, value, unit in sizes if value is not None],
        algorithm_id=_algorithm(model, spacing_note(image)),
        **common,
    )


def spacing_note(image: ImageResult) -> str:
    """Return which pixel spacing the measurements are based on, in words."""
    if image.spacing_mm is None:
        return "pixel spacing unknown, sizes not measured"
    row, column = image.spacing_mm
    kind = image.spacing_source or "unspecified"
    return f"pixel spacing {row:.5g} x {column:.5g} mm (row x column), {kind}"


def _image_group(known: Known, model: ModelIdentity) -> Group:
    """Return the group of an image on which nothing was found, or that was not analysed (TID 1501)."""
    source, image, analysed = known
    called = side_and_view(image.laterality, image.view)
    summary = codes.ALL_SUCCEEDED_WITHOUT_FINDINGS if analysed else codes.NONE_SUCCEEDED
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=derived_image_uid(image, model), identifier=f"{called} image".strip()
        ),
        source_images=[SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)],
        finding_sites=[FindingSite(codes.breast(image.laterality))] if analysed else None,
        measurements=[_percent(codes.PROBABILITY_OF_CANCER, 0.0)] if analysed else None,
        qualitative_evaluations=[QualitativeEvaluation(codes.CAD_SUMMARY, summary)],
        algorithm_id=_algorithm(model),
    )
    if not analysed:
        words = TextContentItem(codes.COMMENT, comment(image, analysed), RelationshipTypeValues.CONTAINS)
        group[0].ContentSequence.append(words)
    return group


def derived_image_uid(image: ImageResult, model: ModelIdentity) -> str:
    """Return the Tracking Unique Identifier of an image-level group: finding 0 of the image."""
    return tracking_uid(image.sop_instance_uid, model, 0)


def _percent(name: codes.Code, probability: float) -> Measurement:
    return Measurement(name, round(100 * probability, 2), codes.PERCENT)
