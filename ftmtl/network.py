"""FT-MTL-Net: one network that detects, segments and classifies lesions, its tasks sharing features early.

An implementation of the design in the abstract of Gao, Yoon, Wu and Chu, *A feature transfer
enabled multi-task deep learning model on medical imaging* (arXiv 1906.01828). The abstract gives
no layers; those here are ours. The way of one image through `FTMTLNet`:

    image ─► backbone + feature pyramid ─► region proposals ─► RoIs
             RoIs ─► detection      ─► score, box     and F_det ─┐
             RoIs ─► segmentation   ─► mask           and F_seg ─┤
             RoIs ─► classification ◄─ F_roi, F_det, F_seg ◄─────┘ ─► malignancy, type

Boxes in this module are (x0, y0, x1, y1) in pixels of the network's input, half-open.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet
from torchvision.models.detection import _utils as det_utils
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign, box_iou, boxes, roi_align
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

from ftmtl.findings import FindingType
from ftmtl.heads import BOX_SIZE, MASK_SIZE, ClassificationHead, DetectionHead, SegmentationHead
from ftmtl.losses import classification_loss, segmentation_loss

TYPES = (FindingType.MASS, FindingType.CALCIFICATION)
"""Finding types in the order of the logits."""


@dataclass(frozen=True)
class NetworkConfig:
    """What the network is made of.

    Attributes
    ----------
    backbone
        A torchvision ResNet: ``resnet18``, ``resnet34``, ``resnet50``.
    channels
        Channels of the feature pyramid and of all RoI features.
    anchor_sizes
        Anchor sides in input pixels, a tuple a pyramid level (strides 4, 8, 16, 32).
    transfer
        Whose features classification receives beside its own: ``det``, ``seg``, both or none.
    rois_per_image, positive_fraction
        How many proposals the heads learn from, and how many of them lie on lesions at most.
    detections_per_image, nms_iou
        Detections kept at inference, and the overlap above which the weaker is dropped.
    """

    backbone: str = "resnet18"
    channels: int = 96
    anchor_sizes: tuple[tuple[int, ...], ...] = ((12, 18), (26, 36), (52, 72), (104, 144))
    transfer: tuple[str, ...] = ("det", "seg")
    rois_per_image: int = 24
    positive_fraction: float = 0.34
    detections_per_image: int = 10
    nms_iou: float = 0.2
    loss_weights: dict[str, float] = field(
        default_factory=lambda: (
            {"objectness": 1.0, "rpn_box": 1.0, "detection": 1.0, "box": 1.0, "mask": 1.0}
            | {"malignancy": 0.5, "type": 0.25}
        )
    )


@dataclass(frozen=True)
class Target:
    """What is true of one image.

    Attributes
    ----------
    boxes
        float32, shape (lesions, 4).
    masks
        float32, shape (lesions, height, width), 0 or 1.
    malignant, types
        int64, shape (lesions,); -1 where unknown.
    """

    boxes: Tensor
    masks: Tensor
    malignant: Tensor
    types: Tensor


@dataclass(frozen=True)
class Detections:
    """What the network says of one image; everything on the same device, by descending score.

    Attributes
    ----------
    boxes
        float32, shape (detections, 4).
    scores
        p(lesion), shape (detections,).
    malignancy
        p(malignant), shape (detections,).
    types
        Probability of each of `TYPES`, shape (detections, types).
    masks
        Probability of lesion over the box, shape (detections, 28, 28).
    """

    boxes: Tensor
    scores: Tensor
    malignancy: Tensor
    types: Tensor
    masks: Tensor


class FTMTLNet(nn.Module):
    """The multi-task network; see the module for its way of working."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        self.backbone = _pyramid(config)
        self.proposals = _proposal_network(config)
        levels = ["0", "1", "2", "3"]
        self.box_pool = MultiScaleRoIAlign(levels, BOX_SIZE, sampling_ratio=2)
        self.mask_pool = MultiScaleRoIAlign(levels, MASK_SIZE, sampling_ratio=2)
        for pool in (self.box_pool, self.mask_pool):
            pool.canonical_scale, pool.canonical_level = 96, 4
        self.detection = DetectionHead(config.channels)
        self.segmentation = SegmentationHead(config.channels)
        self.classification = ClassificationHead(config.channels, [config.channels] * len(config.transfer), len(TYPES))
        self.box_coder = det_utils.BoxCoder((10.0, 10.0, 5.0, 5.0))
        self.matcher = det_utils.Matcher(0.5, 0.5, allow_low_quality_matches=False)
        self.sampler = det_utils.BalancedPositiveNegativeSampler(config.rois_per_image, config.positive_fraction)

    def forward(self, images: Tensor, targets: list[Target]) -> dict[str, Tensor]:
        """Return the weighted losses by name; their sum is what is to be minimised. Train mode only.

        Parameters
        ----------
        images
            Standardised, shape (images, 1, height, width).
        targets
            One an image.
        """
        images = images.expand(-1, 3, -1, -1)
        features: OrderedDict[str, Tensor] = self.backbone(images)
        sizes = [tuple(images.shape[-2:])] * len(images)
        truth = [{"boxes": t.boxes} for t in targets]
        proposals, rpn = self.proposals(ImageList(images, sizes), features, truth)
        rois, matched = zip(*(self._sample(p, t) for p, t in zip(proposals, targets, strict=True)), strict=True)
        losses = {"objectness": rpn["loss_objectness"], "rpn_box": rpn["loss_rpn_box_reg"]}
        losses |= self._roi_losses(features, sizes, list(rois), list(matched), targets)
        weights = self.config.loss_weights
        return {name: weights[name] * loss for name, loss in losses.items()}

    @torch.no_grad()
    def predict(self, images: Tensor) -> list[Detections]:
        """Detect, segment and classify in one pass. Eval mode only.

        Parameters
        ----------
        images
            Standardised, shape (images, 1, height, width).
        """
        images = images.expand(-1, 3, -1, -1)
        features = self.backbone(images)
        sizes = [tuple(images.shape[-2:])] * len(images)
        proposals, _ = self.proposals(ImageList(images, sizes), features)
        _, logits, deltas = self.detection(self.box_pool(features, proposals, sizes))
        counts = [len(p) for p in proposals]
        decoded = self.box_coder.decode(deltas, proposals).reshape(-1, 4)
        scores = logits.softmax(-1)[:, 1]
        kept = [
            self._suppress(b, s, size)
            for b, s, size in zip(decoded.split(counts), scores.split(counts), sizes, strict=True)
        ]
        return self._describe(features, sizes, [b for b, _ in kept], [s for _, s in kept])

    def _describe(
        self, features: dict[str, Tensor], sizes: list[tuple[int, ...]], kept: list[Tensor], scores: list[Tensor]
    ) -> list[Detections]:
        """Segment and classify the boxes that survived suppression."""
        rois = self.box_pool(features, kept, sizes)
        f_det, _, _ = self.detection(rois)
        f_seg, mask_logits = self.segmentation(self.mask_pool(features, kept, sizes))
        malignancy, types = self.classification(rois, self._handed(f_det, f_seg))
        counts = [len(b) for b in kept]
        return [
            Detections(*parts)
            for parts in zip(
                kept,
                scores,
                malignancy.softmax(-1)[:, 1].split(counts),
                types.softmax(-1).split(counts),
                mask_logits.sigmoid().split(counts),
                strict=True,
            )
        ]

    def _handed(self, f_det: Tensor, f_seg: Tensor) -> list[Tensor]:
        return [{"det": f_det, "seg": f_seg}[source] for source in self.config.transfer]

    def _suppress(self, candidates: Tensor, scores: Tensor, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        candidates = boxes.clip_boxes_to_image(candidates, (size[0], size[1]))
        keep = boxes.remove_small_boxes(candidates, 2.0)
        candidates, scores = candidates[keep], scores[keep]
        keep = boxes.nms(candidates, scores, self.config.nms_iou)[: self.config.detections_per_image]
        return candidates[keep], scores[keep]

    def _sample(self, proposals: Tensor, target: Target) -> tuple[Tensor, Tensor]:
        """Choose RoIs to learn from; the true boxes are among them.

        Returns
        -------
        rois
            Shape (RoIs, 4).
        matched
            Index of the lesion that each RoI covers, or -1 for background, shape (RoIs,).
        """
        rois = torch.cat([proposals.detach(), target.boxes])
        if len(target.boxes):
            matched = self.matcher(box_iou(target.boxes, rois)).clamp(min=-1)
        else:
            matched = torch.full((len(rois),), -1, dtype=torch.int64, device=rois.device)
        positive, negative = self.sampler([(matched >= 0).to(torch.int64)])
        chosen = torch.where(positive[0] | negative[0])[0]
        return rois[chosen], matched[chosen]

    def _roi_losses(
        self,
        features: dict[str, Tensor],
        sizes: list[tuple[int, ...]],
        rois: list[Tensor],
        matched: list[Tensor],
        targets: list[Target],
    ) -> dict[str, Tensor]:
        pooled = self.box_pool(features, rois, sizes)
        f_det, logits, deltas = self.detection(pooled)
        positive = torch.cat(matched) >= 0
        on_lesion = [r[m >= 0] for r, m in zip(rois, matched, strict=True)]
        lesion = [m[m >= 0] for m in matched]
        wanted = torch.cat([t.boxes[i] for t, i in zip(targets, lesion, strict=True)])
        shifts = self.box_coder.encode_single(wanted, torch.cat(on_lesion))
        f_seg, mask_logits = self.segmentation(self.mask_pool(features, on_lesion, sizes))
        masks = torch.cat(
            [_crop_masks(t.masks, i, r) for t, i, r in zip(targets, lesion, on_lesion, strict=True)],
        )
        malignancy, types = self.classification(pooled[positive], self._handed(f_det[positive], f_seg))
        return {
            "detection": F.cross_entropy(logits, positive.to(torch.int64)),
            "box": F.smooth_l1_loss(deltas[positive], shifts, beta=1 / 9, reduction="sum") / max(len(logits), 1),
            "mask": segmentation_loss(mask_logits, masks),
            "malignancy": classification_loss(
                malignancy, torch.cat([t.malignant[i] for t, i in zip(targets, lesion, strict=True)])
            ),
            "type": classification_loss(types, torch.cat([t.types[i] for t, i in zip(targets, lesion, strict=True)])),
        }


def _crop_masks(masks: Tensor, index: Tensor, rois: Tensor) -> Tensor:
    """The true mask of each RoI's lesion, sampled on the segmentation head's 28×28 grid."""
    if not len(rois):
        return masks.new_zeros((0, 2 * MASK_SIZE, 2 * MASK_SIZE))
    located = torch.cat([index.to(rois.dtype)[:, None], rois], dim=1)
    return roi_align(masks[:, None], located, 2 * MASK_SIZE, 1.0)[:, 0].round()


def _pyramid(config: NetworkConfig) -> BackboneWithFPN:
    trunk = getattr(resnet, config.backbone)(weights=None)
    width = trunk.inplanes // 8
    return BackboneWithFPN(
        trunk,
        return_layers={f"layer{n}": str(n - 1) for n in (1, 2, 3, 4)},
        in_channels_list=[width, width * 2, width * 4, width * 8],
        out_channels=config.channels,
        extra_blocks=_NoExtraLevel(),
        norm_layer=nn.BatchNorm2d,
    )


class _NoExtraLevel(ExtraFPNBlock):
    """Keeps torchvision's pyramid at four levels: it adds a coarser one unless told what to add."""

    def forward(self, results: list[Tensor], x: list[Tensor], names: list[str]) -> tuple[list[Tensor], list[str]]:
        return results, names


def _proposal_network(config: NetworkConfig) -> RegionProposalNetwork:
    anchors = AnchorGenerator(config.anchor_sizes, ((1.0,),) * len(config.anchor_sizes))
    return RegionProposalNetwork(
        anchors,
        RPNHead(config.channels, anchors.num_anchors_per_location()[0]),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.3,
        batch_size_per_image=64,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 400, "testing": 300},
        post_nms_top_n={"training": 200, "testing": 100},
        nms_thresh=0.7,
    )
