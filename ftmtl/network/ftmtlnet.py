"""FT-MTL-Net: one network that detects, segments and classifies lesions, with feature transfer between the tasks.

An implementation of the design in the abstract of Gao, Yoon, Wu and Chu, *A feature transfer
enabled multi-task deep learning model on medical imaging* (arXiv 1906.01828). The abstract does not
specify layers; those here are ours. The data flow of one image through `FTMTLNet`:

    image ─► backbone + feature pyramid ─► region proposals ─► RoIs
             RoIs ─► detection      ─► score, box     and F_det ─┐
             RoIs ─► segmentation   ─► mask           and F_seg ─┤
             RoIs ─► classification ◄─ F_roi, F_det, F_seg ◄─────┘ ─► malignancy, type

`ftmtl.network.variants` configures which features are transferred to which task. Boxes in this module are
(x0, y0, x1, y1) in pixels of the network's input, half-open.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torchvision.models.detection import _utils as det_utils
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import MultiScaleRoIAlign, roi_align

from ftmtl.findings import LESION_TYPES
from ftmtl.network.backbone import build_backbone
from ftmtl.network.contrast import with_local_contrast
from ftmtl.network.heads.blocks import BOX_SIZE, MASK_SIZE
from ftmtl.network.heads.classification import ClassificationHead
from ftmtl.network.heads.detection import DetectionHead
from ftmtl.network.heads.segmentation import MASK_RESOLUTION, SegmentationHead
from ftmtl.network.losses import box_loss, classification_loss, detection_loss, segmentation_loss
from ftmtl.network.proposals import RoISampler, proposal_network, suppress
from ftmtl.network.targets import Detections, Target
from ftmtl.network.variants import NetworkConfig

_CHANNELS = 3
"""Input channels of the backbones, which were made for colour images."""
_LEVELS = ["0", "1", "2", "3"]


def build_network(config: NetworkConfig | None = None) -> FTMTLNet | SingleTaskNetworks:
    """Build the network of a configuration: one for all tasks or, where they do not share, one per task.

    Raises
    ------
    ValueError
        If the backbone cannot be built.
    """
    config = config or NetworkConfig()
    return FTMTLNet(config) if config.shared else SingleTaskNetworks(config)


class FTMTLNet(nn.Module):
    """The multi-task network; the module's docstring describes its data flow."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        self.backbone = build_backbone(config)
        self.box_pool = MultiScaleRoIAlign(_LEVELS, BOX_SIZE, 2, canonical_scale=96, canonical_level=4)
        self.mask_pool = MultiScaleRoIAlign(_LEVELS, MASK_SIZE, 2, canonical_scale=96, canonical_level=4)
        self.sampler = RoISampler(config)
        self.box_coder = det_utils.BoxCoder((10.0, 10.0, 5.0, 5.0))
        sources = {task: config.sources(task) for task in ("seg", "cls")}
        if "det" in config.tasks:
            self.proposals = proposal_network(config)
            self.detection = DetectionHead(config.channels)
        if "seg" in config.tasks:
            self.segmentation = SegmentationHead(config.channels, len(sources["seg"]), config.fusion)
        if "cls" in config.tasks:
            hands_over = "cls" in sources["seg"]
            self.classification = ClassificationHead(
                config.channels, len(config.types), len(sources["cls"]), config.fusion, hands_over=hands_over
            )

    def forward(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """Compute the weighted losses by name, whose sum is to be minimised. Train mode only.

        Parameters
        ----------
        images
            Standardised, shape (images, 1, height, width).
        targets
            One per image.

        Returns
        -------
        dict
            Scalars: ``objectness`` and ``rpn_box`` of the proposals, ``detection``, ``box``, ``mask``,
            ``malignancy``, ``type``; only those of the network's tasks.
        """
        features, sizes = self._features(images)
        losses: dict[str, Tensor] = {}
        if "det" in self.config.tasks:
            self.proposals.fg_bg_sampler.seeds = [t.seed for t in targets]
            proposals, rpn = self.proposals(ImageList(images, sizes), features, [{"boxes": t.boxes} for t in targets])
            losses |= {"objectness": rpn["loss_objectness"], "rpn_box": rpn["loss_rpn_box_reg"]}
            rois, matched = self.sampler.from_proposals(proposals, targets)
        else:
            rois, matched = self.sampler.about_lesions(targets)
        losses |= self._roi_losses(features, sizes, rois, matched, targets)
        return {name: self.config.loss_weights[name] * loss for name, loss in losses.items()}

    @torch.no_grad()
    def predict(self, images: Tensor, boxes: Sequence[Tensor] | None = None) -> list[Detections]:
        """Detect, segment and classify in one pass. Eval mode only.

        Parameters
        ----------
        images
            Standardised, shape (images, 1, height, width).
        boxes
            Boxes of known lesions, one tensor of shape (lesions, 4) per image. If given, these boxes are segmented and
            classified, unchanged and in the same order, and nothing is detected.

        Returns
        -------
        list
            One per image. Where the network lacks a task, the results are uninformative: score 1, malignancy 0.5,
            all types equally probable, or the whole box as mask.

        Raises
        ------
        ValueError
            If the network does not detect and no boxes are given.
        """
        features, sizes = self._features(images)
        if boxes is not None:
            return self._describe(features, sizes, list(boxes), None)
        found = self._detect(images, features, sizes)
        return self._describe(features, sizes, [b for b, _ in found], [s for _, s in found])

    @torch.no_grad()
    def examine(self, images: Tensor, boxes: Sequence[Tensor]) -> tuple[list[Detections], list[Detections]]:
        """Return the results of `predict` without boxes and with them, from one pass through the backbone."""
        features, sizes = self._features(images)
        found = self._detect(images, features, sizes)
        detections = self._describe(features, sizes, [b for b, _ in found], [s for _, s in found])
        return detections, self._describe(features, sizes, list(boxes), None)

    @torch.no_grad()
    def region_features(self, images: Tensor, boxes: Sequence[Tensor]) -> dict[str, Tensor]:
        """Compute each task's features of given boxes, before any transfer. Eval mode only.

        Parameters
        ----------
        images, boxes
            As for `predict`.

        Returns
        -------
        dict
            Features of the boxes of all images: ``roi->cls`` and ``roi->seg``, the RoI features that a receiver starts
            from, and ``det``, ``seg``, ``cls``, the views that can be transferred; only those of the network's tasks.
            Shape (boxes, channels, s, s), where s is 14 for segmentation and 7 for the others.
        """
        features, sizes = self._features(images)
        return self._views(self._pooled(features, sizes, list(boxes)))

    def _features(self, images: Tensor) -> tuple[OrderedDict[str, Tensor], list[tuple[int, int]]]:
        sides = self.config.contrast
        channels = with_local_contrast(images, sides) if sides else images.expand(-1, _CHANNELS, -1, -1)
        features: OrderedDict[str, Tensor] = self.backbone(channels)
        return features, [(images.shape[-2], images.shape[-1])] * len(images)

    def _detect(
        self, images: Tensor, features: dict[str, Tensor], sizes: list[tuple[int, int]]
    ) -> list[tuple[Tensor, Tensor]]:
        """Return, for each image, the boxes that survive suppression and their scores."""
        if "det" not in self.config.tasks:
            raise ValueError("this network does not detect; it has to be given boxes")
        proposals, _ = self.proposals(ImageList(images, sizes), features)
        logits, deltas = self.detection(self.detection.view(self.box_pool(features, proposals, sizes)))
        counts = [len(p) for p in proposals]
        decoded = self.box_coder.decode(deltas, proposals).reshape(-1, 4).split(counts)
        scores = logits.softmax(-1)[:, 1].split(counts)
        return [suppress(b, s, size, self.config) for b, s, size in zip(decoded, scores, sizes, strict=True)]

    def _describe(
        self,
        features: dict[str, Tensor],
        sizes: list[tuple[int, int]],
        kept: list[Tensor],
        scores: list[Tensor] | None,
    ) -> list[Detections]:
        """Segment and classify boxes, and score them unless ``scores`` are given."""
        counts = [len(b) for b in kept]
        views = self._views(self._pooled(features, sizes, kept))
        total = kept[0].new_ones(sum(counts))
        malignancy, types = total / 2, total[:, None].expand(-1, len(self.config.types)) / len(self.config.types)
        masks = total[:, None, None].expand(-1, MASK_RESOLUTION, MASK_RESOLUTION)
        if scores is None:
            known = self.detection(views["det"])[0].softmax(-1)[:, 1] if "det" in self.config.tasks else total
            scores = list(known.split(counts))
        if "seg" in self.config.tasks:
            masks = self._segment(views).sigmoid()
        if "cls" in self.config.tasks:
            malignancy, types = (logits.softmax(-1) for logits in self._classify(views))
            malignancy = malignancy[:, 1]
        parts = zip(kept, scores, malignancy.split(counts), types.split(counts), masks.split(counts), strict=True)
        return [Detections(*part) for part in parts]

    def _pooled(
        self, features: dict[str, Tensor], sizes: list[tuple[int, int]], rois: list[Tensor]
    ) -> dict[str, Tensor]:
        """Return the features of each RoI by task: 7×7 for detection and classification, 14×14 for segmentation."""
        pooled = {}
        if set(self.config.tasks) & {"det", "cls"}:
            pooled["det"] = pooled["cls"] = self.box_pool(features, rois, sizes)
        if "seg" in self.config.tasks:
            pooled["seg"] = self.mask_pool(features, rois, sizes)
        return pooled

    def _views(self, pooled: dict[str, Tensor], f_det: Tensor | None = None) -> dict[str, Tensor]:
        """Return each task's view of the RoIs, which can be transferred, and the RoI features of the receivers."""
        views = {f"roi->{task}": pooled[task] for task in ("seg", "cls") if task in pooled}
        if "det" in self.config.tasks:
            views["det"] = self.detection.view(pooled["det"]) if f_det is None else f_det
        if "seg" in self.config.tasks:
            views["seg"] = self.segmentation.view(pooled["seg"])
        if "cls" in self.config.tasks:
            views["cls"] = self.classification.view(pooled["cls"])
        return views

    def _segment(self, views: dict[str, Tensor]) -> Tensor:
        logits: Tensor = self.segmentation(views["seg"], self._handed(views, "seg"))
        return logits

    def _classify(self, views: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        logits: tuple[Tensor, Tensor] = self.classification(views["cls"], self._handed(views, "cls"))
        return logits

    def _handed(self, views: dict[str, Tensor], receiver: str) -> list[Tensor]:
        """Return the views that are transferred to ``receiver``: this is feature transfer."""
        handed = [views[f"roi->{receiver}" if s == "roi" else s] for s in self.config.sources(receiver)]
        if self.config.detach:
            handed = [m.detach() for m in handed]
        if self.config.shuffle and not self.training:
            handed = [m.roll(1, dims=0) for m in handed]
        return handed

    def _roi_losses(
        self,
        features: dict[str, Tensor],
        sizes: list[tuple[int, int]],
        rois: list[Tensor],
        matched: list[Tensor],
        targets: Sequence[Target],
    ) -> dict[str, Tensor]:
        """Compute the losses of the heads: detection learns from all RoIs, the other tasks from those on lesions."""
        on_lesion = [r[m >= 0] for r, m in zip(rois, matched, strict=True)]
        lesion = [m[m >= 0] for m in matched]
        f_det: Tensor | None = None
        losses: dict[str, Tensor] = {}
        if "det" in self.config.tasks:
            f_det = self.detection.view(self.box_pool(features, rois, sizes))
            losses |= self._detection_losses(f_det, rois, matched, targets)
            f_det = f_det[torch.cat(matched) >= 0]
        views = self._views(self._pooled(features, sizes, on_lesion), f_det)
        if "seg" in self.config.tasks:
            losses["mask"] = self._segmentation_loss(views, on_lesion, lesion, targets)
        if "cls" in self.config.tasks:
            malignancy, types = self._classify(views)
            losses["malignancy"] = classification_loss(malignancy, _of(targets, "malignant", lesion))
            losses["type"] = classification_loss(types, self._type_labels(_of(targets, "types", lesion)))
        return losses

    def _detection_losses(
        self, f_det: Tensor, rois: list[Tensor], matched: list[Tensor], targets: Sequence[Target]
    ) -> dict[str, Tensor]:
        logits, deltas = self.detection(f_det)
        positive = torch.cat(matched) >= 0
        wanted = self.box_coder.encode_single(
            _of(targets, "boxes", [m[m >= 0] for m in matched]), torch.cat(rois)[positive]
        )
        return {
            "detection": detection_loss(logits, positive),
            "box": box_loss(deltas[positive], wanted, len(logits)),
        }

    def _segmentation_loss(
        self, views: dict[str, Tensor], rois: list[Tensor], lesion: list[Tensor], targets: Sequence[Target]
    ) -> Tensor:
        outlined = _of(targets, "outlined", lesion)
        masks = [_crop_masks(t.masks, i, r) for t, i, r in zip(targets, lesion, rois, strict=True)]
        return segmentation_loss(self._segment(views)[outlined], torch.cat(masks)[outlined])

    def _type_labels(self, index: Tensor) -> Tensor:
        """Convert indices into `LESION_TYPES` to indices into this network's types, -1 where it lacks the type."""
        place = [self.config.types.index(k.value) if k.value in self.config.types else -1 for k in LESION_TYPES]
        return torch.tensor([*place, -1], device=index.device)[index]


class SingleTaskNetworks(nn.Module):
    """Three networks, one per task, that share nothing: a baseline for feature transfer.

    The detector runs first, the other networks get its boxes. The interface is that of `FTMTLNet`.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        alone = replace(config, shared=True, transfer=())
        self.detector = FTMTLNet(replace(alone, tasks=("det",)))
        self.segmenter = FTMTLNet(replace(alone, tasks=("seg",)))
        self.classifier = FTMTLNet(replace(alone, tasks=("cls",)))

    def forward(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """Compute the weighted losses of all networks by name, as `FTMTLNet.forward` does."""
        networks = (self.detector, self.segmenter, self.classifier)
        return {name: loss for network in networks for name, loss in network(images, targets).items()}

    @torch.no_grad()
    def predict(self, images: Tensor, boxes: Sequence[Tensor] | None = None) -> list[Detections]:
        """Detect, then segment and classify the detections, as `FTMTLNet.predict` does."""
        found = self.detector.predict(images, boxes)
        kept = [f.boxes for f in found]
        masks, classes = self.segmenter.predict(images, kept), self.classifier.predict(images, kept)
        return [
            replace(f, masks=m.masks, malignancy=c.malignancy, types=c.types)
            for f, m, c in zip(found, masks, classes, strict=True)
        ]

    def examine(self, images: Tensor, boxes: Sequence[Tensor]) -> tuple[list[Detections], list[Detections]]:
        """Return the results of `predict` without boxes and with them, as `FTMTLNet.examine` does."""
        return self.predict(images), self.predict(images, boxes)


def _of(targets: Sequence[Target], name: str, lesion: list[Tensor]) -> Tensor:
    """Return one attribute of the lesion that each RoI covers, over all images."""
    return torch.cat([getattr(t, name)[i] for t, i in zip(targets, lesion, strict=True)])


def _crop_masks(masks: Tensor, index: Tensor, rois: Tensor) -> Tensor:
    """Sample the true mask of each RoI's lesion on the segmentation head's 28×28 grid."""
    if not len(rois):
        return masks.new_zeros((0, MASK_RESOLUTION, MASK_RESOLUTION))
    located = torch.cat([index.to(rois.dtype)[:, None], rois], dim=1)
    cropped: Tensor = roi_align(masks[:, None], located, MASK_RESOLUTION, 1.0)[:, 0].round()
    return cropped
