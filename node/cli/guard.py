"""A process that ends the embedded queue server when the server's keeper was killed.

``python -m node.cli.guard PORT``, with a pipe from the keeper as its standard input: the pipe closes with the keeper. A
keeper that ends regularly ends the server itself, and its guard before.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time

_STARTING_S = 2.0
"""The keeper may have been killed when the server had not begun to listen."""


def guard_queue_server(port: int) -> subprocess.Popen[bytes]:
    """Start a guard for the queue server on a loopback port; it lives as long as this process does."""
    command = [sys.executable, "-m", "node.cli.guard", str(port)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def end_queue_server(port: int) -> None:
    """Tell the queue server on a loopback port to end."""
    deadline = time.monotonic() + _STARTING_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as server:
            server.sendall(b"SHUTDOWN NOSAVE\r\n")
            while server.recv(4096):
                pass
            return
        time.sleep(0.05)


if __name__ == "__main__":
    while os.read(0, 4096):
        pass
    end_queue_server(int(sys.argv[1]))
