"""The folder of a training run: what was asked, what came of it, and the state from which it goes on.

====================  =====================================================================================
``recipe.json``       the recipe, its defaults written out
``run.json``          versions, device, what data
``history.jsonl``     a line a step and a line a validation
``events``            the same for TensorBoard, where it is installed
``curves.png``        the same to look at
``checkpoint.pt``     from which the run goes on
``best.safetensors``  weights with the best validation
``last.safetensors``  weights of the last checkpoint
====================  =====================================================================================
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import pickle
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import torch

from ftmtl.errors import TrainingError
from ftmtl.network.ftmtlnet import FTMTLNet, SingleTaskNetworks
from ftmtl.training.curves import draw_curves
from ftmtl.weights import WeightsCard, save_weights

log = logging.getLogger(__name__)

BEST, LAST = "best.safetensors", "last.safetensors"
_CHECKPOINT, _HISTORY = "checkpoint.pt", "history.jsonl"
_DAMAGED = (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, TypeError)


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    phase, step
        Phases that are done, and steps done in the one after them.
    total
        Steps done in all phases.
    best, best_step
        The best validation so far and the step after which it was, or None and 0.
    waited
        Validations of this phase since it was better than ever.
    finished
        Whether nothing is left to do.
    """

    phase: int = 0
    step: int = 0
    total: int = 0
    best: float | None = None
    best_step: int = 0
    waited: int = 0
    finished: bool = False


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """From which a run goes on.

    Attributes
    ----------
    network, optimiser
        State dictionaries.
    progress
        How far it is.
    recipe, data
        The recipe as JSON, and the digest of the data, which may not change under a run.
    """

    network: dict[str, Any]
    optimiser: dict[str, Any]
    progress: Progress
    recipe: dict[str, Any]
    data: str


class RunFolder:
    """A run on disk. One process writes; the others only read the checkpoint.

    Raises
    ------
    TrainingError
        If ``path`` is no folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_dir():
            raise TrainingError(f"--out {path} is a file; it has to name the folder of the run")
        self._history: IO[str] | None = None
        self._lock: IO[str] | None = None
        self._events: Any = None

    def open(self, total: int) -> None:
        """Make the folder and go on writing its history after ``total`` steps; what is there of later ones is dropped.

        Raises
        ------
        TrainingError
            If another process trains here.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = (self.path / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainingError(f"another process is training in {self.path}") from error
        kept = [json.dumps(line) + "\n" for line in self.history() if line["step"] <= total]
        self._replace(_HISTORY, lambda path: path.write_text("".join(kept)))
        self._history = (self.path / _HISTORY).open("a")
        self._events = _event_writer(self.path / "events", total)

    def close(self) -> None:
        """Let go of the folder."""
        for file in (self._history, self._events, self._lock):
            if file is not None:
                file.close()
        self._history = self._events = self._lock = None

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file whole or not at all."""
        self._replace(name, lambda path: path.write_text(json.dumps(value, indent=2) + "\n"))

    def record(self, line: Mapping[str, Any]) -> None:
        """Add a line to the history; numbers in its tables go to TensorBoard as well."""
        assert self._history is not None
        self._history.write(json.dumps(line) + "\n")
        self._history.flush()
        if self._events is not None:
            for table in ("losses", "metrics"):
                for name, value in line.get(table, {}).items():
                    self._events.add_scalar(f"{table}/{name}", value, line["step"])
            if "rate" in line:
                self._events.add_scalar("rate", line["rate"], line["step"])

    def history(self) -> list[dict[str, Any]]:
        """Return the history's lines; one that was cut off by a kill is left out."""
        path = self.path / _HISTORY
        lines = path.read_text().splitlines() if path.exists() else []
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                log.warning("history=%s a line that was cut off is left out", path)
        return found

    def draw(self) -> None:
        """Draw the history."""
        self._replace("curves.png", lambda path: draw_curves(self.history(), path))

    def save_weights(self, name: str, network: FTMTLNet | SingleTaskNetworks, card: WeightsCard) -> None:
        """Write weights whole or not at all."""
        self._replace(name, lambda path: save_weights(path, network, card))

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint whole or not at all."""
        state = {**vars(checkpoint), "progress": asdict(checkpoint.progress)}
        self._replace(_CHECKPOINT, lambda path: torch.save(state, path))

    def checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint, its tensors on the CPU, or None if there is none yet.

        Raises
        ------
        TrainingError
            If it is damaged.
        """
        path = self.path / _CHECKPOINT
        if not path.exists():
            return None
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            return Checkpoint(**{**state, "progress": Progress(**state["progress"])})
        except _DAMAGED as error:
            raise TrainingError(
                f"checkpoint {path} is damaged; without it the run starts from the beginning"
            ) from error

    def _replace(self, name: str, write: Callable[[Path], Any]) -> None:
        """Write beside, flush to disk, rename."""
        path = self.path / name
        partial = path.with_name(f".{path.stem}.partial{path.suffix}")
        try:
            write(partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def environment(device: torch.device) -> dict[str, Any]:
    """Return what a run was computed with: versions and the device's name."""
    names = ("ftmtl-node", "torch", "torchvision", "numpy")
    return {
        "versions": {name: metadata.version(name) for name in names} | {"python": platform.python_version()},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def _event_writer(path: Path, total: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.info("tensorboard is not installed: no events are written")
        return None
    return SummaryWriter(str(path), purge_step=total + 1)
