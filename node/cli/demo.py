"""``ftmtl demo``: the whole way, embedded, on a synthetic study or one's own files, and what came of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TextIO

from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pynetdicom import AE

from node.cli.embedded import Child
from node.cli.pacs import stored_files
from node.cli.standalone import Standalone, free_port
from node.config import Config, load_config
from node.domain import Job, JobState
from node.ledger.ledger import Ledger
from node.results.readback import ReadFinding, read_findings

log = logging.getLogger(__name__)

_ENDED = {JobState.DELIVERED, JobState.COMMITTED, JobState.NOT_PROCESSED, JobState.FAILED}
_DEMO_SEED = 211

Tell = Callable[[str], None]


class DemoFailed(Exception):  # noqa: N818 - it is what happened
    """The demonstration did not reach its end; the message says where."""


def run_demo(folder: Path, study: Path | None, out: TextIO, *, patience_s: float = 600.0) -> None:
    """Run the demonstration and leave everything in ``folder``.

    Parameters
    ----------
    folder
        Where data, the PACS' files and the pictures go.
    study
        A folder of DICOM files to send, or None for a synthetic study of four views.
    out
        Where progress is told.

    Raises
    ------
    DemoFailed
        If a step fails, or the PACS does not hold the results in time.
    """

    def tell(text: str) -> None:
        print(text, file=out, flush=True)

    tell("ftmtl-node demonstration. Research use only, not a medical device.")
    run = folder / time.strftime("run-%Y%m%d-%H%M%S")
    sources = _sources(run, study, tell)
    port = free_port()
    pacs = Child(
        "pacs",
        ["-m", "node.cli", "pacs", "--port", str(port), "--folder", str(run / "pacs")],
        run / "logs" / "pacs.log",
    )
    config = load_config(
        None,
        {
            "node": {"data": str(run / "node"), "port": 0, "http_port": 0},
            "assembly": {"quiet_s": 2.0},
            "destinations": [{"name": "PACS", "ae_title": "PACS", "host": "127.0.0.1", "port": port}],
        },
        {},
    )
    standalone = Standalone(config, log_folder=run / "logs")
    try:
        tell(f"2. starting the node, a queue server, two workers and a small PACS (port {port})")
        pacs.start()
        standalone.start()
        tell(f"   listening as {config.node.ae_title} on port {standalone.port}")
        tell(f"   status page: http://127.0.0.1:{standalone.http_port}/")
        if not standalone.wait_until_ready(patience_s):
            raise DemoFailed("the workers did not start in time")
        tell("3. sending the study by C-STORE")
        last_response = _send(sources, standalone.port, config)
        jobs = _wait(standalone.ledger, tell, patience_s)
        _report(standalone.ledger, jobs, sources, run, last_response, tell)
    finally:
        standalone.stop()
        pacs.stop()


def _sources(folder: Path, study: Path | None, tell: Tell) -> list[Path]:
    if study is None:
        from ftmtl.phantom.dicom import write_study

        tell("1. drawing a synthetic study of four views")
        return [path for path, _ in write_study(folder / "study", _DEMO_SEED, study=str(time.time_ns()))]
    tell(f"1. reading {study}")
    if not study.exists():
        raise DemoFailed(f"there is no {study}")
    files = sorted(p for p in (study.rglob("*") if study.is_dir() else [study]) if p.is_file())
    sources = []
    for path in files:
        try:
            dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
            sources.append(path)
        except InvalidDicomError:
            tell(f"   left out, not DICOM: {path}")
    if not sources:
        raise DemoFailed(f"there is no DICOM file in {study}")
    return sources


def _send(sources: Iterable[Path], port: int, config: Config) -> float:
    """Send files as a PACS would; returns when the last response came."""
    paths = {path: dcmread(path, stop_before_pixels=True) for path in sources}
    ae = AE("DEMO")
    for sop_class, syntax in {(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for ds in paths.values()}:
        ae.add_requested_context(sop_class, syntax)
    assoc = ae.associate("127.0.0.1", port, ae_title=config.node.ae_title, max_pdu=131072)
    if not assoc.is_established:
        raise DemoFailed("the node does not accept an association")
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


def _wait(ledger: Ledger, tell: Tell, patience_s: float) -> list[Job]:
    tell("4. waiting for the results to arrive at the PACS")
    shown: dict[str, JobState] = {}
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        jobs = ledger.jobs.find()
        for job in jobs:
            if shown.get(job.job_id) is not job.state:
                shown[job.job_id] = job.state
                tell(f"   study …{job.study_uid[-12:]}: {job.state.value} {job.reason}".rstrip())
        if jobs and all(job.state in _ENDED for job in jobs):
            return jobs
        time.sleep(0.02)
    raise DemoFailed("the results did not arrive in time")


def _report(
    ledger: Ledger, jobs: Sequence[Job], sources: Sequence[Path], run: Path, last_response: float, tell: Tell
) -> None:
    failed = [job for job in jobs if job.state is JobState.FAILED]
    if failed:
        raise DemoFailed(f"a study failed: {failed[0].reason}")
    stored = stored_files(run / "pacs")
    arrived = {str(ds.SOPInstanceUID): (path, ds) for path in stored for ds in [dcmread(path)]}
    wanted = {made.sop_instance_uid: made for job in jobs for made in ledger.deliveries.objects(job.job_id)}
    missing = wanted.keys() - arrived.keys()
    if missing:
        raise DemoFailed(f"the PACS lacks {len(missing)} of {len(wanted)} results")
    if not wanted:
        raise DemoFailed("nothing of this study could be analysed; the reasons stand above")
    tell("5. the PACS holds:")
    for path, ds in arrived.values():
        tell(f"   {ds.SOPClassUID.name.removesuffix(' Storage'):18} {ds.SeriesDescription:36} {path}")
    _draw(sources, read_findings(stored), run / "pictures", tell)
    forward = sum(job.forward_seconds for job in jobs)
    total = max(path.stat().st_mtime for path in stored) - last_response
    tell(
        f"7. last C-STORE response to last result in the PACS: {total:.2f} s, "
        f"of it {forward:.2f} s the model's forward pass, {total - forward:.2f} s all else"
    )


def _draw(sources: Iterable[Path], findings: list[ReadFinding], pictures: Path, tell: Tell) -> None:
    from ftmtl.errors import NotAnalysable
    from ftmtl.mammogram.pixels import display_pixels
    from ftmtl.overlay import Mark, draw

    tell("6. pictures of what the PACS holds:")
    pictures.mkdir(parents=True, exist_ok=True)
    for path in sources:
        header: FileDataset = dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
        marks = [
            Mark(f.box, f.mask, f"lesion {f.lesion_probability or 0:.0%}, cancer {f.cancer_probability or 0:.0%}")
            for f in findings
            if f.source_uid == header.SOPInstanceUID
        ]
        target = pictures / f"{path.stem}.png"
        try:
            draw(display_pixels(path), marks, path.stem).save(target)
        except NotAnalysable as error:
            tell(f"   {path.name}: no picture, {error}")
            continue
        tell(f"   {len(marks)} finding{'' if len(marks) == 1 else 's'}: {target}")
