"""Device, memory layout, precision and compilation of a network."""

from __future__ import annotations

import os

import torch
from torchvision.models.detection.backbone_utils import BackboneWithFPN

from ftmtl.network.ftmtlnet import FTMTLNet, SingleTaskNetworks
from ftmtl.training import distributed
from ftmtl.training.recipe import MachineSection

Network = FTMTLNet | SingleTaskNetworks


def prepared(network: Network, machine: MachineSection, device: torch.device) -> Network:
    """Move a network to its device, with the memory layout and compilation requested, and keep its state's keys."""
    if machine.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(machine.deterministic)
    network.to(device)
    if machine.channels_last:
        network.to(memory_format=torch.channels_last)
    distributed.synchronised(network, device)
    for module in network.modules():
        if machine.compile and isinstance(module, BackboneWithFPN):
            module.compile()
    return network


def resolved_precision(machine: MachineSection, device: torch.device) -> str:
    """Return ``bf16`` or ``fp32``, resolving ``auto`` for a device."""
    if machine.precision != "auto":
        return machine.precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
