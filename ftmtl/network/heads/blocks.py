"""What all heads are built of."""

from __future__ import annotations

from torch import nn

BOX_SIZE = 7
"""Side of the RoI features of detection and classification."""
MASK_SIZE = 14
"""Side of the RoI features of segmentation; its logits have twice that."""


def conv_block(inputs: int, outputs: int) -> nn.Sequential:
    """3×3 convolution, normalisation over groups (batches of RoIs vary in size), ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.GroupNorm(8, outputs), nn.ReLU())
