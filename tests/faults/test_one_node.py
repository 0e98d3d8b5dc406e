"""One node with its ledger in a file, its processes killed at random; and a folder that is in use."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from support.kills import KILLS, Studies
from support.peers import NodeProcess, Orthanc, wait_for
from support.states import ledger

pytestmark = pytest.mark.peer
ENVIRONMENT = {
    "FTMTL_ASSEMBLY_QUIET_S": "2",
    "FTMTL_ASSEMBLY_SETTLE_S": "1",
    "FTMTL_QUEUE_LEASE_S": "3",
    "FTMTL_NODE_MIN_FREE_GB": "0",
    "FTMTL_DELIVERY_FIRST_RETRY_S": "0.5",
    "FTMTL_DELIVERY_LONGEST_RETRY_S": "2",
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nothing_is_lost_or_doubled_when_processes_die(tmp_path: Path, orthanc: Orthanc) -> None:
    """The node, its queue server and its workers are killed at random; FTMTL_KILLS says how often."""
    rng = random.Random(2)
    node = NodeProcess(tmp_path / "data", orthanc.port, **ENVIRONMENT)
    studies = Studies(tmp_path)
    node.start()
    try:
        for _ in range(KILLS):
            victim = rng.choice(("node", "node", "_queue", "--queue gpu", "--queue dicom"))
            killer = threading.Timer(rng.uniform(0, 3), _kill, (node, victim))
            killer.start()
            sender = threading.Thread(target=studies.send, args=(lambda: node.port,))
            sender.start()
            killer.join()
            if victim == "node":
                node.start()
            sender.join()
        studies.assert_whole_and_once(orthanc, lambda query: ledger(node, query))
    finally:
        node.stop()


def _kill(node: NodeProcess, victim: str) -> None:
    """Kill the node with its children, or one child, which may be between two lives just then."""
    if victim == "node":
        children = [pid for words in ("--queue", "_queue") if (pid := node.child_pid(words))]
        node.kill()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), 20, "the children to follow")
        return
    pid = node.child_pid(victim)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def test_a_second_node_on_a_folder_says_so_and_changes_nothing(tmp_path: Path, orthanc: Orthanc) -> None:
    """Neither a second node on the same folder and another port, nor one on the same port, touches a file."""
    first = NodeProcess(tmp_path / "data", orthanc.port, **ENVIRONMENT)
    first.start()
    under_way = next((first.data / "spool").rglob("incoming*")) / "image-under-way.part"
    under_way.parent.mkdir(parents=True, exist_ok=True)
    under_way.write_bytes(b"half an image")
    settings = (first.data / "run" / "node.json").read_bytes()
    try:
        second = NodeProcess(first.data, orthanc.port)
        for argv in (second.argv, first.argv):
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
            assert done.returncode == 1
            assert done.stderr.startswith("ftmtl: ")
            assert f"{first.data} is in use by another node (process {first.process.pid})" in done.stderr  # type: ignore[union-attr]
            assert "Traceback" not in done.stderr
        assert under_way.read_bytes() == b"half an image"
        assert (first.data / "run" / "node.json").read_bytes() == settings
        assert first.jobs() == []
    finally:
        first.stop()
