"""The truth about an image and the network's detections on it, as tensors.

Boxes are (x0, y0, x1, y1) in pixels of the network's input, half-open.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Target:
    """The truth about one image.

    Attributes
    ----------
    boxes
        float32, shape (lesions, 4).
    masks
        float32, shape (lesions, height, width), 0 or 1.
    outlined
        bool, shape (lesions,): whether the mask is an outline; if not, segmentation does not learn from it.
    malignant, types
        int64, shape (lesions,); -1 where unknown. Types index `ftmtl.findings.LESION_TYPES`.
    seed
        Seed of all random choices for this image in this step. So a step gives the same result however its images are
        divided among processes.
    """

    boxes: Tensor
    masks: Tensor
    outlined: Tensor
    malignant: Tensor
    types: Tensor
    seed: int = 0

    def to(self, device: torch.device) -> Target:
        """Return the same target on another device."""
        boxes, masks, outlined = self.boxes.to(device), self.masks.to(device), self.outlined.to(device)
        return Target(boxes, masks, outlined, self.malignant.to(device), self.types.to(device), self.seed)


@dataclass(frozen=True, eq=False)
class Detections:
    """The network's detections on one image, on one device and in descending order of score.

    Attributes
    ----------
    boxes
        float32, shape (detections, 4).
    scores
        Lesion score, 0 to 1, shape (detections,).
    malignancy
        p(malignant), shape (detections,).
    types
        Probability of each of the network's finding types, shape (detections, types).
    masks
        Probability that each place of the box belongs to the lesion, shape (detections, 28, 28).
    """

    boxes: Tensor
    scores: Tensor
    malignancy: Tensor
    types: Tensor
    masks: Tensor

    def to(self, device: torch.device) -> Detections:
        """Return the same detections on another device."""
        return Detections(*(getattr(self, f.name).to(device) for f in fields(self)))
