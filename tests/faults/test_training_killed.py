"""A training run killed at any moment goes on as if nothing had happened; two processes train as one does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support.peers import wait_for
from support.places import ROOT
from support.recipes import write_recipe

from ftmtl.network.ftmtlnet import build_network
from ftmtl.training.recipe import read_recipe
from ftmtl.training.runs import RunFolder
from ftmtl.training.train import train

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for phantoms that have been drawn already."""
    return tmp_path_factory.mktemp("cache")


def start(command: list[str], recipe: Path, run: Path) -> subprocess.Popen[str]:
    """Train in a process of its own, on one thread, so that sums are added in one order."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, "train", str(recipe), "--out", str(run)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def steps(run: Path) -> list[dict[str, Any]]:
    return [line for line in RunFolder(run).history() if line["kind"] == "step"]


def state(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = RunFolder(run).checkpoint()
    assert checkpoint is not None
    return checkpoint.network


def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    return float(torch.cat([(a[name] - b[name]).float().flatten() for name in a]).norm())


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums are added in one order, here as in the processes that are started."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_killed_run_ends_with_exactly_the_same_weights(tmp_path: Path, cache: Path) -> None:
    recipe = write_recipe(tmp_path, cache=cache, steps=14, every=4, workers=1)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start([sys.executable, "-m", "node.cli"], recipe, killed)
    wait_for(lambda: process.poll() is not None or len(steps(killed)) >= 6, 120, "six steps")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 6 <= len(steps(killed)) < 14, "killed too late to prove anything"
    train(read_recipe(recipe), killed)
    train(read_recipe(recipe), whole)
    assert [line["step"] for line in steps(killed)] == list(range(1, 15))
    assert [line["losses"] for line in steps(killed)] == [line["losses"] for line in steps(whole)]
    resumed = state(killed)
    for name, tensor in state(whole).items():
        assert torch.equal(tensor, resumed[name]), name


def test_two_processes_train_as_one(tmp_path: Path, cache: Path) -> None:
    """Gradients agree to rounding; later a proposal may pass some threshold in one run and not in the other."""
    recipe = write_recipe(tmp_path, cache=cache, steps=4, every=4, rate=1e-5)
    alone, in_two = tmp_path / "alone", tmp_path / "in_two"
    process = start([*TORCHRUN, "-m", "node.cli"], recipe, in_two)
    train(read_recipe(recipe), alone)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    for one, two in zip(steps(alone), steps(in_two), strict=True):
        assert two["losses"] == pytest.approx(one["losses"], rel=1e-4, abs=1e-6)
        assert two["gradient"] == pytest.approx(one["gradient"], rel=1e-3)
    torch.manual_seed(read_recipe(recipe).seed)
    first = build_network(read_recipe(recipe).network_config()).state_dict()
    assert distance(state(alone), state(in_two)) < 0.05 * distance(state(alone), first)
