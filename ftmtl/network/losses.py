"""The losses that torchvision does not bring.

Each is a sum over RoIs divided by their number over *all* processes, times the number of processes: what
DistributedDataParallel averages is then the gradient of the whole batch, however unevenly lesions are spread.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed
from torch.nn import functional as F


def mean_over_processes(total: Tensor, count: int) -> Tensor:
    """Return ``total`` over the mean ``count`` of all processes; 0, with a gradient, if there is nothing to count."""
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
    """Smooth L1 of the box regression of the RoIs on lesions, over all ``rois`` of the batch (as Fast R-CNN).

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
        Shape (RoIs, s, s); masks hold 0..1. No RoI gives a loss of 0 that still has a gradient.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none").mean((1, 2))
    probability = logits.sigmoid()
    overlap = 2 * (probability * masks).sum((1, 2)) + 1
    dice = 1 - overlap / (probability.sum((1, 2)) + masks.sum((1, 2)) + 1)
    return mean_over_processes((entropy + dice).sum(), len(logits))


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over RoIs whose label is known (not negative); 0, with a gradient, if there is none."""
    known = labels >= 0
    return mean_over_processes(F.cross_entropy(logits[known], labels[known], reduction="sum"), int(known.sum()))
