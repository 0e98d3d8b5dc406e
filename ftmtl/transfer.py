"""Early transfer of features between the tasks: the idea of Gao et al. (arXiv 1906.01828).

Each task's feature map of a region of interest (RoI) is a view of the same lesion. What one task has learned is
handed to another before that task decides, not joined in the cost function only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FeatureTransfer(nn.Module):
    """Combine a task's own RoI features with those handed over by other tasks.

    The maps are brought to the size of the task's own, concatenated, and mixed by a 1×1
    convolution with normalisation.

    Parameters
    ----------
    channels
        Channels of the task's own features, and of the result.
    sources
        Channels of each map that is handed over, in the order in which ``forward`` gets them.
    """

    def __init__(self, channels: int, sources: Sequence[int]) -> None:
        super().__init__()
        self.mix = nn.Sequential(
            nn.Conv2d(channels + sum(sources), channels, 1, bias=False), nn.GroupNorm(8, channels), nn.ReLU()
        )

    def forward(self, own: Tensor, handed: Sequence[Tensor]) -> Tensor:
        """Return the combined map.

        Parameters
        ----------
        own
            Shape (RoIs, channels, s, s).
        handed
            One map a source, shape (RoIs, channels of the source, any, any).
        """
        size = (own.shape[-2], own.shape[-1])
        resized = [m if m.shape[-2:] == own.shape[-2:] else F.adaptive_avg_pool2d(m, size) for m in handed]
        mixed: Tensor = self.mix(torch.cat([own, *resized], dim=1))
        return mixed
