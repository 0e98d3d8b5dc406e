"""Segmentation: which pixels of an RoI belong to the lesion."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ftmtl.network.heads.blocks import MASK_SIZE, conv_block
from ftmtl.network.transfer import FeatureTransfer

MASK_RESOLUTION = 2 * MASK_SIZE
"""Side of the predicted masks, which is the same for boxes of all sizes."""


class SegmentationHead(nn.Module):
    """A small fully convolutional network, as in Mask R-CNN.

    Parameters
    ----------
    sources
        Number of feature maps that are transferred to this head.
    """

    def __init__(self, channels: int, sources: int = 0, fusion: str = "concat") -> None:
        super().__init__()
        self.features = nn.Sequential(*(conv_block(channels, channels) for _ in range(3)))
        self.transfer = FeatureTransfer(channels, sources, fusion)
        self.upsample = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.logits = nn.Conv2d(channels, 1, 1)

    def view(self, rois: Tensor) -> Tensor:
        """Return ``F_seg``, shape (RoIs, channels, 14, 14), from RoI features of the same shape."""
        f_seg: Tensor = self.features(rois)
        return f_seg

    def forward(self, f_seg: Tensor, handed: Sequence[Tensor]) -> Tensor:
        """Return the logits, float32, shape (RoIs, 28, 28)."""
        combined = self.transfer(f_seg, handed)
        logits: Tensor = self.logits(self.upsample(combined).relu())[:, 0].float()
        return logits
