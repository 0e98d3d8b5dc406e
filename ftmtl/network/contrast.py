"""Local contrast: how far each pixel lies above its surroundings, in deviations of theirs.

A mass shows in the dark of fat and in the light of gland, on a steep film and on a flat one. The grey value alone says
little about which it is; the network is given both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ftmtl.preprocess import AIR

_COARSE = 4
"""Statistics of windows are computed on a grid so many times coarser."""
_LEAST_DEVIATION = 0.1
"""Added to a window's deviation, so that noise in an even window does not count as contrast."""


@torch.no_grad()
def with_local_contrast(images: Tensor, sides: Sequence[int]) -> Tensor:
    """Return images with a channel for each side of a window: the image relative to the breast in that window.

    Parameters
    ----------
    images
        Standardised, shape (n, 1, height, width).
    sides
        Of square windows, in pixels; each is laid twice, so that its weight falls off like a tent's.

    Returns
    -------
    Tensor
        Shape (n, 1 + len(sides), height, width); contrast is 0 in the air and lies in -4..4.
    """
    breast = (images > images.amin(dim=(2, 3), keepdim=True) + AIR).to(images.dtype)
    sums = F.avg_pool2d(torch.cat([breast, images * breast, images**2 * breast], dim=1), _COARSE, ceil_mode=True)
    return torch.cat([images, *(_contrast(images, breast, sums, side) for side in sides)], dim=1)


def _contrast(images: Tensor, breast: Tensor, sums: Tensor, side: int) -> Tensor:
    reach = side // _COARSE // 2
    for _ in range(2):
        sums = F.avg_pool2d(sums, (2 * reach + 1, 1), stride=1, padding=(reach, 0))
        sums = F.avg_pool2d(sums, (1, 2 * reach + 1), stride=1, padding=(0, reach))
    part, total, squares = F.interpolate(sums, size=images.shape[-2:], mode="bilinear").split(1, dim=1)
    mean = total / (part + 1e-3)
    deviation = (squares / (part + 1e-3) - mean**2).clamp(min=0).sqrt()
    return ((images - mean) / (deviation + _LEAST_DEVIATION)).clamp(-4, 4) * breast
