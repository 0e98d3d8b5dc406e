"""SIGKILL in the worst moments: nothing is lost, nothing is doubled."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from support.peers import NodeProcess, Orthanc, wait_for
from support.states import assert_whole_and_once, delivered, ledger

from ftmtl.phantom.make import Phantom

pytestmark = pytest.mark.peer


def test_worker_killed_in_the_middle_of_an_analysis(
    node: NodeProcess, orthanc: Orthanc, phantom_study: list[tuple[Path, Phantom]]
) -> None:
    paths = [path for path, _ in phantom_study]
    node.start()
    node.storescu("+sd", paths[0].parent)
    wait_for(lambda: ledger(node, "SELECT 1 FROM jobs WHERE state = 'analysing'"), 60, "the analysis to begin")
    worker = node.child_pid("--queue gpu")
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    assert ledger(node, "SELECT state, attempt FROM jobs") == [("analysing", 1)], "killed too late to prove anything"
    wait_for(lambda: delivered(node), 120, "the results")
    assert ledger(node, "SELECT attempt FROM jobs")[0][0] >= 2
    assert node.process is not None
    assert node.process.poll() is None, "the listener did not survive its worker"
    assert_whole_and_once(orthanc, node, paths)


def test_node_killed_right_after_an_acknowledgement(
    node: NodeProcess, orthanc: Orthanc, phantom_study: list[tuple[Path, Phantom]]
) -> None:
    paths = [path for path, _ in phantom_study]
    node.environment["FTMTL_ASSEMBLY_QUIET_S"] = "600"
    node.start()
    for path in paths[:3]:
        node.storescu(path)
    children = [pid for words in ("--queue gpu", "--queue dicom", "_queue") if (pid := node.child_pid(words))]
    assert len(children) == 3
    node.kill()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), 20, "the children to follow")
    assert len(ledger(node, "SELECT 1 FROM instances")) == 3
    node.start()
    node.storescu(paths[3])
    wait_for(lambda: delivered(node), 120, "the results")
    assert_whole_and_once(orthanc, node, paths)


def test_node_killed_with_a_whole_study_acknowledged(
    node: NodeProcess, orthanc: Orthanc, phantom_study: list[tuple[Path, Phantom]]
) -> None:
    """All four views acknowledged, the whole tree killed at once; after a new start the results arrive once."""
    paths = [path for path, _ in phantom_study]
    node.start()
    node.storescu("+sd", paths[0].parent)
    node.kill()
    assert len(ledger(node, "SELECT 1 FROM instances")) == 4
    node.start()
    wait_for(lambda: delivered(node), 120, "the results")
    assert_whole_and_once(orthanc, node, paths)
