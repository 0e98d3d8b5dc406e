"""The package as `pip install` gives it, without extras: no torch, no scipy, no decoders."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import urllib.request
import venv
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom import AE, evt
from support.peers import ROOT, wait_for
from support.records import configuration
from support.wire import receiver

from ftmtl.findings import ImageResult, ModelIdentity, Outcome, StudyResult
from ftmtl.mammogram.load import Mammogram
from ftmtl.phantom.dicom import write_study
from node.cli.standalone import free_port
from node.dimse.scu import echo
from node.domain import Destination, JobState
from node.flow.dispatch import Dispatcher, celery_app
from node.kinds import KINDS, ObjectKind
from node.ledger.ledger import Ledger
from node.store.spool import Spool
from workers.analyse import AnalysisTask

MODEL = ModelIdentity("FT-MTL-Net", "1.0", "0123456789abcdef" * 4)


class Installed:
    """The wheel in a virtual environment of its own."""

    def __init__(self, folder: Path) -> None:
        source = folder / "source"
        for package in ("node", "ftmtl", "workers"):
            shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, source)
        self._pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", folder, source)
        (self.wheel,) = folder.glob("*.whl")
        venv.create(folder / "venv", with_pip=True)
        self.bin = folder / "venv" / "bin"
        self._pip(self.bin / "python", "install", self.wheel)

    @staticmethod
    def _pip(python: str | Path, *arguments: str | Path) -> None:
        command = [str(python), "-m", "pip", "--disable-pip-version-check", "-q", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def run(self, *arguments: str | Path, cwd: Path) -> tuple[int, str]:
        """Run ``ftmtl``; return its status and what it printed."""
        done = subprocess.run(
            [str(self.bin / "ftmtl"), *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=120
        )
        return done.returncode, done.stdout + done.stderr

    @contextlib.contextmanager
    def running(self, log: Path, *arguments: str | Path, sign: str) -> Iterator[None]:
        """Keep ``ftmtl`` running from when its log has a sign of life."""
        command = [str(self.bin / "ftmtl"), *map(str, arguments)]
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, cwd=log.parent)
        try:
            wait_for(lambda: process.poll() is not None or sign in log.read_text(), 60, f"{sign!r} in {log.name}")
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()
            process.wait(60)


class Blind:
    """A model that finds nothing."""

    model = MODEL

    def predict(self, study_uid: str, mammograms: list[Mammogram]) -> StudyResult:
        acquisitions = [mammogram.acquisition for mammogram in mammograms]
        images = (ImageResult(a.sop_instance_uid, a.laterality, a.view, Outcome.NO_FINDINGS) for a in acquisitions)
        return StudyResult(study_uid, MODEL, tuple(images))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("wheel"))


def test_it_has_no_extras_and_says_which_version_it_is(installed: Installed, tmp_path: Path) -> None:
    listed = subprocess.run(
        [str(installed.bin / "python"), "-m", "pip", "list", "--format", "json"], capture_output=True, check=True
    )
    names = {entry["name"] for entry in json.loads(listed.stdout)}
    assert {"ftmtl-node", "highdicom"} <= names
    assert not {"torch", "torchvision", "scipy", "imagecodecs", "matplotlib"} & names
    assert installed.run("--version", cwd=tmp_path) == (0, f"ftmtl-node {version('ftmtl-node')}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("analyze", ".", "--out", "out"),
        ("demo", "--study", "."),
        ("demo",),
        ("phantom", "--out", "study"),
        ("serve", "--standalone", "--to", "PACS@127.0.0.1:1"),
        ("worker", "--queue", "gpu", "--queue-url", "redis://127.0.0.1:1/0"),
        ("worker", "--queue-url", "redis://127.0.0.1:1/0"),
    ],
    ids=" ".join,
)
def test_what_needs_the_extra_says_so_in_a_sentence(
    installed: Installed, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    status, said = installed.run(*arguments, cwd=tmp_path)
    *_, last = said.splitlines()
    assert status == 1
    assert last.endswith("is not installed; pip install 'ftmtl-node[worker]' brings it")
    assert "Traceback" not in said


def test_the_listener_and_the_dicom_worker_run(installed: Installed, tmp_path: Path) -> None:
    """A study comes in and its report goes out; this process stands in for the worker that analyses."""
    ((path, _),) = write_study(tmp_path / "study", 1, spacing_mm=0.4, views=[("L", "CC")])
    port, queue_port, http_port, got = free_port(), free_port(), free_port(), []

    def store(event: evt.Event) -> int:
        got.append(event.request.AffectedSOPClassUID)
        return 0x0000

    data, queue = tmp_path / "data", f"redis://127.0.0.1:{queue_port}/0"
    with contextlib.ExitStack() as stack:
        pacs_port = stack.enter_context(receiver([(evt.EVT_C_STORE, store)], KINDS[ObjectKind.SR].sop_classes))
        (tmp_path / "node.toml").write_text(
            f'[node]\nport = {port}\nhttp_port = {http_port}\ndata = "{data}"\nmin_free_gb = 0\n'
            f'[queue]\nurl = "{queue}"\n'
            "[assembly]\nquiet_s = 0.5\n"
            f'[[destinations]]\nname = "PACS"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {pacs_port}\n'
        )
        config = ("--config", tmp_path / "node.toml")
        valkey = ("_queue", str(queue_port), tmp_path / "queue")
        stack.enter_context(installed.running(tmp_path / "queue.log", *valkey, sign="queue server listening"))
        stack.enter_context(installed.running(tmp_path / "serve.log", "serve", *config, sign="listens on"))
        worker = ("worker", *config, "--queue", "dicom")
        dispatcher = Dispatcher(celery_app(queue, 60))
        stack.enter_context(installed.running(tmp_path / "worker.log", *worker, sign=""))
        wait_for(lambda: "dicom" in dispatcher.workers(), 60, "the worker")
        assert echo(Destination("node", "FTMTL", "127.0.0.1", port), "TEST") is None
        _send(path, port)
        ledger = Ledger(f"sqlite:///{data / 'ledger.sqlite'}")
        (job,) = wait_for(lambda: ledger.jobs.find([JobState.QUEUED]), 30, "the job")
        analysis = AnalysisTask(configuration(), ledger, Spool(data / "spool"), dispatcher, Blind())  # type: ignore[arg-type]
        analysis.run(job.job_id)
        wait_for(lambda: ledger.jobs.get(job.job_id).state is JobState.DELIVERED, 60, "the delivery")
        ledger.close()
        with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/", timeout=10) as page:
            assert job.study_uid in page.read().decode()
    assert got == list(KINDS[ObjectKind.SR].sop_classes)


def _send(path: Path, port: int) -> None:
    ds = dcmread(path)
    ae = AE("TEST")
    ae.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
    assoc = ae.associate("127.0.0.1", port, ae_title="FTMTL")
    assert assoc.is_established
    assert assoc.send_c_store(ds).Status == 0x0000
    assoc.release()
