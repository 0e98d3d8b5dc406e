"""Two models over one study: by what a reader, a workstation and a program tell their results apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from support import mg
from support.every_kind import REPORTS

from ftmtl.findings import FindingType, ModelIdentity
from node.kinds import ObjectKind as Kind
from node.results.build import build_results
from node.results.common import codes
from node.results.common.content import value_of, walk
from node.results.common.source import read_source

FIRST = replace(mg.MODEL, manufacturer="One", looks_for=(FindingType.MASS,))
MODELS = {
    "another version": replace(FIRST, version="2.0.0", weights_sha256="cd34" * 16),
    "other weights of the same name": replace(FIRST, weights_sha256="cd34" * 16),
    "another operating point": replace(FIRST, configuration="op=0.1;size=1024"),
}
MADE = {FIRST: datetime(2026, 1, 5, 8, 0, 0, tzinfo=UTC)}


def write(model: ModelIdentity, folder: Path, made: datetime) -> dict[Kind, Dataset]:
    folder.mkdir()
    path = mg.write(mg.mg_header("L", "CC"), folder)
    result = replace(mg.study_result([mg.image_result(read_source(path), [mg.finding()])]), model=model)
    objects = build_results(
        result,
        [path],
        folder / "out",
        tuple(Kind),
        display=lambda path, window: np.zeros((400, 300), dtype=np.float32),
        clock=lambda uid: made,
    )
    return {one.kind: dcmread(one.path) for one in objects}


def _texts(name: codes.Code) -> Callable[[Dataset], object]:
    return lambda ds: {value_of(item.ds) for item in walk(ds) if item.name == name.value}


def _segment_algorithm(ds: Dataset) -> object:
    return ds.SegmentSequence[-1].SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion


ALWAYS: dict[str, tuple[Callable[[Dataset], object], tuple[Kind, ...]]] = {
    "SOP Instance UID": (lambda ds: ds.SOPInstanceUID, tuple(Kind)),
    "Series Instance UID": (lambda ds: ds.SeriesInstanceUID, tuple(Kind)),
    "Series Number": (lambda ds: ds.SeriesNumber, tuple(Kind)),
    "Device UID": (lambda ds: ds.DeviceUID, tuple(Kind)),
    "Contributing Equipment": (lambda ds: ds.ContributingEquipmentSequence[0].DeviceUID, tuple(Kind)),
    "Instance Creation Date": (lambda ds: ds.InstanceCreationDate, tuple(Kind)),
    "Content or Presentation Creation Date": (
        lambda ds: ds.get("ContentDate") or ds.PresentationCreationDate,
        tuple(Kind),
    ),
    "Tracking UID of a finding": (_texts(codes.TRACKING_UID), (*REPORTS, Kind.CAD)),
    "observer": (lambda ds: {value_of(i.ds) for i in walk(ds) if i.name == "121012"}, REPORTS),
    "Algorithm Parameters": (_texts(codes.ALGORITHM_PARAMETERS), (*REPORTS, Kind.CAD)),
}
"""What tells apart any two models, and the kinds that have it."""

BY_VERSION: dict[str, tuple[Callable[[Dataset], object], tuple[Kind, ...]]] = {
    "Series Description": (lambda ds: ds.SeriesDescription, tuple(Kind)),
    "Software Versions": (lambda ds: ds.SoftwareVersions, tuple(Kind)),
    "Algorithm Version": (_texts(codes.ALGORITHM_VERSION), (*REPORTS, Kind.CAD)),
    "algorithm of a segment": (_segment_algorithm, (Kind.SEG, Kind.SEG_FRACTIONAL, Kind.SEG_LABELMAP, Kind.SEG_OHIF)),
    "words on the page": (lambda ds: ds.ImageComments, (Kind.SC,)),
    "notice on the image": (
        lambda ds: [t.UnformattedTextValue for t in ds.GraphicAnnotationSequence[0].TextObjectSequence],
        (Kind.PR,),
    ),
}
"""What tells apart two models of different versions."""


@pytest.mark.parametrize("name", MODELS)
def test_results_of_two_models_are_told_apart(name: str, tmp_path: Path) -> None:
    one = write(FIRST, tmp_path / "1", MADE[FIRST])
    two = write(MODELS[name], tmp_path / "2", datetime(2026, 2, 6, 9, 0, 0, tzinfo=UTC))
    items = ALWAYS | (BY_VERSION if name == "another version" else {})
    for item, (of, kinds) in items.items():
        for kind in kinds:
            assert of(one[kind])
            assert of(one[kind]) != of(two[kind]), (item, kind)
    if MODELS[name].weights_sha256 != FIRST.weights_sha256:
        assert all(one[kind].DeviceSerialNumber != two[kind].DeviceSerialNumber for kind in Kind)


def test_the_series_of_a_model_stand_together(tmp_path: Path) -> None:
    """A list by Series Number has all series of one model before those of the other."""
    studies = [
        write(model, tmp_path / str(n), MADE[FIRST]) for n, model in enumerate((FIRST, MODELS["another version"]))
    ]
    numbers = [sorted(int(ds.SeriesNumber) for ds in study.values()) for study in studies]
    assert numbers[0][-1] < numbers[1][0] or numbers[1][-1] < numbers[0][0]
    assert [n % 10_000 for n in numbers[0]] == [n % 10_000 for n in numbers[1]]
