"""Studies sent to nodes whose processes die at random: what is sent, and what must hold at the end."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pynetdicom import AE

from ftmtl.phantom.dicom import write_study
from support.peers import Orthanc, wait_for
from support.records import SR

KILLS = int(os.environ.get("FTMTL_KILLS", "4"))
"""How often a process is killed: a few times in `make test`, more often by hand."""


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


class Studies:
    """Small studies of four views, each with UIDs of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.drawn = [path for path, _ in write_study(folder / "drawn", 211, spacing_mm=0.4)]
        self.acknowledged: list[str] = []

    def send(self, port: Callable[[], int]) -> None:
        """Send one more, as often as it takes until every view is acknowledged, each time to a port that is chosen."""
        number = len(self.acknowledged)
        study, paths = f"2.25.77{number:04d}", []
        folder = self.folder / f"study{number}"
        folder.mkdir()
        for n, path in enumerate(self.drawn):
            ds = dcmread(path)
            ds.StudyInstanceUID, ds.SeriesInstanceUID = study, f"2.25.78{number:04d}{n}"
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"2.25.79{number:04d}{n}"
            ds.save_as(folder / path.name, enforce_file_format=True)
            paths.append(folder / path.name)
        while not send(paths, port()):
            time.sleep(0.2)
        self.acknowledged.append(study)

    def assert_whole_and_once(self, orthanc: Orthanc, query: Callable[[str], list[tuple[Any, ...]]]) -> None:
        """Wait for the jobs, and compare what the archive holds with what was acknowledged and with the ledger."""
        wait_for(lambda: set(query("SELECT state FROM jobs")) == {("delivered",)}, 120 + 20 * KILLS, "all jobs to end")
        arrived = orthanc.instances()
        held = Counter(str(ds.SOPInstanceUID) for ds in arrived)
        assert set(held.values()) == {1}
        assert {str(ds.StudyInstanceUID) for ds in arrived if ds.SOPClassUID == SR} == set(self.acknowledged)
        received = Counter(study for (study,) in query("SELECT study_uid FROM instances WHERE is_current"))
        assert received == dict.fromkeys(self.acknowledged, len(self.drawn))
        sent = {uid for (uid,) in query("SELECT DISTINCT sop_instance_uid FROM objects")}
        assert set(held) == sent, "the archive has what the ledger says, and nothing else"
