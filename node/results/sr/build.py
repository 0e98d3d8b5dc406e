"""The measurement reports of a study: one for the whole study, or for OHIF one per image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from node.kinds import ObjectKind
from node.results.sr.measurement_report import build_report
from node.results.sr.ohif import build_reports_ohif
from node.results.study import Expected, Made, Study


def make(study: Study, kind: ObjectKind) -> Iterator[Made]:
    """Yield the report of the study, or for OHIF one per image with findings."""
    if kind is ObjectKind.SR_OHIF:
        yield from _reports_ohif(study)
        return
    masks = study.segmentations(ObjectKind.SEG)
    predecessor = study.predecessors.get(ObjectKind.SR)
    report = build_report(
        list(study.headers.values()),
        study.result,
        masks,
        study.missing,
        kind=kind,
        predecessor=predecessor,
        clock=study.clock,
    )
    yield Made(report, Expected(kind, study.result, study.headers, masks, study.missing, predecessor))


def _reports_ohif(study: Study) -> Iterator[Made]:
    """Yield one report per image; each is checked as if the study were only this image."""
    masks = study.segmentations(ObjectKind.SEG_OHIF)
    images = {image.sop_instance_uid: image for _, image in study.found}
    headers = [header for header, _ in study.found]
    for uid, report in build_reports_ohif(headers, study.result, masks, study.clock).items():
        expected = study.alone(ObjectKind.SR_OHIF, images[uid])
        alone = replace(study.result, images=(images[uid],))
        yield Made(report, replace(expected, result=alone, segmentations={uid: masks[uid]}))
