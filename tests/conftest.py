"""Fixtures of all tests: phantoms to send, an Orthanc to send results to, a node in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.peers import NodeProcess, Orthanc, running_orthanc
from support.postgres import Cluster, running_cluster

from ftmtl.phantom.dicom import write_study
from ftmtl.phantom.make import Phantom

STUDY_SEED = 211


@pytest.fixture(scope="session")
def phantom_study(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Phantom]]:
    """A synthetic study of four views at 0.2 mm: files and truth."""
    return write_study(tmp_path_factory.mktemp("phantom"), STUDY_SEED, spacing_mm=0.2)


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    """An empty Orthanc."""
    with running_orthanc(tmp_path / "orthanc") as running:
        yield running


@pytest.fixture
def node(tmp_path: Path, orthanc: Orthanc) -> Iterator[NodeProcess]:
    """A node, not started yet, that sends to the Orthanc; studies are quiet after a second, leases short."""
    process = NodeProcess(
        tmp_path / "data", orthanc.port, FTMTL_ASSEMBLY_QUIET_S="1", FTMTL_QUEUE_LEASE_S="3", FTMTL_NODE_MIN_FREE_GB="0"
    )
    yield process
    process.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL cluster of this session's own."""
    with running_cluster() as cluster:
        yield cluster
