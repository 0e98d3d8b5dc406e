"""Measurement reports for OHIF, which shows only the findings on the first image of a report (TID 1500).

The report of the study is still the one of :mod:`node.results.sr.build`; these say the same about one image each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from highdicom.seg import Segmentation
from highdicom.sr import Comprehensive3DSR, ComprehensiveSR
from pydicom.dataset import Dataset
from pydicom.uid import UID

from ftmtl.findings import ImageResult, StudyResult
from node.kinds import ObjectKind
from node.results.common.naming import image_parts, object_uid, side_and_view
from node.results.sr.measurement_report import build_report


def build_reports_ohif(
    sources: Sequence[Dataset],
    result: StudyResult,
    segmentations: Mapping[str, Segmentation],
    series_number: int = ObjectKind.SR_OHIF.row.series_number,
) -> dict[str, Comprehensive3DSR | ComprehensiveSR]:
    """Return one report per image on which lesions were found.

    Parameters
    ----------
    sources
        Normalised headers of the images that were analysed, in a fixed order; all of one study.
    result
        What was found; images that were not analysed, or on which nothing was found, get no report.
    segmentations
        By SOP Instance UID of the source image: the masks that the reports refer to. OHIF can open
        those of kind ``seg-ohif``.
    series_number
        Number of the first report's series; each report is a series of its own.

    Returns
    -------
    dict
        By SOP Instance UID of the source image. The same arguments give the same bytes.
    """
    images = {image.sop_instance_uid: image for image in result.images if image.findings}
    found = [source for source in sources if source.SOPInstanceUID in images]
    return {
        source.SOPInstanceUID: _report(source, images[source.SOPInstanceUID], result, segmentations, number)
        for number, source in enumerate(found, start=series_number)
    }


def _report(
    source: Dataset,
    image: ImageResult,
    result: StudyResult,
    segmentations: Mapping[str, Segmentation],
    series_number: int,
) -> Comprehensive3DSR | ComprehensiveSR:
    """Build the report of a study of one image, under a name and UIDs of its own."""
    uid = source.SOPInstanceUID
    report = build_report([source], result, {uid: segmentations[uid]}, only=image.sop_instance_uid)
    report.SOPInstanceUID = UID(object_uid("sr-ohif", image_parts(image), result.model))
    report.file_meta.MediaStorageSOPInstanceUID = report.SOPInstanceUID
    report.SeriesInstanceUID = object_uid("sr-ohif-series", image_parts(image), result.model)
    report.SeriesNumber = series_number
    where = side_and_view(image.laterality, image.view)
    report.SeriesDescription = f"{where} AI Report for OHIF (RESEARCH)".strip()
    return report
