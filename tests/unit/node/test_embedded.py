"""Children that are kept alive, and that follow their parent."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import redis
from support.peers import wait_for

from node.cli.embedded import Child
from node.cli.standalone import free_port

SLEEP = ["-c", "import time; time.sleep(600)"]


def runs(pid):
    """Tell whether a process is there, and not a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def child():
    made = Child("sleeper", SLEEP)
    yield made
    made.stop()


def test_a_killed_child_is_started_again(child):
    child.start()
    first = wait_for(lambda: child.pid)
    os.kill(first, signal.SIGKILL)
    second = wait_for(lambda: child.pid != first and child.pid)
    assert runs(second)
    assert not runs(first)


def test_a_stopped_child_stays_away(child):
    child.start()
    pid = wait_for(lambda: child.pid)
    child.stop()
    assert not runs(pid)
    time.sleep(0.7)  # longer than the pause before a restart
    assert child.pid == pid


def test_a_child_that_ignores_politeness_is_killed(tmp_path):
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    )
    child = Child("stubborn", ["-c", stubborn], tmp_path / "log")
    child.start()
    pid = wait_for(lambda: child.pid)
    wait_for(lambda: (tmp_path / "log").read_text())
    child.stop(timeout_s=0.3)
    assert not runs(pid)


def test_a_child_is_asked_to_end_once_and_stays_away(tmp_path):
    """To Celery a second SIGTERM means to drop what it is doing."""
    patient = (
        "import signal, time; signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True)); "
        "print('ready', flush=True); time.sleep(600)"
    )
    log = tmp_path / "log"
    child = Child("patient", ["-c", patient], log)
    child.start()
    wait_for(lambda: log.exists() and log.read_text() == "ready\n")
    pid = child.pid
    child.ask_to_end()
    wait_for(lambda: "asked" in log.read_text())
    child.stop(timeout_s=0.3)
    assert log.read_text().split() == ["ready", "asked"]
    assert not runs(pid)


def test_stop_right_after_start_leaves_nobody_behind(monkeypatch):
    spawned = []
    real = Child._spawn

    def slow(self):
        time.sleep(0.1)  # `stop` comes in here
        spawned.append(real(self))
        return spawned[-1]

    monkeypatch.setattr(Child, "_spawn", slow)
    child = Child("sleeper", SLEEP)
    child.start()
    time.sleep(0.02)
    child.stop(timeout_s=2)
    assert all(process.poll() is not None for process in spawned)


def test_a_child_that_never_started_can_be_stopped(child):
    child.stop()


def test_output_goes_to_its_file(tmp_path):
    path = tmp_path / "log" / "child.log"
    child = Child("speaker", ["-c", "import sys; print('out'); print('err', file=sys.stderr)"], path)
    child.start()
    wait_for(lambda: path.exists() and {"out", "err"} <= set(path.read_text().split()))
    child.stop()


PARENT = """
import time
from node.cli.embedded import Child
child = Child("heir", ["-c", "import time; from node.cli.embedded import follow_parent as f; f(); time.sleep(600)"])
child.start()
while child.pid is None:
    time.sleep(0.01)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_follows_its_parent_however_it_ends(number):
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        assert runs(pid)
        parent.send_signal(number)
        parent.wait(10)
        wait_for(lambda: not runs(pid))


def test_follow_parent_does_nothing_for_a_process_that_nobody_started_so(monkeypatch):
    code = "from node.cli.embedded import follow_parent; import time; follow_parent(); time.sleep(0.3); print('alive')"
    environment = {name: value for name, value in os.environ.items() if name != "FTMTL_FOLLOW_PARENT"}
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, env=environment, check=True
    )
    assert done.stdout == b"alive\n"


QUEUE_PARENT = """
import sys, time
from node.cli.embedded import Child
Child("queue", ["-m", "node.cli", "_queue", *sys.argv[1:]]).start()
time.sleep(600)
"""


def shut_down(port):
    """End the server of a port, if there is one."""
    with contextlib.suppress(redis.RedisError), redis.Redis(port=port) as client:
        client.shutdown(nosave=True)


def server_pid(port):
    """The process id of the queue server of a port; None while there is none."""
    with contextlib.suppress(redis.RedisError), redis.Redis(port=port) as client:
        return client.info("server")["process_id"]


def answers(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_queue_server_ends_with_its_keeper_however_that_ends(tmp_path, number):
    port = free_port()
    command = [sys.executable, "-m", "node.cli", "_queue", str(port), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as keeper:
        wait_for(lambda: answers(port))
        keeper.send_signal(number)
    try:
        wait_for(lambda: not answers(port))
    finally:
        shut_down(port)


def test_a_killed_keeper_is_followed_by_another_with_a_server_of_its_own(tmp_path):
    port = free_port()
    keeper = Child("queue", ["-m", "node.cli", "_queue", str(port), str(tmp_path)], tmp_path / "queue.log")
    keeper.start()
    try:
        first = wait_for(lambda: server_pid(port))
        os.kill(keeper.pid, signal.SIGKILL)
        second = wait_for(lambda: server_pid(port) not in (first, None) and server_pid(port))
        assert runs(second)
        assert not runs(first)
    finally:
        keeper.stop()
        shut_down(port)


def test_the_queue_server_ends_with_its_keeper(tmp_path):
    port = free_port()
    keeper = Child("queue", ["-m", "node.cli", "_queue", str(port), str(tmp_path)], tmp_path / "queue.log")
    keeper.start()
    wait_for(lambda: answers(port))
    keeper.stop()
    wait_for(lambda: not answers(port))


def test_the_queue_server_ends_with_a_killed_node(tmp_path):
    port = free_port()
    command = [sys.executable, "-c", QUEUE_PARENT, str(port), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as node:
        try:
            wait_for(lambda: answers(port))
        finally:
            node.kill()
        wait_for(lambda: not answers(port))
