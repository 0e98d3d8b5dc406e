"""Two nodes on one PostgreSQL ledger: a study sent half to each, and processes that die at random."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest
from support.kills import KILLS, Studies, send
from support.pair import running_pair
from support.peers import Orthanc, wait_for
from support.postgres import Cluster
from support.records import SR

from ftmtl.phantom.make import Phantom

pytestmark = pytest.mark.peer


def test_a_study_sent_half_to_each_is_one_job(
    tmp_path: Path, postgres: Cluster, orthanc: Orthanc, phantom_study: list[tuple[Path, Phantom]]
) -> None:
    """The second node may not close it while its sender is still connected to the first."""
    paths = [path for path, _ in phantom_study]
    with running_pair(tmp_path, postgres.new_url(), orthanc.port) as pair:
        first = threading.Thread(target=send, args=(paths[:2], pair.ports[0], 5.0))
        first.start()
        assert send(paths[2:3], pair.ports[1])
        time.sleep(3)
        assert pair.query("SELECT state FROM jobs") == [("receiving",)], "closed while the other sender was connected"
        assert send(paths[3:], pair.ports[1])
        first.join()
        wait_for(lambda: pair.query("SELECT state FROM jobs") == [("delivered",)], 60, "the one job")
        assert pair.query("SELECT count(*) FROM job_instances") == [(4,)]
        assert len([ds for ds in orthanc.instances() if ds.SOPClassUID == SR]) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nothing_is_lost_or_doubled_when_processes_die(tmp_path: Path, postgres: Cluster, orthanc: Orthanc) -> None:
    """Both nodes and both workers are killed at random while studies come in; FTMTL_KILLS says how often."""
    rng = random.Random(1)
    studies = Studies(tmp_path)
    with running_pair(tmp_path, postgres.new_url(), orthanc.port) as pair:
        for _ in range(KILLS):
            victim = rng.choice(pair.processes)
            killer = threading.Timer(rng.uniform(0, 3), victim.kill)
            killer.start()
            studies.send(lambda: rng.choice(pair.ports))
            killer.join()
            victim.start()
        studies.assert_whole_and_once(orthanc, pair.query)
