"""The three tasks do learn: eight phantoms, by heart."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou, masks_to_boxes

from ftmtl.datasets.phantoms import PhantomImage
from ftmtl.datasets.sample import Sample, to_sample
from ftmtl.findings import FindingType
from ftmtl.network.ftmtlnet import FTMTLNet
from ftmtl.network.targets import Target
from ftmtl.network.variants import NetworkConfig
from ftmtl.phantom.make import LesionSpec
from ftmtl.preprocess import standardise
from ftmtl.training.validation import validate

SIZE = (160, 128)
STEPS, RATE = 220, 2e-3
CONFIG = NetworkConfig(
    channels=32,
    input_size=SIZE,
    anchor_sizes=((6, 9), (13, 18), (26, 36), (52, 72)),
    loss_weights=NetworkConfig().loss_weights | {"mask": 5.0},
)
CLUSTERS = {(0, 0), (5, 1), (6, 0)}


def phantom(number: int) -> Sample:
    """One or two lesions of 48 to 52 mm: a pixel is a millimetre here."""
    specs = []
    for i in range(1 + number % 2):
        cluster = (number, i) in CLUSTERS
        kind, contrast = (FindingType.CALCIFICATION, 0.9) if cluster else (FindingType.MASS, 0.6)
        specs.append(LesionSpec(kind, number % 2 == i, 24.0 + number % 3, contrast, 100 + 10 * number + i))
    image = PhantomImage(
        image_id=f"phantom-{number}",
        patient=f"phantom-{number}",
        laterality="LR"[number % 2],
        view=("CC", "MLO")[number // 2 % 2],
        seed=9000 + number,
        lesions=tuple(specs),
        marker=False,
        spacing_mm=0.4,
    )
    return to_sample(image, SIZE)


def target(sample: Sample, seed: int) -> Target:
    masks = torch.from_numpy(sample.masks.astype(np.float32))
    boxes = masks_to_boxes(masks) + torch.tensor([0.0, 0.0, 1.0, 1.0])
    malignant, types = torch.from_numpy(sample.malignant), torch.from_numpy(sample.types)
    return Target(boxes, masks, torch.from_numpy(sample.outlined), malignant, types, seed)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums are added in one order, whatever the machine: where a long training ends depends on it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_eight_phantoms_are_learned_by_heart() -> None:
    torch.manual_seed(0)
    samples = [phantom(number) for number in range(8)]
    images = torch.from_numpy(np.stack([standardise(s.pixels.astype(np.float32)) for s in samples]))[:, None]
    network = FTMTLNet(CONFIG).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE)
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min((step + 1) / 10, 0.5 * (1 + math.cos(math.pi * step / STEPS)))
        losses = network(images, [target(sample, 8 * step + i) for i, sample in enumerate(samples)])
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
    metrics = validate(network, samples, torch.device("cpu"))
    assert metrics["dice"] >= 0.95
    assert metrics["sensitivity"] == 1.0
    assert metrics["auc"] == 1.0
    for sample, found in zip(samples, network.predict(images), strict=True):
        truth = target(sample, 0)
        overlaps, nearest = box_iou(truth.boxes, found.boxes).max(1)
        assert (overlaps >= 0.5).all()
        assert (found.scores[nearest] >= 0.5).all()
        assert torch.equal((found.malignancy[nearest] >= 0.5).long(), truth.malignant)
        assert torch.equal(found.types[nearest].argmax(1), truth.types)
