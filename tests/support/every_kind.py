"""Objects of every kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from node.kinds import ObjectKind as Kind
from node.results.build import build_results
from node.results.common.source import read_source
from support import mg

REPORTS = (Kind.SR, Kind.SR_COMPREHENSIVE, Kind.SR_OHIF)
"""Measurement reports."""

CADS = (Kind.CAD, Kind.CAD_DENSITY)
"""Mammography CAD reports."""

OF_THE_STUDY = [Kind.SR, Kind.SR_COMPREHENSIVE, *CADS, Kind.SC]
"""What there is of every study, whatever happened."""


def every_object(folder: Path) -> list[Path]:
    """Write a synthetic study of four images with findings, then objects of every kind; return all their paths."""
    (folder / "sources").mkdir()
    paths = mg.four_views(folder / "sources", (401, 299))
    headers = [read_source(path) for path in paths]
    images = [mg.image_result(headers[0], [mg.finding(), mg.finding(52, 66, (30, 30))])]
    images += map(mg.image_result, headers[1:])
    made = build_results(
        mg.study_result(images), paths, folder / "results", tuple(Kind), display=lambda *_: np.zeros((401, 299))
    )
    assert {result.kind for result in made} == set(Kind)
    return [*paths, *(result.path for result in made)]
