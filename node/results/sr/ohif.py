"""Measurement reports for OHIF, which shows only the findings on the first image of a report (TID 1500).

The report of the study is still the one of :mod:`node.results.sr.build`; these say the same about one image each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from highdicom.seg import Segmentation
from highdicom.sr import Comprehensive3DSR, ComprehensiveSR
from pydicom.dataset import Dataset

from ftmtl.findings import StudyResult
from node.kinds import ObjectKind
from node.results.common.finish import Clock, now
from node.results.sr.measurement_report import build_report


def build_reports_ohif(
    sources: Sequence[Dataset],
    result: StudyResult,
    segmentations: Mapping[str, Segmentation],
    clock: Clock = now,
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
    clock
        When each was first made.

    Returns
    -------
    dict
        By SOP Instance UID of the source image. The same content has the same UIDs.
    """
    images = {image.sop_instance_uid: image for image in result.images if image.findings}
    found = [source for source in sources if source.SOPInstanceUID in images]
    return {
        (uid := source.SOPInstanceUID): build_report(
            [source],
            replace(result, images=(images[uid],)),
            {uid: segmentations[uid]},
            kind=ObjectKind.SR_OHIF,
            nth=nth,
            clock=clock,
        )
        for nth, source in enumerate(found)
    }
