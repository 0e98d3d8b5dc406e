"""The three tasks' heads on regions of interest (RoIs). Each exposes the features that it can hand over."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ftmtl.transfer import FeatureTransfer

BOX_SIZE = 7
"""Side of the RoI features of detection and classification."""
MASK_SIZE = 14
"""Side of the RoI features of segmentation; its logits have twice that."""


def conv_block(inputs: int, outputs: int) -> nn.Sequential:
    """3×3 convolution, normalisation over groups (batches of RoIs vary in size), ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.GroupNorm(8, outputs), nn.ReLU())


class DetectionHead(nn.Module):
    """Is it a lesion, and where exactly is its box: class-agnostic, {background, lesion}."""

    def __init__(self, channels: int, hidden: int = 192) -> None:
        super().__init__()
        self.features = nn.Sequential(conv_block(channels, channels), conv_block(channels, channels))
        self.trunk = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * BOX_SIZE**2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.score = nn.Linear(hidden, 2)
        self.shift = nn.Linear(hidden, 4)

    def forward(self, rois: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From RoI features (RoIs, channels, 7, 7).

        Returns
        -------
        f_det
            Features to hand over, shape (RoIs, channels, 7, 7).
        logits
            Background and lesion, shape (RoIs, 2).
        deltas
            Box regression relative to the RoI, shape (RoIs, 4).
        """
        f_det = self.features(rois)
        trunk = self.trunk(f_det)
        return f_det, self.score(trunk), self.shift(trunk)


class SegmentationHead(nn.Module):
    """Which pixels of the RoI are lesion."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*(conv_block(channels, channels) for _ in range(3)))
        self.upsample = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.logits = nn.Conv2d(channels, 1, 1)

    def forward(self, rois: Tensor) -> tuple[Tensor, Tensor]:
        """From RoI features (RoIs, channels, 14, 14).

        Returns
        -------
        f_seg
            Features to hand over, shape (RoIs, channels, 14, 14).
        logits
            Shape (RoIs, 28, 28).
        """
        f_seg = self.features(rois)
        return f_seg, self.logits(self.upsample(f_seg).relu())[:, 0]


class ClassificationHead(nn.Module):
    """Benign or malignant, and the type of finding, from the combined feature maps of all tasks."""

    def __init__(self, channels: int, sources: Sequence[int], types: int) -> None:
        super().__init__()
        self.transfer = FeatureTransfer(channels, sources)
        self.features = nn.Sequential(
            conv_block(channels, channels), conv_block(channels, channels), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.malignancy = nn.Linear(channels, 2)
        self.finding_type = nn.Linear(channels, types)

    def forward(self, rois: Tensor, handed: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """From RoI features (RoIs, channels, 7, 7) and the maps handed over.

        Returns
        -------
        malignancy
            Logits of benign and malignant, shape (RoIs, 2).
        types
            Logits of the finding types, shape (RoIs, types).
        """
        features = self.features(self.transfer(rois, handed))
        return self.malignancy(features), self.finding_type(features)
