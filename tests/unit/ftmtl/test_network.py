"""The network: what it returns, that its tasks learn together, and that features and gradients go where they should."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from ftmtl.network.ftmtlnet import FTMTLNet, build_network
from ftmtl.network.targets import Target
from ftmtl.network.variants import FUSIONS, VARIANTS, NetworkConfig, variant

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
                torch.ones(lesions, dtype=torch.bool),
                torch.tensor([i % 2])[:lesions],
                torch.tensor([0])[:lesions],
                seed=i,
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
        assert found.types.shape == (count, len(SMALL.types))
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


def gradient(network: nn.Module, part: str) -> bool:
    """Whether any parameter of a part got a gradient that is not zero."""
    module = network.get_submodule(part)
    return any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())


def test_the_paths_of_gradients_without_transfer() -> None:
    """Each loss reaches its own head and the backbone, and no other head."""
    heads = {"detection": ("detection", "box"), "segmentation": ("mask",), "classification": ("malignancy", "type")}
    for own, names in heads.items():
        network = FTMTLNet(replace(SMALL, transfer=())).train()
        losses = network(*batch())
        sum(losses[name] for name in names).backward()
        assert {head for head in heads if gradient(network, head)} == {own}
        assert gradient(network, "backbone.body.conv1")


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize(
    ("direction", "losses", "view"),
    [
        ("det->cls", ("malignancy", "type"), "detection.features"),
        ("seg->cls", ("malignancy", "type"), "segmentation.features"),
        ("det->seg", ("mask",), "detection.features"),
        ("cls->seg", ("mask",), "classification.own"),
    ],
)
def test_a_direction_is_a_path_for_gradients(direction: str, losses: tuple[str, ...], view: str, fusion: str) -> None:
    """The receiver's loss reaches the giver's view, and nothing that lies behind the giver's decision."""
    for detach in (False, True):
        network = FTMTLNet(replace(SMALL, transfer=(direction,), fusion=fusion, detach=detach)).train()
        found = network(*batch())
        sum(found[name] for name in losses).backward()
        assert gradient(network, view) is not detach
        giver = view.partition(".")[0]
        decisions = {"detection": "trunk", "segmentation": "logits", "classification": "malignancy"}
        assert not gradient(network, f"{giver}.{decisions[giver]}")
        third = {"detection", "segmentation", "classification"} - {giver, "classification", "segmentation"}
        assert not any(gradient(network, head) for head in third)


def test_all_directions_at_once() -> None:
    every = ("det->cls", "seg->cls", "det->seg", "cls->seg")
    network = FTMTLNet(replace(SMALL, transfer=every)).train()
    losses = network(*batch())
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in network.parameters())
    assert len(network.eval().predict(torch.randn(1, 1, 128, 96))) == 1


def test_region_features_are_what_the_heads_decide_from() -> None:
    network = build_network(variant("D", SMALL)).eval()
    assert isinstance(network, FTMTLNet)
    images, targets = batch(2)
    boxes = [t.boxes for t in targets]
    views = network.region_features(images, boxes)
    regions, channels = sum(len(b) for b in boxes), SMALL.channels
    assert {name: tuple(view.shape) for name, view in views.items()} == {
        "roi->cls": (regions, channels, 7, 7),
        "roi->seg": (regions, channels, 14, 14),
        "det": (regions, channels, 7, 7),
        "seg": (regions, channels, 14, 14),
        "cls": (regions, channels, 7, 7),
    }
    decided = network.classification(views["cls"], [views["det"], views["seg"]])[0].softmax(-1)[:, 1]
    assert torch.allclose(decided, torch.cat([d.malignancy for d in network.predict(images, boxes)]), atol=1e-6)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_learns_and_predicts(name: str) -> None:
    network = build_network(variant(name, SMALL)).train()
    images, targets = batch(3)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    sums = []
    for _ in range(6):
        losses = network(images, targets)
        assert losses.keys() == LOSSES
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
        sums.append(sum(loss.item() for loss in losses.values()))
    assert sum(sums[-2:]) < sum(sums[:2])
    for found in network.eval().predict(images):
        assert len(found.boxes) == len(found.scores) == len(found.masks) == len(found.malignancy) > 0


