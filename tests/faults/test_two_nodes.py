"""Two nodes on one PostgreSQL ledger: a study sent half to each, and processes that die at random."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom import AE
from support.pair import running_pair
from support.peers import Orthanc, wait_for
from support.postgres import Cluster
from support.records import SR

from ftmtl.phantom.dicom import write_study
from ftmtl.phantom.make import Phantom

pytestmark = pytest.mark.peer
KILLS = int(os.environ.get("FTMTL_KILLS", "4"))


def send(paths: list[Path], port: int, hold_s: float = 0.0) -> bool:
    """Send files over one association; True if each was answered 0x0000."""
    images = [dcmread(path) for path in paths]
    ae = AE("MODALITY")
    ae.dimse_timeout = ae.acse_timeout = ae.connection_timeout = 20
    for context in {(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for ds in images}:
        ae.add_requested_context(*context)
    assoc = ae.associate("127.0.0.1", port, ae_title="FTMTL")
    if not assoc.is_established:
        return False
    try:
        answered = [assoc.is_established and assoc.send_c_store(ds).get("Status") for ds in images]
    except (RuntimeError, ValueError):
        return False
    time.sleep(hold_s)
    if assoc.is_established:
        assoc.release()
    return answered == [0x0000] * len(images)


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
    drawn = [path for path, _ in write_study(tmp_path / "drawn", 211, spacing_mm=0.4)]
    with running_pair(tmp_path, postgres.new_url(), orthanc.port) as pair:
        acknowledged: list[str] = []
        for number in range(KILLS):
            study, paths = _copy(drawn, tmp_path / f"study{number}", number)
            victim = rng.choice(pair.processes)
            killer = threading.Timer(rng.uniform(0, 3), victim.kill)
            killer.start()
            while not send(paths, rng.choice(pair.ports)):
                time.sleep(0.2)
            acknowledged.append(study)
            killer.join()
            victim.start()
        wait_for(lambda: _ended(pair.query("SELECT state FROM jobs")), 180, "all jobs to end")
        held = Counter(str(ds.SOPInstanceUID) for ds in orthanc.instances())
        assert set(held.values()) == {1}
        reports = Counter(str(ds.StudyInstanceUID) for ds in orthanc.instances() if ds.SOPClassUID == SR)
        assert set(reports) == set(acknowledged)
        sent = {uid for (uid,) in pair.query("SELECT DISTINCT sop_instance_uid FROM objects")}
        assert set(held) == sent, "the archive has what the ledger says, and nothing else"


def _ended(states: list[tuple[str]]) -> bool:
    return {state for (state,) in states} == {"delivered"}


def _copy(paths: list[Path], folder: Path, number: int) -> tuple[str, list[Path]]:
    """Write the views as a study of their own."""
    folder.mkdir()
    written = []
    for n, path in enumerate(paths):
        ds = dcmread(path)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = f"2.25.77{number:04d}", f"2.25.78{number:04d}{n}"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"2.25.79{number:04d}{n}"
        ds.save_as(folder / path.name, enforce_file_format=True)
        written.append(folder / path.name)
    return f"2.25.77{number:04d}", written
