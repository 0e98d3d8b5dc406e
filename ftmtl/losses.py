"""The losses that torchvision does not bring."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy plus soft Dice, mean over RoIs.

    Parameters
    ----------
    logits, masks
        Shape (RoIs, s, s); masks hold 0..1. No RoI gives a loss of 0 that still has a gradient.
    """
    if logits.shape[0] == 0:
        return logits.sum() * 0.0
    entropy = F.binary_cross_entropy_with_logits(logits, masks)
    probability = logits.sigmoid()
    overlap = 2 * (probability * masks).sum((1, 2)) + 1
    dice = 1 - overlap / (probability.sum((1, 2)) + masks.sum((1, 2)) + 1)
    return entropy + dice.mean()


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over RoIs whose label is known (not negative); 0 if there is none."""
    known = labels >= 0
    if not bool(known.any()):
        return logits.sum() * 0.0
    return F.cross_entropy(logits[known], labels[known])
