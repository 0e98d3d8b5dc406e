"""What every object repeats of its sources and says of its making: order, body part, character set, device, series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from support import mg
from support.validators import Run, errors

from node.domain import ResultObject
from node.kinds import ObjectKind as Kind
from node.results.build import build_results
from node.results.common.naming import device_uid
from node.results.common.source import read_source

REPORTS = (Kind.SR, Kind.SR_COMPREHENSIVE, Kind.SR_OHIF, Kind.CAD, Kind.CAD_DENSITY)


def order() -> Dataset:
    """Return an order as a modality enters it, with a reason for the examination and an incomplete second code."""
    item = Dataset()
    item.AccessionNumber, item.RequestedProcedureID, item.ScheduledProcedureStepID = "A77", "RP1", "SPS1"
    item.RequestedProcedureDescription = "Screening mammography"
    item.ReasonForTheRequestedProcedure = "Her mother had cancer."
    incomplete = mg.code("X", "99HOSPITAL", "")
    item.RequestedProcedureCodeSequence = Items([mg.code("24606-6", "LN", "MG Breast Screening"), incomplete])
    return item


def sources(folder: Path, sides: str = "RL") -> list[Path]:
    folder.mkdir()
    paths = []
    for n, side in enumerate(sides):
        header = mg.mg_header(side, ("CC", "MLO")[n % 2], uid=f"2.25.2{n}", number=n + 1)
        header.RequestAttributesSequence = Items([order()])
        header.PlacerOrderNumberImagingServiceRequest = "PLACER-1"
        if n == 0:
            header.SpecificCharacterSet, header.PatientName = "ISO_IR 100", "Grün^Zoë"
        else:
            header.SpecificCharacterSet, header.PatientName = "ISO_IR 144", "Люксембург"
        paths.append(mg.write(header, folder))
    return paths


def write(paths: list[Path], folder: Path) -> list[ResultObject]:
    images = [mg.image_result(read_source(path), [mg.finding()]) for path in paths]
    return build_results(
        mg.study_result(images),
        paths,
        folder,
        tuple(Kind),
        display=lambda path, window: np.zeros((400, 300), dtype=np.float32),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[ResultObject]:
    folder = tmp_path_factory.mktemp("inherited")
    return write(sources(folder / "in"), folder / "out")


def test_the_order_is_carried(made: list[ResultObject]) -> None:
    for one in made:
        ds = dcmread(one.path)
        if one.kind in REPORTS:
            (request,) = ds.ReferencedRequestSequence
            assert request.StudyInstanceUID == ds.StudyInstanceUID
            assert request.PlacerOrderNumberImagingServiceRequest == "PLACER-1"
            assert "FillerOrderNumberImagingServiceRequest" in request
        else:
            (request,) = ds.RequestAttributesSequence
            assert request.ScheduledProcedureStepID == "SPS1"
        assert (request.AccessionNumber, request.RequestedProcedureID) == ("A77", "RP1"), one.kind
        assert request.RequestedProcedureDescription == "Screening mammography"
        (code,) = request.RequestedProcedureCodeSequence
        assert (code.CodeValue, code.CodingSchemeDesignator) == ("24606-6", "LN")
        assert "mother" not in str(ds), "the reason for an examination is left to its order"


def test_an_image_without_an_order_makes_no_request(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for one in write([mg.write(mg.mg_header(), tmp_path / "in")], tmp_path / "out"):
        ds = dcmread(one.path)
        assert "RequestAttributesSequence" not in ds
        assert "ReferencedRequestSequence" not in ds


def test_there_is_one_character_set_throughout(made: list[ResultObject]) -> None:
    """Whatever the images are in. What is of one image has its spelling of the name, the rest that of the last one."""
    for one in made:
        ds = dcmread(one.path)
        assert ds.SpecificCharacterSet == "ISO_IR 192"
        assert str(ds.PatientName) in ("Grün^Zoë", "Люксембург")
        if one.kind in (Kind.SR, Kind.CAD, Kind.SC):
            assert str(ds.PatientName) == "Люксембург"


def test_body_part_and_device_are_said(made: list[ResultObject]) -> None:
    for one in made:
        ds = dcmread(one.path)
        assert ds.get("BodyPartExamined") == (None if one.kind in REPORTS else "BREAST"), one.kind
        assert ds.DeviceUID == device_uid(mg.MODEL), one.kind


def test_presentation_states_share_a_series(made: list[ResultObject]) -> None:
    states = [dcmread(one.path) for one in made if one.kind is Kind.PR]
    assert len(states) == 2
    for keyword in ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Laterality"):
        assert len({str(ds[keyword].value) for ds in states}) == 1, keyword
    assert [ds.InstanceNumber for ds in states] == [1, 2]
    assert len({one.series_uid for one in made if one.kind is Kind.SEG}) == 2


@pytest.mark.parametrize(("sides", "laterality"), [("RL", None), ("LL", "L"), ("R", "R")])
def test_a_page_or_series_of_one_breast_says_which(sides: str, laterality: str | None, tmp_path: Path) -> None:
    for one in write(sources(tmp_path / "in", sides), tmp_path / "out"):
        if one.kind in (Kind.SC, Kind.PR):
            assert (dcmread(one.path).Laterality or None) == laterality, one.kind


def test_validators_accept_all_of_it(made: list[ResultObject], run_tool: Run) -> None:
    for one in made:
        assert not errors(run_tool("dciodvfy", "-new", one.path)[1]), one.kind
    _, lines = run_tool("dcentvfy", *(one.path for one in made))
    assert not [line for line in errors(lines) if "<Series>" in line]
