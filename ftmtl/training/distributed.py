"""Training one network in several processes, started by ``torchrun``; everything also works in a single process."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from ftmtl.errors import TrainingError

_PATIENCE = timedelta(hours=3)
"""Timeout of processes that wait for another one to read images or to validate."""


def init(device: str = "") -> torch.device:
    """Join the other processes, if torchrun started this one, and return the device to compute on.

    All processes but the first only log warnings.

    Parameters
    ----------
    device
        ``cpu``, ``cuda``, ``cuda:1``; empty for the GPU if there is one. Each of several processes uses its own GPU.

    Raises
    ------
    TrainingError
        If the device is not available.
    """
    chosen = _device(device)
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ and not distributed.is_initialized():
        distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=_PATIENCE)
    if rank():
        logging.getLogger("ftmtl").setLevel(logging.WARNING)
    return chosen


def rank() -> int:
    """Return the number of this process, from 0; the first one writes files."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world() -> int:
    """Return the number of processes."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def barrier() -> None:
    """Wait until all processes have reached this call."""
    if world() > 1:
        distributed.barrier()


def close() -> None:
    """Leave the other processes."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def mean(values: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes; it is not finite if the tensor of one process is not."""
    if world() == 1:
        return values
    values = values.clone()
    distributed.all_reduce(values)
    return values / world()


def from_first(value: Any) -> Any:
    """Return the value of the first process."""
    if world() == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0)
    return box[0]


def parallel(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the module to call in training, which gives all processes the gradient of the whole batch."""
    if world() == 1:
        return network
    return DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)


def synchronised(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network with batch normalisation over all processes, which is only supported on GPUs."""
    if world() == 1 or device.type != "cuda":
        return network
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return converted


def _device(name: str) -> torch.device:
    text = name or ("cuda" if torch.cuda.is_available() else "cpu")
    if text == "cuda" and "LOCAL_RANK" in os.environ:
        text = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(text)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise TrainingError(f"machine.device: {text!r} cannot be used: {_short(error)}") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def _short(error: BaseException) -> str:
    """Return the first sentence of a message."""
    return str(error).splitlines()[0].split(". ")[0]
