"""A node that is told to end ends within 10 s, whatever its senders do."""

import signal
import subprocess
import sys
import time

import pytest
from support.peers import wait_for
from support.raw import RawSender, c_store, left_open, p_data, request

from node.cli.standalone import free_port

STOPS_WITHIN_S = 10


@pytest.fixture
def served(tmp_path):
    """A node without workers: its process, and its port."""
    port, log = free_port(), tmp_path / "log"
    command = [
        sys.executable, "-m", "node.cli", "serve", "--data", tmp_path / "data", "--port", str(port),
        "--queue-url", f"redis://127.0.0.1:{free_port()}/0", "--to", "PACS@127.0.0.1:104", "--http-port", "0",
    ]  # fmt: skip
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            wait_for(lambda: b"status page" in log.read_bytes(), 60)
            yield process, port, log
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_with_stalled_senders_stops(served, number):
    process, port, log = served
    with (
        RawSender(port, request()) as in_a_pdu,
        RawSender(port, request()) as in_an_image,
        RawSender(port, request()),
        left_open(port, 10, request()[:50]),
    ):
        in_a_pdu.send(p_data(bytes(1000))[:50])
        in_an_image.command(c_store())
        in_an_image.send(p_data(bytes(1000), last=False))
        wait_for(lambda: list((log.parent / "data").rglob("incoming/*/*.dcm")))
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(30) == 0
        assert time.monotonic() - began < STOPS_WITHIN_S
    assert not list((log.parent / "data").rglob("incoming/*/*.dcm"))
    assert "Traceback" not in log.read_text()
