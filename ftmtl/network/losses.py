"""The losses that torchvision does not provide.

Each is a sum over the RoIs of this process, divided by the mean number of RoIs per process. When
DistributedDataParallel averages the gradients, the result is the gradient of the whole batch, however unevenly lesions
are distributed among processes.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed
from torch.nn import functional as F


def mean_over_processes(total: Tensor, count: int) -> Tensor:
    """Return ``total`` divided by the mean ``count`` of all processes; 0, with a gradient, if all counts are 0."""
    processes = distributed.get_world_size() if distributed.is_initialized() else 1
    if processes > 1:
        counted = torch.tensor(float(count), device=total.device)
        distributed.all_reduce(counted)
        count = int(counted.item())
    return total * processes / max(count, 1)


def detection_loss(logits: Tensor, lesion: Tensor) -> Tensor:
    """Cross-entropy of background and lesion.

    Parameters
    ----------
    logits
        Shape (RoIs, 2).
    lesion
        bool, shape (RoIs,).
    """
    return mean_over_processes(F.cross_entropy(logits, lesion.to(torch.int64), reduction="sum"), len(logits))


def box_loss(deltas: Tensor, wanted: Tensor, rois: int) -> Tensor:
    """Smooth L1 loss of the box regression of RoIs on lesions, divided by all ``rois`` of the batch, as in Fast R-CNN.

    Parameters
    ----------
    deltas, wanted
        Shape (RoIs on lesions, 4).
    """
    return mean_over_processes(F.smooth_l1_loss(deltas, wanted, beta=1 / 9, reduction="sum"), rois)


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy plus soft Dice, mean over RoIs.

    Parameters
    ----------
    logits, masks
        Shape (RoIs, s, s); masks are 0 to 1. Without RoIs the loss is 0, with a gradient.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none").mean((1, 2))
    probability = logits.sigmoid()
    overlap = 2 * (probability * masks).sum((1, 2)) + 1
    dice = 1 - overlap / (probability.sum((1, 2)) + masks.sum((1, 2)) + 1)
    return mean_over_processes((entropy + dice).sum(), len(logits))


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over RoIs whose label is known (not negative); 0, with a gradient, if none is known."""
    known = labels >= 0
    return mean_over_processes(F.cross_entropy(logits[known], labels[known], reduction="sum"), int(known.sum()))
