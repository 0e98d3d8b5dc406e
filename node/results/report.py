"""Findings of a study as a measurement report: TID 1500 in a Comprehensive 3D SR (PS3.16, PS3.3 A.35.13).

A lesion is two TID 1410 groups with one tracking UID, because a group takes either a region or a
segment: the first carries the box and the probabilities, the second the mask and its measurements.
Where nothing was found, one TID 1501 group an image says so. The two kinds never share a report:
validators and viewers stumble over the mixture.
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
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    SourceImageForSegmentation,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset

from ftmtl.findings import Finding, ImageResult, ModelIdentity, StudyResult
from node.results import codes
from node.results.identity import MANUFACTURER, derived_uid, object_uid, side_and_view, tracking_id, tracking_uid
from node.results.stamp import RESEARCH_NOTICE, algorithm_parameters, equipment, nameless, stamp

SERIES_NUMBER = 900
"""Series Number of the report: before the segmentations, of which there may be any number."""

Group = PlanarROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations


def build_report(
    sources: Sequence[Dataset], result: StudyResult, segmentations: Mapping[str, Segmentation]
) -> Comprehensive3DSR:
    """Return the report of a study.

    Parameters
    ----------
    sources
        Normalised headers of the images that were analysed, in a fixed order; all of one study.
    result
        What was found; images that were not analysed are ignored.
    segmentations
        By SOP Instance UID of the source image: the masks, for every image with findings.

    Returns
    -------
    Comprehensive3DSR
        Complete, unverified, preliminary; Explicit VR Little Endian. Every source and every
        segmentation is evidence. The same arguments give the same bytes. Its ``content`` property
        lacks the measurements; ``ContentSequence`` has them, and so has the file once it is read.

    Raises
    ------
    ValueError
        If no image was analysed.
    """
    if not sources:
        raise ValueError("a report needs at least one analysed image")
    model, uids = result.model, [source.SOPInstanceUID for source in sources]
    evidence = [nameless(sources[0]), *sources[1:], *(segmentations[uid] for uid in uids if uid in segmentations)]
    root = _content(sources, result, segmentations)[0]
    tree = root.ContentSequence
    root.ContentSequence = tree[:-1]
    report = Comprehensive3DSR(
        evidence=evidence,
        content=root,
        series_instance_uid=object_uid("sr-series", uids, model),
        series_number=SERIES_NUMBER,
        sop_instance_uid=object_uid("sr", uids, model),
        instance_number=1,
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description="AI Mammography Report (RESEARCH)",
        coding_schemes=[_coding_scheme()],
        **equipment(model),
    )
    # highdicom copies the tree twice and walks it twice more, which costs more than all the rest; it
    # gets it without the measurements (which are last), and whether every reference leads somewhere
    # is checked on the written file.
    report.ContentSequence = tree
    stamp(report, list(sources))
    return report


def _coding_scheme() -> CodingSchemeIdentificationItem:
    return CodingSchemeIdentificationItem(
        designator=codes.SCHEME,
        name="Concepts of ftmtl-node that the standard has no code for",
        responsible_organization=MANUFACTURER,
    )


def _content(
    sources: Sequence[Dataset], result: StudyResult, segmentations: Mapping[str, Segmentation]
) -> MeasurementReport:
    """Return the tree of TID 1500."""
    images = {image.sop_instance_uid: image for image in result.images}
    analysed = [(source, images[source.SOPInstanceUID]) for source in sources]
    groups: list[Group] = []
    if any(image.findings for _, image in analysed):
        for source, image in analysed:
            if image.findings:
                groups += _lesions(source, image, segmentations[image.sop_instance_uid], result.model)
    else:
        groups = [_without_findings(source, image, result.model) for source, image in analysed]
    return MeasurementReport(
        observation_context=_observer(result.model),
        procedure_reported=codes.PROCEDURE,
        imaging_measurements=groups,
        title=codes.REPORT,
    )


def _observer(model: ModelIdentity) -> ObservationContext:
    """Say that a device speaks (TID 1004), and what it may be used for."""
    device = DeviceObserverIdentifyingAttributes(
        uid=derived_uid("device", MANUFACTURER, model.name, model.version, model.weights_sha256),
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
    """Name the algorithm (TID 4019); its parameters carry what else a reader has to know."""
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
                identifier=tracking_id(image.laterality, image.view, n),
            ),
            "finding_type": codes.FINDING_TYPES[finding.type],
            "finding_sites": [FindingSite(codes.breast(image.laterality))],
        }
        yield _box_group(source, finding, model, common)
        yield _mask_group(source, image, finding, seg, n, model, common)


def _box_group(source: Dataset, finding: Finding, model: ModelIdentity, common: dict[str, Any]) -> Group:
    """Return the group of the box: how likely it is a lesion, and a malignant one (TID 1410)."""
    x0, y0, x1, y1 = finding.box
    malignant = finding.malignancy_probability >= 0.5
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        referenced_region=ImageRegion(
            GraphicTypeValues.POLYLINE,
            np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], dtype=np.float32),
            SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID),
        ),
        geometric_purpose=codes.BOUNDED_BY,
        measurements=[
            _percent(codes.PROBABILITY_OF_CANCER, finding.cancer_probability),
            _percent(codes.CERTAINTY_OF_FINDING, finding.lesion_probability),
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
    """Return the group of the segment: how large it is, where the image tells (TID 1410)."""
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
    """Say in words which pixel spacing the measurements rest on."""
    if image.spacing_mm is None:
        return "pixel spacing unknown, sizes not measured"
    row, column = image.spacing_mm
    kind = image.spacing_source or "unspecified"
    return f"pixel spacing {row:.5g} x {column:.5g} mm (row x column), {kind}"


def _without_findings(source: Dataset, image: ImageResult, model: ModelIdentity) -> Group:
    """Return the group of an image on which nothing was found (TID 1501)."""
    where = side_and_view(image.laterality, image.view)
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=derived_image_uid(image, model), identifier=f"{where} image".strip()
        ),
        source_images=[SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)],
        finding_sites=[FindingSite(codes.breast(image.laterality))],
        measurements=[_percent(codes.PROBABILITY_OF_CANCER, image.score or 0.0)],
        qualitative_evaluations=[QualitativeEvaluation(codes.CAD_SUMMARY, codes.ALL_SUCCEEDED_WITHOUT_FINDINGS)],
        algorithm_id=_algorithm(model),
    )


def derived_image_uid(image: ImageResult, model: ModelIdentity) -> str:
    """Return the Tracking Unique Identifier of an image-level group: finding 0 of the image."""
    return tracking_uid(image.sop_instance_uid, model, 0)


def _percent(name: codes.Code, probability: float) -> Measurement:
    return Measurement(name, round(100 * probability, 2), codes.PERCENT)
