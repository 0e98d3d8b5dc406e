"""Faults befall a node with its ledger in a file, and one with its ledger in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.peers import NodeProcess, Orthanc


@pytest.fixture(params=["sqlite", "postgresql"])
def node(request: pytest.FixtureRequest, tmp_path: Path, orthanc: Orthanc) -> Iterator[NodeProcess]:
    """A node, not started yet, that sends to the Orthanc; studies are quiet after a second, leases short."""
    environment = {"FTMTL_ASSEMBLY_QUIET_S": "1", "FTMTL_QUEUE_LEASE_S": "3", "FTMTL_NODE_MIN_FREE_GB": "0"}
    if request.param == "postgresql":
        environment["FTMTL_LEDGER_URL"] = request.getfixturevalue("postgres").new_url()
    process = NodeProcess(tmp_path / "data", orthanc.port, **environment)
    yield process
    process.stop()
