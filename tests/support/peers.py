"""Real peers on this machine: Orthanc, dcmtk's tools, the validators, and our own node as a process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from node.cli.standalone import free_port
from support.places import ROOT

BIN = Path(sys.executable).parent
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
DCMTK = {"storescu", "echoscu", "storescp", "dcmdump", "dsrdump"}
"""pynetdicom installs Python scripts of its own under these names; here the programs are meant."""

MAMMOGRAPHY_REPORTED = re.compile(
    r"Error: Template 1500 MeasurementReport/\[Row 1\] CONTAINER CID 7021/"
    r'\[Row 4\] CODE \(121058,DCM,"Procedure reported"\): [0-9.]+: '
    r'/CONTAINER \(126000,DCM,"Imaging Measurement Report"\)/CODE \(121058,DCM,"Procedure reported"\): '
    r'Code \(71651007,SCT,"Mammography"\) not found in context group 100'
)
"""The one error of PixelMed that is none.

Its tables take CID 100 for a defined context group, which may not be extended. By PS3.16 TID 1500, row 4 (2024c), it
is the baseline: "BCID 100 Quantitative Diagnostic Imaging Procedure". A BCID "specifies the suggested Context Group"
(PS3.16 3.1), and this one has no code for mammography.
"""


OTHERWISE_IN_THE_STANDARD = (
    # TID 4015 row 3, (111025, DCM, "Failed Detections"): PixelMed spells it with two blanks.
    r"Failed  Detections",
    # TID 4023 row 3, (111093, DCM, "CAD Operating Point Table"): PixelMed lacks the first word.
    r"Template 4023 .*\[Row 3\].*: Code \(111093,DCM,.* has different code meaning",
    # TID 4006 row 3, 'UNITS = DT ({1:n}, UCUM, "range: 1:n"), where n is the maximum specified in Row 9 of TID 4017';
    # TID 4023 row 2, 'UNITS = DT ({0:n}, UCUM, "range: 0:n"), where n is the value specified in Row 1', and row 6
    # likewise: PixelMed wants the letter n.
    r"Template (4006|4023) .*NUM \(111(071|092),DCM,.*: Incorrect units - expected \(\{([01]):n\},UCUM,[^)]*\)"
    r" - found \(\{\3:(\d+)\},UCUM,\"range: \3:\4\"\)$",
    # TID 4023 rows 8 and 9, 'NUM The value of Row 4' and 'NUM The value of Row 5', VM 1 each: PixelMed knows no such
    # concept names, takes any number for either, and finds two.
    r"Template 4023 .*\[Row 6\].*/\[Row [89]\] NUM \*: .* - found 2 content items but expected 1$",
)
"""Complaints of PixelMed (2022) about what PS3.16 2024c has in so many words."""


def tool(name: str) -> str:
    """Return a program's path, this Python environment's own first; if it is absent, skip the test, in CI fail it."""
    folders = [str(BIN), *os.environ["PATH"].split(os.pathsep), "/usr/sbin"]
    candidates = [path for folder in folders if (path := shutil.which(name, path=folder))]
    if name in DCMTK:
        candidates = [path for path in candidates if Path(path).read_bytes()[:2] != b"#!"]
    found = candidates[0] if candidates else None
    return found or absent(f"{name} is not installed; `make test` installs it where apt can")


def absent(message: str) -> NoReturn:
    """Skip the test for want of a peer; fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def viewer_modules() -> Path:
    """Return the folder that npm installed the OHIF viewer and the browser's driver into."""
    folder = ROOT / ".cache" / "ohif"
    installed, wanted = folder / "installed.json", ROOT / "tests" / "ohif" / "package-lock.json"
    if not installed.exists() or installed.read_bytes() != wanted.read_bytes():
        absent("the OHIF viewer is not installed; `make test` installs it where npm can")
    return folder / "node_modules"


