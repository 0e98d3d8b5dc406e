"""``ftmtl demo``: the whole pipeline, embedded, on a synthetic study or your own files, and its results."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError

from ftmtl.decoding.files import DamagedFile, read
from node.cli.embedded import Child
from node.cli.pacs import stored_files
from node.cli.standalone import Standalone, free_port
from node.config import Config, load_config
from node.dimse.entity import requesting_entity
from node.dimse.scu import associate
from node.domain import Destination, Job, JobState
from node.ledger.ledger import Ledger
from node.results.readback import ReadFinding, read_findings

log = logging.getLogger(__name__)

_ENDED = {JobState.DELIVERED, JobState.COMMITTED, JobState.NOT_PROCESSED, JobState.FAILED}
_DEMO_SEED = 211


class DemoFailed(Exception):  # noqa: N818 - names the event
    """The demonstration failed; the message says at which step."""


def run_demo(folder: Path, study: Path | None, out: TextIO, *, patience_s: float = 600.0) -> None:
    """Run the demonstration and leave everything in ``folder``.

    Parameters
    ----------
    folder
        Where the data, the PACS's files and the pictures go.
    study
        A folder of DICOM files to send, or None for a synthetic study of four views.
    out
        Where progress is printed.

    Raises
    ------
    DemoFailed
        If a step fails, or the results do not reach the PACS in time.
    """
    _Demo(folder / time.strftime("run-%Y%m%d-%H%M%S"), out, patience_s).run(study)


@dataclass(frozen=True)
class _Demo:
    """One demonstration: its folder, where it prints, and how long it waits, in seconds."""

    folder: Path
    out: TextIO
    patience_s: float

    def run(self, study: Path | None) -> None:
        self._tell("ftmtl-node demonstration. Research use only, not a medical device.")
        sources = self._sources(study)
        port = free_port()
        logs = self.folder / "logs"
        arguments = ["pacs", "--port", str(port), "--folder", str(self.folder / "pacs")]
        pacs = Child("pacs", ["-m", "node.cli", *arguments], logs / "pacs.log")
        standalone = Standalone(self._config(port), log_folder=logs)
        try:
            self._tell(f"2. starting the node, a queue server, two workers and a small PACS (port {port})")
            pacs.start()
            standalone.start()
            self._tell(f"   listening as {standalone.config.node.ae_title} on port {standalone.port}")
            self._tell(f"   status page: http://127.0.0.1:{standalone.http_port}/")
            if not standalone.wait_until_ready(self.patience_s):
                raise DemoFailed("the workers did not start in time")
            self._tell("3. sending the study by C-STORE")
            last_response = _send(
                sources, Destination("node", standalone.config.node.ae_title, "127.0.0.1", standalone.port)
            )
            jobs = self._wait(standalone.ledger)
            self._report(standalone.ledger, jobs, sources, last_response)
        finally:
            standalone.stop()
            pacs.stop()

    def _tell(self, text: str) -> None:
        print(text, file=self.out, flush=True)

    def _config(self, port: int) -> Config:
        sections = {
            "node": {"data": str(self.folder / "node"), "port": 0, "http_port": 0},
            "assembly": {"quiet_s": 2.0},
            "destinations": [{"name": "PACS", "ae_title": "PACS", "host": "127.0.0.1", "port": port}],
        }
        return load_config(None, sections, {})

    def _sources(self, study: Path | None) -> list[Path]:
        if study is None:
            from ftmtl.phantom.dicom import write_study

            self._tell("1. drawing a synthetic study of four views")
            return [path for path, _ in write_study(self.folder / "study", _DEMO_SEED, study=str(time.time_ns()))]
        self._tell(f"1. reading {study}")
        if not study.exists():
            raise DemoFailed(f"there is no file or folder {study}")
        files = sorted(p for p in (study.rglob("*") if study.is_dir() else [study]) if p.is_file())
        sources = []
        for path in files:
            try:
                read(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
                sources.append(path)
            except (InvalidDicomError, DamagedFile):
                self._tell(f"   skipped, not DICOM or damaged: {path}")
        if not sources:
            raise DemoFailed(f"there is no DICOM file in {study}")
        return sources

    def _wait(self, ledger: Ledger) -> list[Job]:
        self._tell("4. waiting for the results to arrive at the PACS")
        shown: dict[str, JobState] = {}
        deadline = time.monotonic() + self.patience_s
        while time.monotonic() < deadline:
            jobs = ledger.jobs.find()
            for job in jobs:
                if shown.get(job.job_id) is not job.state:
                    shown[job.job_id] = job.state
                    self._tell(f"   study …{job.study_uid[-12:]}: {job.state.value} {job.reason}".rstrip())
            if jobs and all(job.state in _ENDED for job in jobs):
                return jobs
            time.sleep(0.02)
        raise DemoFailed("the results did not arrive in time")

    def _report(self, ledger: Ledger, jobs: Sequence[Job], sources: Sequence[Path], last_response: float) -> None:
        failed = [job for job in jobs if job.state is JobState.FAILED]
        if failed:
            raise DemoFailed(f"a study failed: {failed[0].reason}")
        stored = stored_files(self.folder / "pacs")
        arrived = {str(ds.SOPInstanceUID): (path, ds) for path in stored for ds in [dcmread(path)]}
        wanted = {made.sop_instance_uid for job in jobs for made in ledger.deliveries.objects(job.job_id)}
        missing = wanted - arrived.keys()
        if missing:
            raise DemoFailed(f"the PACS lacks {len(missing)} of {len(wanted)} results")
        if not wanted:
            raise DemoFailed("nothing in this study could be analysed; the reasons are above")
        self._tell("5. the PACS holds:")
        for path, ds in arrived.values():
            kind = "Segmentation" if ds.Modality == "SEG" else "Measurement Report"
            self._tell(f"   {kind:18} {ds.SeriesDescription:36} {path}")
        self._draw(sources, read_findings(stored))
        forward = sum(job.forward_seconds for job in jobs)
        total = max(path.stat().st_mtime for path in stored) - last_response
        self._tell(
            f"7. from the last C-STORE response to the last result in the PACS: {total:.2f} s, "
            f"{forward:.2f} s for the model's forward passes and {total - forward:.2f} s for everything else"
        )

    def _draw(self, sources: Iterable[Path], findings: list[ReadFinding]) -> None:
        from ftmtl.errors import NotAnalysable
        from ftmtl.mammogram.pixels import display_pixels
        from ftmtl.overlay import Mark, draw

        self._tell("6. pictures of what the PACS holds:")
        pictures = self.folder / "pictures"
        pictures.mkdir(parents=True, exist_ok=True)
        for path in sources:
            header: FileDataset = dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
            marks = [Mark(f.box, f.mask, _scores(f)) for f in findings if f.source_uid == header.SOPInstanceUID]
            target = pictures / f"{path.stem}.png"
            try:
                draw(display_pixels(path), marks, path.stem).save(target)
            except NotAnalysable as error:
                self._tell(f"   {path.name}: no picture, {error}")
                continue
            self._tell(f"   {len(marks)} finding{'' if len(marks) == 1 else 's'}: {target}")


def _send(sources: Iterable[Path], node: Destination) -> float:
    """Send files as a PACS would; return when the last response arrived, in seconds since the epoch."""
    paths = {path: dcmread(path, stop_before_pixels=True) for path in sources}
    contexts = {(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for ds in paths.values()}
    assoc = associate(requesting_entity("DEMO", contexts), node)
    if isinstance(assoc, tuple):
        raise DemoFailed(f"the node did not accept an association: {assoc[1]}")
    last = time.time()
    try:
        for path in paths:
            status = assoc.send_c_store(path).get("Status")
            last = time.time()
            if status != 0:
                raise DemoFailed(f"the node answered {status!r} to {path}")
    finally:
        assoc.release()
    return last


def _scores(finding: ReadFinding) -> str:
    lesion, cancer = finding.lesion_score or 0.0, finding.cancer_score or 0.0
    return f"lesion {100 * lesion:.0f}, cancer {100 * cancer:.0f}"
