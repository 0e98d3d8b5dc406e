"""The configuration of the network, and the named variants that measure the effect of feature transfer.

Variants differ in a few fields of `NetworkConfig`; everything else, including the code, is the same for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ftmtl.findings import LESION_TYPES
from ftmtl.preprocess import INPUT_SIZE

TASKS = ("det", "seg", "cls")
"""Detection, segmentation, classification."""
SOURCES = (*TASKS, "roi")
"""Sources of transferred features; ``roi`` is a copy of the receiver's own RoI features, which adds no information."""
RECEIVERS = ("seg", "cls")
FUSIONS = ("concat", "sum", "gate")
NORMS = ("batch", "group", "frozen")


def _loss_weights() -> dict[str, float]:
    names = ("objectness", "rpn_box", "detection", "box", "mask")
    return dict.fromkeys(names, 1.0) | {"malignancy": 0.5, "type": 0.25}


@dataclass(frozen=True)
class NetworkConfig:
    """The configuration of the network.

    Attributes
    ----------
    backbone
        A torchvision classification network with levels at strides 4, 8, 16 and 32: ``resnet18``, ``resnet34``,
        ``resnet50``, ``mobilenet_v3_large``, ``efficientnet_b0``, ``convnext_tiny``...; or ``efficientnet_lite0``.
    norm
        Normalisation of the backbone: ``batch``; ``group``, which is independent of the other images of
        a batch; or ``frozen``, which keeps pretrained statistics.
    input_size
        Height and width in pixels.
    contrast
        Sides in pixels of the two windows whose local contrast is the second and third channel of the backbone's input
        (`ftmtl.network.contrast`); if empty, all three channels are the image.
    channels
        Channels of the feature pyramid and of all RoI features; a multiple of 8.
    anchor_sizes
        Anchor sides in input pixels, one tuple per pyramid level (strides 4, 8, 16, 32), all of the same length.
    tasks
        Which of `TASKS` the network has.
    shared
        Whether the tasks share one backbone; if not, each task has a network of its own.
    transfer
        Directions of transfer, such as ``"det->cls"``, from one of `SOURCES` to one of `RECEIVERS`.
    fusion
        How a receiver combines transferred features with its own, one of `FUSIONS` (`ftmtl.network.transfer`).
    detach
        Whether transferred features pass no gradient back to their source.
    shuffle
        Whether each RoI gets the transferred features of another RoI at inference.
    types
        Finding types in the order of the logits.
    rois_per_image, positive_fraction
        Number of RoIs that the heads learn from, and the largest fraction of them that may lie on lesions.
    detections_per_image, nms_iou
        Number of detections kept at inference, and the overlap above which the lower-scoring of two is dropped.
    loss_weights
        Weight of each loss, by its name.

    Raises
    ------
    ValueError
        If the value of a field is invalid; the message is one sentence that names the field.
    """

    backbone: str = "resnet18"
    norm: str = "batch"
    input_size: tuple[int, int] = INPUT_SIZE
    contrast: tuple[int, ...] = ()
    channels: int = 96
    anchor_sizes: tuple[tuple[int, ...], ...] = ((12, 18), (26, 36), (52, 72), (104, 144))
    tasks: tuple[str, ...] = TASKS
    shared: bool = True
    transfer: tuple[str, ...] = ("det->cls", "seg->cls")
    fusion: str = "concat"
    detach: bool = False
    shuffle: bool = False
    types: tuple[str, ...] = tuple(kind.value for kind in LESION_TYPES)
    rois_per_image: int = 24
    positive_fraction: float = 0.34
    detections_per_image: int = 10
    nms_iou: float = 0.2
    loss_weights: dict[str, float] = field(default_factory=_loss_weights)

    def __post_init__(self) -> None:
        for name, value, known in (("fusion", self.fusion, FUSIONS), ("norm", self.norm, NORMS)):
            if value not in known:
                raise ValueError(f"{name} is {value!r}; it can be {', '.join(known)}")
        if not self.tasks or set(self.tasks) - set(TASKS):
            raise ValueError(f"tasks are {list(self.tasks)}; they can be {', '.join(TASKS)}")
        for direction in self.transfer:
            self._check_direction(direction)
        if len(self.contrast) not in (0, 2) or any(side < 12 for side in self.contrast):
            raise ValueError(f"contrast is {list(self.contrast)}; it is empty or holds two sides of 12 pixels or more")
        if self.channels % 8 or self.channels < 8:
            raise ValueError(f"channels is {self.channels}; it has to be a multiple of 8")
        if len(self.anchor_sizes) != 4 or len({len(sizes) for sizes in self.anchor_sizes}) != 1:
            raise ValueError("anchor_sizes has to hold four levels with the same number of sizes")
        if unknown := set(self.types) - {kind.value for kind in LESION_TYPES}:
            raise ValueError(f"types hold {sorted(unknown)}; they can be {', '.join(k.value for k in LESION_TYPES)}")
        if set(self.loss_weights) != set(_loss_weights()):
            raise ValueError(
                f"loss_weights name {sorted(self.loss_weights)}; they have to be {sorted(_loss_weights())}"
            )

    def _check_direction(self, direction: str) -> None:
        source, arrow, receiver = direction.partition("->")
        if arrow != "->" or source not in SOURCES or receiver not in RECEIVERS or source == receiver:
            raise ValueError(f"transfer holds {direction!r}; directions are det->cls, seg->cls, det->seg, cls->seg")
        for task in {source, receiver} - {"roi"}:
            if task not in self.tasks:
                raise ValueError(f"transfer holds {direction!r}, but {task} is not one of the tasks")

    def sources(self, receiver: str) -> tuple[str, ...]:
        """Return the tasks whose features ``receiver`` gets, in the order of `transfer`."""
        pairs = (direction.split("->") for direction in self.transfer)
        return tuple(source for source, to in pairs if to == receiver)


_FULL = ("det->cls", "seg->cls")

VARIANTS: dict[str, dict[str, Any]] = {
    "A": {"shared": False, "transfer": ()},
    "B": {"transfer": ()},
    "B+": {"transfer": ("roi->cls", "roi->cls")},
    "C1": {"transfer": ("det->cls",)},
    "C2": {"transfer": ("seg->cls",)},
    "D": {"transfer": _FULL},
    "D-detach": {"transfer": _FULL, "detach": True},
    "D-shuffle": {"transfer": _FULL, "shuffle": True},
    "D-sum": {"transfer": _FULL, "fusion": "sum"},
}
"""Fields of the variants.

A: three single-task networks. B: multi-task without transfer. B+: the control, B with the parameters and depth of D,
whose fusion gets copies of its own features. C1, C2: one direction of transfer. D: full transfer. D-detach: D without
gradients through the transfer. D-shuffle: D with transferred features exchanged between RoIs at inference. D-sum: D
with features added at the fusion."""

WEIGHTS_OF = {"D-shuffle": "D"}
"""Variants that differ at inference only: they are not trained but use the weights of another variant."""


def variant(name: str, base: NetworkConfig | None = None) -> NetworkConfig:
    """Return the configuration of a variant, with all other fields as in ``base``.

    Raises
    ------
    ValueError
        If there is no such variant.
    """
    if name not in VARIANTS:
        raise ValueError(f"there is no variant {name!r}; known variants are {', '.join(VARIANTS)}")
    plain = {"shared": True, "detach": False, "shuffle": False}
    return replace(base or NetworkConfig(), **plain | VARIANTS[name])