def test_shuffling_changes_classification_only() -> None:
    plain = build_network(variant("D", SMALL)).eval()
    shuffled = build_network(variant("D-shuffle", SMALL)).eval()
    shuffled.load_state_dict(plain.state_dict())
    images = torch.randn(2, 1, 128, 96)
    for a, b in zip(plain.predict(images), shuffled.predict(images), strict=True):
        assert torch.equal(a.boxes, b.boxes)
        assert torch.equal(a.scores, b.scores)
        assert torch.equal(a.masks, b.masks)
        assert not torch.allclose(a.malignancy, b.malignancy)
        assert not torch.allclose(a.types, b.types)


def test_the_control_has_the_parameters_of_full_transfer() -> None:
    sizes = {name: [p.shape for p in build_network(variant(name, SMALL)).parameters()] for name in VARIANTS}
    assert sizes["B+"] == sizes["D"] == sizes["D-detach"] == sizes["D-shuffle"]
    assert len(sizes["B"]) < len(sizes["D"])
    assert len(sizes["A"]) > 2 * len(sizes["D"])


def test_a_network_alone_touches_nothing_of_the_others() -> None:
    network = build_network(variant("A", SMALL)).train()
    losses = network(*batch())
    losses["mask"].backward()
    assert gradient(network, "segmenter")
    assert not gradient(network, "detector")
    assert not gradient(network, "classifier")


def test_boxes_that_are_given_are_described_in_their_order() -> None:
    network = FTMTLNet(SMALL).eval()
    given = torch.tensor([[5.0, 5.0, 40.0, 50.0], [30.0, 60.0, 90.0, 110.0]])
    images = torch.randn(2, 1, 128, 96)
    forth, nothing = network.predict(images, [given, given[:0]])
    back, _ = network.predict(images, [given.flip(0), given[:0]])
    assert torch.equal(forth.boxes, given)
    assert torch.allclose(forth.malignancy, back.malignancy.flip(0), atol=1e-5)
    assert torch.allclose(forth.scores, back.scores.flip(0), atol=1e-5)
    assert len(nothing.boxes) == 0


def test_masks_that_are_no_outline_teach_segmentation_nothing() -> None:
    images, targets = batch()
    vague = [replace(t, outlined=torch.zeros_like(t.outlined)) for t in targets]
    losses = FTMTLNet(SMALL).train()(images, vague)
    assert losses["mask"] == 0
    assert losses["malignancy"] > 0


def test_what_is_drawn_by_chance_hangs_on_the_images_seed() -> None:
    network = FTMTLNet(replace(SMALL, norm="group")).train()
    images, targets = batch(3)
    whole = network(images, targets)
    again = network(images, targets)
    other = network(images, [replace(t, seed=t.seed + 1) for t in targets])
    assert all(torch.equal(whole[name], again[name]) for name in LOSSES)
    assert any(not torch.equal(whole[name], other[name]) for name in LOSSES)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"fusion": "mean"}, "fusion is 'mean'; it can be concat, sum, gate"),
        ({"transfer": ("cls->det",)}, "transfer holds 'cls->det'"),
        ({"transfer": ("det->cls",), "tasks": ("seg", "cls")}, "det is not one of the tasks"),
        ({"channels": 20}, "channels is 20"),
        ({"anchor_sizes": ((8,), (16,))}, "anchor_sizes"),
        ({"types": ("mass", "cyst")}, "types hold \\['cyst'\\]"),
        ({"loss_weights": {"mask": 1.0}}, "loss_weights name"),
        ({"backbone": "resnet7"}, "backbone is 'resnet7'; torchvision has no such network"),
        ({"backbone": "regnet_y_400mf"}, "neither a ResNet nor"),
        ({"backbone": "vit_b_16"}, "neither a ResNet nor"),
    ],
)
def test_a_configuration_without_meaning_is_one_sentence(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        build_network(replace(SMALL, **fields))
    assert "\n" not in str(caught.value)


def test_an_unknown_variant() -> None:
    with pytest.raises(ValueError, match=r"no variant 'E'; known variants are A, B, B\+, C1"):
        variant("E")


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
