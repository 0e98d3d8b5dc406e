"""The folder of a training run: its settings, its results, and the state from which it is resumed.

====================  =====================================================================================
``recipe.json``       the recipe, including defaults
``run.json``          versions, device, summary of the data
``history.jsonl``     one line per step and per validation
``events``            the history for TensorBoard, if it is installed
``curves.png``        plots of the history
``checkpoint.pt``     the state from which the run is resumed
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
    """Progress of a run.

    Attributes
    ----------
    phase, step
        Number of complete phases, and of complete steps in the current phase.
    total
        Number of complete steps in all phases.
    best, best_step
        The best validation so far and the step after which it was measured, or None and 0.
    waited
        Number of validations in this phase since the last improvement.
    finished
        Whether the run is complete.
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
    """The state from which a run is resumed.

    Attributes
    ----------
    network, optimiser
        State dictionaries.
    progress
        Progress of the run.
    recipe, data
        The recipe as JSON and the digest of the data, which must not change during a run.
    """

    network: dict[str, Any]
    optimiser: dict[str, Any]
    progress: Progress
    recipe: dict[str, Any]
    data: str


class RunFolder:
    """The folder of a run. One process writes; the others only read the checkpoint.

    Raises
    ------
    TrainingError
        If ``path`` is not a folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_dir():
            raise TrainingError(f"--out {path} is a file; it has to name the folder of the run")
        self._history: IO[str] | None = None
        self._lock: IO[str] | None = None
        self._events: Any = None

    def open(self, total: int) -> None:
        """Create the folder if necessary and continue its history after ``total`` steps; later lines are removed.

        Raises
        ------
        TrainingError
            If another process is training in this folder.
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
        """Close all files and release the folder."""
        for file in (self._history, self._events, self._lock):
            if file is not None:
                file.close()
        self._history = self._events = self._lock = None

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file atomically."""
        self._replace(name, lambda path: path.write_text(json.dumps(value, indent=2) + "\n"))

    def record(self, line: Mapping[str, Any]) -> None:
        """Append a line to the history, and write its losses, metrics and rate to TensorBoard as well."""
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
        """Return the lines of the history, without one that was cut off when the run was killed."""
        path = self.path / _HISTORY
        lines = path.read_text().splitlines() if path.exists() else []
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                log.warning("history=%s skipped an incomplete line", path)
        return found

    def draw(self) -> None:
        """Plot the history."""
        self._replace("curves.png", lambda path: draw_curves(self.history(), path))

    def save_weights(self, name: str, network: FTMTLNet | SingleTaskNetworks, card: WeightsCard) -> None:
        """Write weights atomically."""
        self._replace(name, lambda path: save_weights(path, network, card))

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint atomically."""
        state = {**vars(checkpoint), "progress": asdict(checkpoint.progress)}
        self._replace(_CHECKPOINT, lambda path: torch.save(state, path))

    def checkpoint(self) -> Checkpoint | None:
        """Read the checkpoint, with tensors on the CPU; return None if there is none yet.

        Raises
        ------
        TrainingError
            If the checkpoint is damaged.
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
        """Write to a temporary file, flush it to disk and rename it."""
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
    """Return the environment of a run: versions and the name of the device."""
    names = ("ftmtl-node", "torch", "torchvision", "numpy")
    return {
        "versions": {name: metadata.version(name) for name in names} | {"python": platform.python_version()},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def _event_writer(path: Path, total: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.info("tensorboard is not installed, so no events are written")
        return None
    return SummaryWriter(str(path), purge_step=total + 1)
