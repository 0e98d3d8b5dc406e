"""Studies that results are made for, and the validators that judge them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import peers
from support.studies import NAMES, Study, make_study


@pytest.fixture(params=NAMES)
def study(request: pytest.FixtureRequest, tmp_path: Path) -> Study:
    """A study of each kind."""
    return make_study(request.param, tmp_path / "source")


@pytest.fixture
def run_tool() -> Callable[..., tuple[int, list[str]]]:
    """Run a validator; return its status and the lines it wrote."""
    return peers.run_tool


@pytest.fixture(scope="module")
def dicomweb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Orthanc]:
    """An empty Orthanc that speaks DICOMweb."""
    with peers.running_orthanc(tmp_path_factory.mktemp("orthanc"), dicomweb=True) as running:
        yield running