def run_tool(name: str, *args: str | Path, seconds: float = 120) -> tuple[int, list[str]]:
    """Run a program, for some time at most; return its status and the lines it wrote."""
    done = subprocess.run(
        [tool(name), *map(str, args)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
        env=os.environ | {"TCP_NODELAY": "1"},
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def pixelmed_errors(*paths: Path) -> list[str]:
    """Return what PixelMed's DicomSRValidator complains of, warnings too; each line begins with its file's name.

    It takes one file per run, and ten seconds to start; here one run judges all files. Its tables are from 2022; what
    they say otherwise than the standard is left out (:data:`OTHERWISE_IN_THE_STANDARD`, :data:`MAMMOGRAPHY_REPORTED`).
    """
    tool("DicomSRValidator")
    unlimited = [f"-Djdk.xml.{limit}=0" for limit in ("xpathTotalOpLimit", "xpathExprOpLimit", "xpathExprGrpLimit")]
    speed = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmn128m"]
    driver = Path(__file__).with_name("ValidateReports.java")
    status, lines = run_tool(
        "java", *unlimited, *speed, "-cp", "/usr/share/java/pixelmed.jar", driver, *paths, seconds=600
    )
    assert status == 0, lines
    found = []
    for number, path in enumerate(paths):
        said = [line.removeprefix(f"{number}\t") for line in lines if line.startswith(f"{number}\t")]
        if "Root Template Validation Complete" not in said:
            found.append(f"{path.name}: Error: no template was found")
        marked = (line for line in said if line.startswith(("Error", "Warning")))
        marked = (line for line in marked if not any(re.search(told, line) for told in OTHERWISE_IN_THE_STANDARD))
        found += [f"{path.name}: {line}" for line in marked if not MAMMOGRAPHY_REPORTED.fullmatch(line)]
    return found


def wait_for(condition: Callable[[], Any], seconds: float = 10.0, what: str = "a condition") -> Any:
    """Wait until a condition returns something true, and return that; fail the test when the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    pytest.fail(f"waited {seconds:.0f} s in vain for {what}")


@dataclass
class Orthanc:
    """A running Orthanc: its DICOM and HTTP ports on loopback."""

    port: int
    http_port: int

    def get(self, path: str) -> Any:
        """A resource of its REST API, parsed from JSON."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as response:
            return json.load(response)

    def instances(self, study_uid: str | None = None) -> list[Dataset]:
        """Every instance that it holds, or those of one study."""
        found = []
        for uid in self.get("/instances"):
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.http_port}/instances/{uid}/file", timeout=10
            ) as response:
                ds = dcmread(BytesIO(response.read()))
            if study_uid in (None, ds.StudyInstanceUID):
                found.append(ds)
        return found

    def count(self) -> int:
        """How many instances it holds."""
        return int(self.get("/statistics")["CountInstances"])

    def stow(self, *paths: Path) -> None:
        """Store files by DICOMweb (PS3.18 10.5)."""
        body = b"".join(
            b"--border\r\nContent-Type: application/dicom\r\n\r\n" + path.read_bytes() + b"\r\n" for path in paths
        )
        kind = 'multipart/related; type="application/dicom"; boundary=border'
        headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}/dicom-web/studies", body + b"--border--\r\n", headers
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.load(response)
        assert len(answer["00081199"]["Value"]) == len(paths), answer
        assert "Value" not in answer.get("00081198", {}), answer

    def wado(self, ds: Dataset) -> bytes:
        """An instance as DICOMweb gives it back, in the transfer syntax in which it was stored (PS3.18 10.4)."""
        path = f"studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
        accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}/dicom-web/{path}", headers=accept)
        with urllib.request.urlopen(request, timeout=30) as response:
            border = response.headers.get_param("boundary").encode()
            _, part, end = response.read().split(b"--" + border)
        assert end.startswith(b"--")
        return bytes(part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n"))


@contextlib.contextmanager
def running_orthanc(folder: Path, port: int | None = None, *, dicomweb: bool = False) -> Iterator[Orthanc]:
    """A new, empty Orthanc; with DICOMweb under ``/dicom-web/`` if asked for."""
    if dicomweb and not DICOMWEB.exists():
        absent("Orthanc's DICOMweb plugin is not installed; `make test` installs it where apt can")
    orthanc = Orthanc(port or free_port(), free_port())
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": orthanc.http_port,
        "DicomPort": orthanc.port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomCheckCalledAet": False,
        "UnknownSopClassAccepted": True,
        "Plugins": [str(DICOMWEB)] if dicomweb else [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([tool("Orthanc"), str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        wait_for(lambda: _answers(orthanc.http_port) and _answers(orthanc.port), 30, "Orthanc")
        yield orthanc
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class NodeProcess:
    """``ftmtl serve --standalone`` as a user starts it."""

    def __init__(self, data: Path, orthanc_port: int, **environment: str) -> None:
        self.data = data
        self.port, self.http_port = free_port(), free_port()
        self.argv = [str(BIN / "ftmtl"), "serve", "--standalone", "--port", str(self.port)]
        self.argv += [
            "--http-port",
            str(self.http_port),
            "--data",
            str(data),
            "--to",
            f"ORTHANC@127.0.0.1:{orthanc_port}",
        ]
        self.environment = environment
        self.log = data.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, workers: bool = True) -> None:
        """Start it and wait until its workers are ready, or until it listens if it has none."""
        sign = "workers are ready" if workers else " listens on "
        before = self.log.read_text().count(sign) if self.log.exists() else 0
        self.data.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdout=log, stderr=log, env=os.environ | self.environment, stdin=subprocess.DEVNULL
            )
        wait_for(
            lambda: self.process.poll() is not None or self.log.read_text().count(sign) > before,
            120,
            f"{sign!r} in the log",
        )
        assert self.process.poll() is None, self.log.read_text()[-2000:]

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        """Politely."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def jobs(self) -> list[dict[str, Any]]:
        """What ``ftmtl jobs list --json`` says."""
        done = subprocess.run(
            [str(BIN / "ftmtl"), "jobs", "list", "--json", "--data", str(self.data)],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | self.environment,
        )
        listed: list[dict[str, Any]] = json.loads(done.stdout)
        return listed

    def child_pid(self, words: str) -> int | None:
        """The process id of the child whose command line holds these words."""
        assert self.process is not None
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError):  # a thread or a child may end while it is looked at
                for pid in (task / "children").read_text().split():
                    if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "):
                        return int(pid)
        return None

    def storescu(self, *args: str | Path) -> None:
        """Send files by dcmtk's storescu."""
        status, lines = run_tool("storescu", "-aec", "FTMTL", *args[:-1], "127.0.0.1", str(self.port), args[-1])
        assert status == 0, lines
