"""The processes that decode: they live on, within limits, and never longer than the one that started them."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1
from support.codestreams import codestream, compressed, picture
from support.peers import wait_for
from support.places import ROOT

from ftmtl.decoding.process import DecoderFault, DecoderPool, DecoderProcess, Request

OPTIONS = {
    "rows": 300,
    "columns": 240,
    "samples_per_pixel": 1,
    "photometric_interpretation": "MONOCHROME2",
    "bits_allocated": 16,
    "bits_stored": 12,
    "pixel_representation": 0,
}
PARENT = """
import sys
from pathlib import Path
from ftmtl.decoding import process
pool = process.POOL
request = process.Request(sys.argv[1], {options}, Path(sys.argv[2]).read_bytes(), 2**30, 60)
pool.decode(request)
print(pool._idle[0].pid, flush=True)
{then}
"""


def request(syntax=JPEGLosslessSV1, memory_bytes=2**30, seconds=60):
    return Request(syntax, OPTIONS, codestream(compressed(syntax)), memory_bytes, seconds)


@pytest.fixture
def pool():
    pool = DecoderPool()
    yield pool
    pool.stop()


@pytest.fixture
def process():
    process = DecoderProcess()
    yield process
    process.stop()


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_one_process_decodes_one_image_after_another(pool):
    for _ in range(3):
        np.testing.assert_array_equal(pool.decode(request()), picture())
    assert len(pool._idle) == 1


def test_two_threads_have_a_process_each(pool):
    with ThreadPoolExecutor(4) as threads:
        for stored in threads.map(lambda _: pool.decode(request()), range(12)):
            np.testing.assert_array_equal(stored, picture())
    assert 1 <= len(pool._idle) <= 2


def test_a_process_that_was_killed_is_replaced(pool):
    pool.decode(request())
    (killed,) = pool._idle
    os.kill(killed.pid, signal.SIGKILL)
    np.testing.assert_array_equal(pool.decode(request()), picture())
    (other,) = pool._idle
    assert other.pid != killed.pid


def test_a_process_that_dies_over_an_image_says_so(process):
    process.decode(request())
    os.kill(process.pid, signal.SIGSTOP)
    threading.Timer(0.2, os.kill, (process.pid, signal.SIGKILL)).start()
    with pytest.raises(DecoderFault, match="crash"):
        process.decode(request())
    assert not process.alive


def test_a_process_that_hangs_is_killed(process):
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(DecoderFault, match="time"):
        process.decode(request(seconds=1))
    assert not process.alive


def test_an_image_that_takes_too_much_memory_is_refused_and_the_process_lives_on(process):
    with pytest.raises(DecoderFault, match=r"memory|undecodable"):
        process.decode(request(JPEG2000Lossless, memory_bytes=100_000))
    assert process.alive
    np.testing.assert_array_equal(process.decode(request()), picture())


def test_signals_that_are_meant_for_the_parent_are_ignored(process):
    process.decode(request())
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(process.pid, number)
    np.testing.assert_array_equal(process.decode(request()), picture())


@pytest.mark.parametrize("then", ["import time; time.sleep(600)", "", "raise SystemExit(3)"])
def test_it_ends_with_its_parent(then, tmp_path):
    (tmp_path / "codestream").write_bytes(codestream(compressed(JPEGLosslessSV1)))
    script = PARENT.format(options=OPTIONS, then=then)
    command = [sys.executable, "-W", "error", "-c", script, JPEGLosslessSV1, str(tmp_path / "codestream")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    pid = int(parent.stdout.readline())
    if "sleep" in then:
        assert is_running(pid)
        parent.kill()
    _, errors = parent.communicate(timeout=30)
    assert errors == ""
    wait_for(lambda: not is_running(pid), 10, "the end of the decoder")


def test_a_fork_leaves_the_parents_processes_alone(tmp_path):
    (tmp_path / "codestream").write_bytes(codestream(compressed(JPEGLosslessSV1)))
    fork = """
import os
child = os.fork()
if child == 0:
    pool.decode(request)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
pool.decode(request)
"""
    script = PARENT.format(options=OPTIONS, then=fork)
    command = [sys.executable, "-c", script, JPEGLosslessSV1, str(tmp_path / "codestream")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_it_starts_without_torch_and_scipy():
    script = (
        "import sys, ftmtl.decoding.child; print({'torch', 'scipy', 'PIL.Image'} & sys.modules.keys() - {'PIL.Image'})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "set()\n"
