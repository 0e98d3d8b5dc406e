"""Findings of a study for mammography workstations: Mammography CAD SR (PS3.3 A.35.5, PS3.16 TID 4000).

Workstations read it to draw marks on the images. highdicom has no class for it, so the tree is built
by hand. It names every image once, in its Image Library, and everything else refers to that entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian, MammographyCADSRStorage

from ftmtl.findings import StudyResult
from node.domain import Predecessor
from node.identity import MANUFACTURER
from node.kinds import ObjectKind
from node.results.cad.impression import overall_impression
from node.results.cad.library import Entry, detections, library_entry, library_of
from node.results.common import codes
from node.results.common.content import CONTAINS, HAS_CONCEPT_MOD, coded, container, evidence, replaced
from node.results.common.finish import PENDING, Clock, Origin, finish, now
from node.results.common.naming import series_description, series_number
from node.results.common.request import refer_to_requests
from node.results.common.source import PATIENT_AND_STUDY
from node.results.common.stamp import equipment, nameless
from node.results.study import Expected, Made, Study


def make(study: Study, kind: ObjectKind) -> Iterator[Made]:
    """Yield the CAD report of the study."""
    replaces = study.predecessors.get(kind)
    report = build_cad_report(
        list(study.headers.values()), study.result, study.missing, kind=kind, predecessor=replaces, clock=study.clock
    )
    yield Made(report, Expected(kind, study.result, study.headers, missing=study.missing, predecessor=replaces))


def build_cad_report(
    sources: Sequence[Dataset],
    result: StudyResult,
    missing: Mapping[str, Dataset] = {},
    *,
    kind: ObjectKind = ObjectKind.CAD,
    predecessor: Predecessor | None = None,
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
    kind
        Which kind of CAD report it is.
    predecessor
        An earlier report on the same study, if the new one replaces it.

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
        If no image has a header, or an image or the predecessor belongs to another study.
    """
    library = library_of(sources, result, missing)
    ds = _document(library, result, kind)
    if predecessor is not None:
        if predecessor.study_uid != result.study_uid:
            raise ValueError(f"the predecessor {predecessor.sop_instance_uid} is not in study {result.study_uid}")
        ds.PredecessorDocumentsSequence = Items([replaced(predecessor)])
    root = container("", codes.CAD_REPORT, _content(library, result, kind))
    root.ContentTemplateSequence = Items([_template()])
    ds.update(root)
    finish(ds, kind, Origin([entry.header for entry in library], result.images, result.model), clock)
    return ds


def _document(library: list[Entry], result: StudyResult, kind: ObjectKind) -> Dataset:
    """Return everything but the content tree: Patient, Study, SR Document Series, Equipment, SR Document General."""
    ds, model = Dataset(), result.model
    patient = nameless(library[0].header)
    for keyword in PATIENT_AND_STUDY:
        if keyword in patient:
            ds.add(patient[keyword])
    ds.SOPClassUID, ds.SOPInstanceUID = MammographyCADSRStorage, UID(PENDING)
    ds.Modality, ds.SeriesInstanceUID = "SR", PENDING
    ds.SeriesNumber, ds.InstanceNumber = series_number(kind, model), 1
    ds.SeriesDescription = series_description("AI Mammography CAD SR", model)
    refer_to_requests(ds, library[0].header)
    ds.CodingSchemeIdentificationSequence = Items([_coding_scheme()])
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


def _coding_scheme() -> Dataset:
    """Return whose the codes are that the standard does not have (PS3.3 C.12.1)."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = codes.SCHEME, codes.SCHEME_NAME
    scheme.CodingSchemeResponsibleOrganization = MANUFACTURER
    return scheme


def _template() -> Dataset:
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "4000"
    return template


def _content(library: list[Entry], result: StudyResult, kind: ObjectKind) -> Iterator[Dataset]:
    """Yield the items below the root (TID 4000). The library must come second: positions in it rely on that."""
    yield coded(HAS_CONCEPT_MOD, codes.LANGUAGE, codes.ENGLISH)
    yield container(CONTAINS, codes.IMAGE_LIBRARY, map(library_entry, library))
    yield overall_impression(library, result, kind)
    yield detections(library, result, kind)
    yield coded(CONTAINS, codes.SUMMARY_OF_ANALYSES, codes.NOT_ATTEMPTED)
