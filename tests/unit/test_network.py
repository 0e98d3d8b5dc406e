"""The network: what it returns, that its tasks learn together, and that features and gradients go where they should."""

from __future__ import annotations

import pytest
import torch

from ftmtl.network import TYPES, FTMTLNet, NetworkConfig, Target

LOSSES = {"objectness", "rpn_box", "detection", "box", "mask", "malignancy", "type"}
SMALL = NetworkConfig(channels=16)


def batch(count: int = 2, side: int = 128) -> tuple[torch.Tensor, list[Target]]:
    """Images with one bright disc each; the last one has none."""
    images = 0.3 * torch.randn(count, 1, side, side)
    targets = []
    grid = torch.arange(side)
    for i in range(count):
        mask = ((grid[:, None] - 60) ** 2 + (grid[None, :] - 50) ** 2 < 15**2).float()
        lesions = 0 if i == count - 1 else 1
        images[i, 0] += (2 + 3 * i) * mask * lesions
        targets.append(
            Target(
                torch.tensor([[35.0, 45.0, 66.0, 76.0]])[:lesions],
                mask[None][:lesions],
                torch.tensor([i % 2])[:lesions],
                torch.tensor([0])[:lesions],
            )
        )
    return images, targets


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_losses_come_back_by_name() -> None:
    losses = FTMTLNet(SMALL).train()(*batch())
    assert losses.keys() == LOSSES
    assert all(loss.isfinite() and loss.ndim == 0 for loss in losses.values())


def test_images_without_any_lesion_are_no_error() -> None:
    images, targets = batch(1)
    losses = FTMTLNet(SMALL).train()(images, targets)
    assert losses["mask"] == losses["malignancy"] == losses["box"] == 0
    sum(losses.values()).backward()


def test_prediction_has_one_entry_a_detection() -> None:
    network = FTMTLNet(SMALL).eval()
    for found in network.predict(torch.randn(2, 1, 128, 96)):
        count = len(found.boxes)
        assert 0 < count <= SMALL.detections_per_image
        assert found.boxes.shape == (count, 4)
        assert found.masks.shape == (count, 28, 28)
        assert found.types.shape == (count, len(TYPES))
        assert found.scores.shape == found.malignancy.shape == (count,)
        assert (found.scores.diff() <= 0).all()
        assert (found.boxes[:, 0::2] <= 96).all()
        assert (found.boxes[:, 1::2] <= 128).all()
        assert (found.boxes >= 0).all()


def test_no_box_is_no_error() -> None:
    network = FTMTLNet(NetworkConfig(channels=16, detections_per_image=0)).eval()
    (found,) = network.predict(torch.randn(1, 1, 96, 96))
    assert found.boxes.shape == (0, 4)
    assert found.masks.shape == (0, 28, 28)


@pytest.mark.parametrize(
    ("transfer", "reached"),
    [
        ((), set()),
        (("det",), {"detection"}),
        (("seg",), {"segmentation"}),
        (("det", "seg"), {"detection", "segmentation"}),
    ],
)
def test_the_classification_loss_reaches_the_heads_that_hand_over(transfer: tuple[str, ...], reached: set[str]) -> None:
    """Feature transfer is a path for gradients too, and no other path leads from classification to a head."""
    network = FTMTLNet(NetworkConfig(channels=16, transfer=transfer)).train()
    losses = network(*batch())
    (losses["malignancy"] + losses["type"]).backward()
    for name in ("detection", "segmentation"):
        gradients = [p.grad for p in getattr(network, name).features.parameters() if p.grad is not None]
        assert any(bool(g.abs().sum() > 0) for g in gradients) is (name in reached)
    assert any(p.grad is not None for p in network.classification.parameters())


def test_detection_and_segmentation_losses_do_not_reach_classification() -> None:
    network = FTMTLNet(SMALL).train()
    losses = network(*batch())
    sum(losses[name] for name in LOSSES - {"malignancy", "type"}).backward()
    assert all(p.grad is None or not p.grad.any() for p in network.classification.parameters())


def test_the_three_tasks_learn() -> None:
    """A few steps on one batch: every task's loss falls."""
    network = FTMTLNet(SMALL).train()
    images, targets = batch(3)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    history = []
    for _ in range(25):
        losses = network(images, targets)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
        history.append({name: loss.item() for name, loss in losses.items()})
    for name in ("objectness", "detection", "mask", "malignancy"):
        early = sum(h[name] for h in history[:3]) / 3
        late = sum(h[name] for h in history[-3:]) / 3
        assert late < 0.8 * early, name
