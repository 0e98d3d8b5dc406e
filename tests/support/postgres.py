"""A throw-away PostgreSQL cluster on a free port, and empty ledgers in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from node.cli.standalone import free_port
from node.ledger.ledger import Ledger
from support.peers import absent, wait_for

_TEMPLATE = "empty_ledger"
_DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


class Cluster:
    """A running cluster; each ledger is a database of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._run("CREATE DATABASE " + _TEMPLATE)
        ledger = Ledger(self._url(_TEMPLATE))
        ledger.upgrade()
        ledger.close()

    def new_url(self, *, empty: bool = False) -> str:
        """Make a database with an empty ledger, or with nothing in it, and return its URL."""
        name = f"ledger_{uuid.uuid4().hex}"
        self._run(f"CREATE DATABASE {name}" if empty else f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def _run(self, statement: str) -> None:
        engine = sa.create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()


def _program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([*map(str, _DEBIAN), os.environ["PATH"]]))
    return found or absent(f"PostgreSQL's {name} is not installed; `make test` installs it where apt can")


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start a cluster without durability, which a test of the ledger's own doesn't need, and remove it afterwards."""
    initdb, postgres = _program("initdb"), _program("postgres")
    folder, port = Path(tempfile.mkdtemp(prefix="ftmtl-postgres-", dir="/tmp")), free_port()
    # PostgreSQL refuses to run as root
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if prefix:
        shutil.chown(folder, "postgres")
    options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"]
    subprocess.run([*prefix, initdb, "-D", str(folder / "db"), *options], check=True, capture_output=True, cwd="/")
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder.with_suffix(".log")).open("wb") as log:
        command = [*prefix, postgres, "-D", str(folder / "db"), *arguments, "-c", "max_connections=200"]
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
    try:
        _wait_until_ready(port, process)
        yield Cluster(port)
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".log").unlink(missing_ok=True)


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    engine = sa.create_engine(f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres")

    def answers() -> bool:
        assert process.poll() is None, "PostgreSQL did not start"
        try:
            with engine.connect():
                return True
        except sa.exc.OperationalError:
            return False

    wait_for(answers, 60, "PostgreSQL")
    engine.dispose()
