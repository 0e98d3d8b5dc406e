"""Local contrast: how much brighter each pixel is than its surroundings, in standard deviations of these.

A mass may lie in dark fat or in bright gland, on a film of high or low contrast, so its grey value alone says little.
The network is given the grey value and the local contrast.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ftmtl.preprocess import AIR

_COARSE = 4
"""Factor by which the grid is coarser on which the statistics of windows are computed."""
_LEAST_DEVIATION = 0.1
"""Added to a window's standard deviation, so that noise in a uniform window does not count as contrast."""


@torch.no_grad()
def with_local_contrast(images: Tensor, sides: Sequence[int]) -> Tensor:
    """Return images with an additional channel per window size: the image relative to the breast in that window.

    Parameters
    ----------
    images
        Standardised, shape (n, 1, height, width).
    sides
        Sides of the square windows, in pixels. Each average is taken twice, so that the weights of a window decrease
        towards its border.

    Returns
    -------
    Tensor
        Shape (n, 1 + len(sides), height, width); the contrast is clipped to ±4, and 0 in the air.
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
    contrast: Tensor = ((images - mean) / (deviation + _LEAST_DEVIATION)).clamp(-4, 4) * breast
    return contrast
