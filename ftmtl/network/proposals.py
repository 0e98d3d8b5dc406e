"""Region proposals, and the choice of the regions that the heads learn from.

Boxes are (x0, y0, x1, y1) in pixels of the network's input, half-open.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection import _utils as det_utils
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import box_iou, boxes

from ftmtl.network.targets import Target
from ftmtl.network.variants import NetworkConfig


class SeededSampler:
    """Chooses positives and negatives at random, like torchvision's sampler, but with a separate seed for each image.

    So a training step gives the same result after a restart, and however its images are divided among processes.
    """

    def __init__(self, per_image: int, positive_fraction: float) -> None:
        self.per_image, self.positive_fraction = per_image, positive_fraction
        self.seeds: Sequence[int] = ()

    def __call__(self, labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Choose among the candidates of each image.

        Parameters
        ----------
        labels
            One tensor per image, shape (candidates,): 1 or more for a lesion, 0 for background, less to ignore.

        Returns
        -------
        positive, negative
            One bool tensor per image, shape (candidates,).
        """
        positives, negatives = [], []
        for label, seed in zip(labels, self.seeds, strict=True):
            generator = torch.Generator().manual_seed(seed)
            positive = self._choose(label >= 1, int(self.per_image * self.positive_fraction), generator)
            positives.append(positive)
            negatives.append(self._choose(label == 0, self.per_image - int(positive.sum()), generator))
        return positives, negatives

    @staticmethod
    def _choose(candidates: Tensor, count: int, generator: torch.Generator) -> Tensor:
        index = torch.where(candidates)[0]
        picked = torch.randperm(len(index), generator=generator)[:count].to(index.device)
        chosen = torch.zeros_like(candidates)
        chosen[index[picked]] = True
        return chosen


class _Head(RPNHead):
    """torchvision's head with float32 results: in bfloat16, boxes are imprecise by whole pixels."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        logits, deltas = super().forward(x)
        return [level.float() for level in logits], [level.float() for level in deltas]


def proposal_network(config: NetworkConfig) -> RegionProposalNetwork:
    """Build torchvision's region proposal network with a sampler that has a seed for each image."""
    anchors = AnchorGenerator(config.anchor_sizes, ((1.0,),) * len(config.anchor_sizes))
    network = RegionProposalNetwork(
        anchors,
        _Head(config.channels, anchors.num_anchors_per_location()[0]),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.3,
        batch_size_per_image=64,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 400, "testing": 300},
        post_nms_top_n={"training": 200, "testing": 100},
        nms_thresh=0.7,
    )
    network.fg_bg_sampler = SeededSampler(64, 0.5)
    return network


class RoISampler:
    """Chooses the RoIs that the heads learn from, and the lesion that each of them covers."""

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        self.matcher = det_utils.Matcher(0.5, 0.5, allow_low_quality_matches=False)
        self.sampler = SeededSampler(config.rois_per_image, config.positive_fraction)

    def from_proposals(self, proposals: list[Tensor], targets: Sequence[Target]) -> tuple[list[Tensor], list[Tensor]]:
        """Choose among the proposals of each image and its true boxes.

        Returns
        -------
        rois
            One tensor per image, shape (RoIs, 4).
        matched
            One tensor per image, shape (RoIs,): index of the lesion that each RoI covers, or -1 for background.
        """
        rois = [torch.cat([p.detach(), t.boxes]) for p, t in zip(proposals, targets, strict=True)]
        matched = [self._match(r, t) for r, t in zip(rois, targets, strict=True)]
        self.sampler.seeds = [t.seed for t in targets]
        positive, negative = self.sampler([(m >= 0).to(torch.int64) for m in matched])
        chosen = [torch.where(p | n)[0] for p, n in zip(positive, negative, strict=True)]
        return [r[c] for r, c in zip(rois, chosen, strict=True)], [m[c] for m, c in zip(matched, chosen, strict=True)]

    def about_lesions(self, targets: Sequence[Target]) -> tuple[list[Tensor], list[Tensor]]:
        """Displace the true boxes at random, in place of proposals for networks that have none.

        Returns
        -------
        rois, matched
            As in `from_proposals`. The true boxes are among the RoIs; their number is about the largest number of
            positive proposals.
        """
        count = int(self.config.rois_per_image * self.config.positive_fraction)
        rois, matched = [], []
        for target in targets:
            lesions = len(target.boxes)
            repeats = count // lesions if lesions else 0
            index = torch.arange(lesions, device=target.boxes.device).repeat(max(1, repeats))
            boxes_ = target.boxes[index]
            noise = torch.randn((len(index), 4), generator=torch.Generator().manual_seed(target.seed)) * 0.08
            noise[:lesions] = 0
            sides = (boxes_[:, 2:] - boxes_[:, :2]).repeat(1, 2)
            rois.append(boxes_ + noise.to(boxes_.device).clamp(-0.15, 0.15) * sides)
            matched.append(index)
        return rois, matched

    def _match(self, rois: Tensor, target: Target) -> Tensor:
        if not len(target.boxes):
            return torch.full((len(rois),), -1, dtype=torch.int64, device=rois.device)
        matched: Tensor = self.matcher(box_iou(target.boxes, rois)).clamp(min=-1)
        return matched


def suppress(candidates: Tensor, scores: Tensor, size: tuple[int, int], config: NetworkConfig) -> tuple[Tensor, Tensor]:
    """Clip boxes to the image and keep the best ones that do not overlap a better one.

    Parameters
    ----------
    candidates, scores
        Shapes (boxes, 4) and (boxes,).
    size
        Height and width of the image.

    Returns
    -------
    boxes, scores
        In descending order of score, at most ``config.detections_per_image``.
    """
    candidates = boxes.clip_boxes_to_image(candidates, size)
    keep = boxes.remove_small_boxes(candidates, 2.0)
    candidates, scores = candidates[keep], scores[keep]
    keep = boxes.nms(candidates, scores, config.nms_iou)[: config.detections_per_image]
    return candidates[keep], scores[keep]
