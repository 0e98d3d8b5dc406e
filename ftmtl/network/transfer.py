"""Early transfer of features between tasks, the idea of Gao et al. (arXiv 1906.01828).

Each task's feature map of a region of interest (RoI) is a view of the same lesion. One task's features are passed to
another task before that task decides; the tasks are not only joined by a common loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FeatureTransfer(nn.Module):
    """Combines a task's own RoI features with those transferred from other tasks.

    The transferred maps are resized to the task's own, combined with them, and mixed by a 1×1 convolution with
    normalisation.

    Parameters
    ----------
    channels
        Channels of the task's own features, of each transferred map, and of the result.
    sources
        Number of transferred maps; without any, the task's own features are returned unchanged.
    fusion
        ``concat`` concatenates the channels; ``sum`` adds the maps; ``gate`` adds them, each weighted at every place
        and in every channel by a sigmoid of the map and the task's own features.
    """

    def __init__(self, channels: int, sources: int, fusion: str = "concat") -> None:
        super().__init__()
        self.sources, self.fusion = sources, fusion
        if not sources:
            return
        width = channels * (1 + sources) if fusion == "concat" else channels
        self.mix = nn.Sequential(nn.Conv2d(width, channels, 1, bias=False), nn.GroupNorm(8, channels), nn.ReLU())
        if fusion == "gate":
            self.gates = nn.ModuleList(nn.Conv2d(2 * channels, channels, 1) for _ in range(sources))

    def forward(self, own: Tensor, handed: Sequence[Tensor]) -> Tensor:
        """Return the combined map, shape (RoIs, channels, s, s).

        Parameters
        ----------
        own
            Shape (RoIs, channels, s, s).
        handed
            One map per source, shape (RoIs, channels, any, any).
        """
        if not self.sources:
            return own
        maps = [_resized(m, own) for m in handed]
        if self.fusion == "concat":
            joined = torch.cat([own, *maps], dim=1)
        elif self.fusion == "sum":
            joined = own + torch.stack(maps).sum(0)
        else:
            gates = [gate(torch.cat([own, m], dim=1)).sigmoid() for gate, m in zip(self.gates, maps, strict=True)]
            joined = own + torch.stack([g * m for g, m in zip(gates, maps, strict=True)]).sum(0)
        mixed: Tensor = self.mix(joined)
        return mixed


def _resized(handed: Tensor, own: Tensor) -> Tensor:
    """Resize a map to the size of another: by averaging to a smaller size, bilinearly to a larger one."""
    size = (own.shape[-2], own.shape[-1])
    if handed.shape[-2:] == own.shape[-2:]:
        return handed
    if handed.shape[-1] > size[-1]:
        return F.adaptive_avg_pool2d(handed, size)
    return F.interpolate(handed, size, mode="bilinear", align_corners=False)
