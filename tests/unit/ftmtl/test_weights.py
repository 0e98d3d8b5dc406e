"""Weights carry their card; damaged ones are refused in one sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ftmtl.errors import WeightsError
from ftmtl.findings import OperatingPoint
from ftmtl.network.ftmtlnet import FTMTLNet
from ftmtl.network.variants import NetworkConfig
from ftmtl.training.recipe import read_recipe
from ftmtl.weights import SHIPPED, WeightsCard, find_weights, load_weights, save_weights, sha256_of, write_card

CONFIG = NetworkConfig(channels=16)
CARD = WeightsCard("FT-MTL-Net", "test-1", CONFIG, 0.4, data="nothing", recipe={"seed": 1})


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_weights(path, FTMTLNet(CONFIG), CARD)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    network = FTMTLNet(CONFIG)
    path = tmp_path / "deep" / "weights.safetensors"
    digest = save_weights(path, network, CARD)
    loaded, card, read_digest = load_weights(path)
    assert replace(card, checksum="") == CARD
    assert len(card.checksum) == 64
    assert digest == read_digest == sha256_of(path)
    assert not loaded.training
    for name, tensor in network.state_dict().items():
        assert torch.allclose(loaded.state_dict()[name].float(), tensor.float(), atol=1e-3)


def test_points_are_written_and_another_card_leaves_the_tensors(written: Path, tmp_path: Path) -> None:
    network, card, digest = load_weights(written)
    points = (OperatingPoint(0.6, 0.7, 0.05), OperatingPoint(0.0, 0.9, 0.3))
    other = tmp_path / "other.safetensors"
    write_card(written, replace(card, operating_points=points, measured_on="drawings"), other)
    assert sha256_of(written) == digest
    same, read, new = load_weights(other)
    assert (read.operating_points, read.measured_on, read.checksum) == (points, "drawings", card.checksum)
    assert new != digest
    assert all(torch.equal(t, same.state_dict()[name]) for name, t in network.state_dict().items())
    assert write_card(other, card, other) == digest


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.safetensors cannot be read: No such file"):
        load_weights(tmp_path / "none.safetensors")


def test_a_truncated_file(written: Path) -> None:
    written.write_bytes(written.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="are damaged"):
        load_weights(written)


def test_an_altered_file(written: Path) -> None:
    """One bit of one tensor: the file still parses, and would give other masks."""
    content = bytearray(written.read_bytes())
    content[-100] ^= 0x40
    written.write_bytes(content)
    with pytest.raises(WeightsError, match="do not have the checksum on their card"):
        load_weights(written)


def test_weights_in_a_folder(written: Path) -> None:
    assert find_weights([written.parent]) == find_weights([written]) == [written]
    assert SHIPPED in find_weights()
    empty = written.parent / "empty"
    empty.mkdir()
    with pytest.raises(WeightsError, match="there are no weights in"):
        find_weights([empty])


def test_a_foreign_file(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="have no card"):
        load_weights(path)


def test_a_card_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_weights(path, FTMTLNet(CONFIG), WeightsCard("x", "1", NetworkConfig(channels=32), 0.5))
    with pytest.raises(WeightsError, match="do not fit the network"):
        load_weights(path)


def test_a_broken_card(tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"ftmtl": json.dumps({"name": "x"})})
    with pytest.raises(WeightsError, match="card that cannot be read"):
        load_weights(path)


def test_a_card_of_another_version(written: Path) -> None:
    """What an older card did not know has its default; a newer one's network would be another one here."""
    with safe_open(written, framework="pt") as file:
        state, card = {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["ftmtl"])  # noqa: SIM118
    del card["network"]["contrast"], card["manufacturer"], card["operating_points"], card["measured_on"]
    save_file(state, written, metadata={"ftmtl": json.dumps(card)})
    read = load_weights(written)[1]
    assert read.network == CONFIG
    assert (read.operating_points, read.measured_on) == ((), "")
    card["network"]["whiskers"] = 2
    save_file(state, written, metadata={"ftmtl": json.dumps(card)})
    with pytest.raises(WeightsError, match=r"does not know \(whiskers\)"):
        load_weights(written)


SHIPPED_ONES = pytest.mark.parametrize("path", find_weights(), ids=lambda path: path.stem)


@SHIPPED_ONES
def test_the_shipped_weights_are_small_and_half(path: Path) -> None:
    assert path.stat().st_size < 30e6
    network, card, _ = load_weights(path)
    assert card.name == "FT-MTL-Net"
    assert "3000 synthetic mammograms" in card.data
    assert card.use == "Research use only. Not a medical device."
    assert card.recipe["phases"]
    parameters = sum(p.numel() for p in network.parameters())
    assert parameters * 2 < path.stat().st_size < parameters * 2.2


@SHIPPED_ONES
def test_the_recipe_beside_the_shipped_weights_is_theirs(path: Path) -> None:
    """What the card says they were made with is what the repository would make them with today."""
    _, card, _ = load_weights(path)
    recipe = read_recipe(path.with_suffix(".toml"))
    assert card.recipe == recipe.to_json()
    assert card.network == recipe.network_config()


def test_what_the_shipped_weights_were_trained_on() -> None:
    """Phantoms and data whose licence allows it, nothing else: no MIAS, no INbreast."""
    assert "CDD-CESM" in load_weights()[1].data
    data = {source.name for path in find_weights() for source in read_recipe(path.with_suffix(".toml")).sources()}
    assert data == {"phantoms", "cdd-cesm"}
