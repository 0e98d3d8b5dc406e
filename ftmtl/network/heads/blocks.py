"""Building blocks of the heads."""

from __future__ import annotations

from torch import nn

BOX_SIZE = 7
"""Side of the RoI features of detection and classification."""
MASK_SIZE = 14
"""Side of the RoI features of segmentation."""


def conv_block(inputs: int, outputs: int) -> nn.Sequential:
    """Return a 3×3 convolution, group normalisation (as batches of RoIs vary in size) and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.GroupNorm(8, outputs), nn.ReLU())
