"""Classification: benign or malignant, and the type of the finding."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ftmtl.network.heads.blocks import conv_block
from ftmtl.network.transfer import FeatureTransfer


class ClassificationHead(nn.Module):
    """Classifies RoIs from the combined feature maps of the tasks.

    Parameters
    ----------
    types
        Number of finding types.
    sources
        Number of feature maps that are transferred to this head.
    hands_over
        Whether this head computes a view for transfer to others; if not, its view is the RoI features themselves.
    """

    def __init__(
        self, channels: int, types: int, sources: int = 0, fusion: str = "concat", *, hands_over: bool = False
    ) -> None:
        super().__init__()
        self.own = conv_block(channels, channels) if hands_over else nn.Identity()
        self.transfer = FeatureTransfer(channels, sources, fusion)
        self.features = nn.Sequential(
            conv_block(channels, channels), conv_block(channels, channels), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.malignancy = nn.Linear(channels, 2)
        self.finding_type = nn.Linear(channels, types)

    def view(self, rois: Tensor) -> Tensor:
        """Return ``F_cls``, shape (RoIs, channels, 7, 7), from RoI features of the same shape."""
        f_cls: Tensor = self.own(rois)
        return f_cls

    def forward(self, f_cls: Tensor, handed: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Classify RoIs.

        Returns
        -------
        malignancy
            float32, logits of benign and malignant, shape (RoIs, 2).
        types
            float32, logits of the finding types, shape (RoIs, types).
        """
        features = self.features(self.transfer(f_cls, handed))
        return self.malignancy(features).float(), self.finding_type(features).float()
