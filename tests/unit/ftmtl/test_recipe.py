"""A recipe is checked whole: every fault a sentence that names its key; and it comes back from JSON the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from support.recipes import small_recipe, write_recipe

from ftmtl.errors import RecipeError
from ftmtl.training.recipe import Recipe, read_recipe

MINIMAL = 'name = "a"\nversion = "1"\ndata = ["phantoms:10"]\n'
PHASE = "[[phases]]\nsteps = 10\nbatch = 2\nrate = 1e-3\n"


def faults_of(folder: Path, text: str) -> list[str]:
    path = folder / "r.toml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    return [fault.removeprefix(f"recipe {path}: ") for fault in caught.value.faults]


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(MINIMAL + PHASE)
    recipe = read_recipe(path)
    assert recipe.variant == "D"
    assert recipe.phases[0].crop == 0
    assert recipe.network_config().transfer == ("det->cls", "seg->cls")


def test_a_recipe_comes_back_from_json(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    assert Recipe.model_validate_json(json.dumps(recipe.to_json())).to_json() == recipe.to_json()
    assert str(tmp_path) not in json.dumps(recipe.to_json())


def test_the_network_section_wins_over_the_variant(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(f'{MINIMAL}variant = "C1"\n[network]\nchannels = 32\nloss_weights = {{mask = 2.0}}\n{PHASE}')
    config = read_recipe(path).network_config()
    assert config.transfer == ("det->cls",)
    assert config.channels == 32
    assert config.loss_weights["mask"] == 2.0
    assert config.loss_weights["box"] == 1.0


def test_a_table_of_data_and_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(f'name = "a"\nversion = "1"\ndata = [{{name = "mias", folder = "in", faults = "skip"}}]\n{PHASE}')
    (source,) = read_recipe(path).sources()
    assert source.folder == tmp_path / "in"
    assert source.faults == "skip"


def test_backbone_weights_may_come_from_a_package(tmp_path: Path) -> None:
    """What is installed is found; what is not is a sentence; anything else is a file beside the recipe."""
    path = tmp_path / "r.toml"

    def start(backbone: str) -> Recipe:
        path.write_text(f'{MINIMAL}{PHASE}[start]\nbackbone = "{backbone}"\n')
        return read_recipe(path)

    assert start("package:torch/version.py").backbone_file() == Path(torch.__file__).parent / "version.py"
    assert start("r18.pth").backbone_file() == tmp_path / "r18.pth"
    with pytest.raises(RecipeError) as caught:
        start("package:no_such_package/r18.pth").backbone_file()
    assert caught.value.faults == ("start.backbone: the package no_such_package is not installed",)


def test_the_command_line_may_name_the_device(tmp_path: Path) -> None:
    recipe = read_recipe(write_recipe(tmp_path), device="cuda:1")
    assert recipe.machine.device == "cuda:1"
    assert recipe.difference(small_recipe(tmp_path).to_json()) == ""
    assert recipe.resolve("x") == tmp_path / "x"


def test_every_fault_is_named(tmp_path: Path) -> None:
    text = 'name = ""\nversion = "1"\ndata = []\nsteps = 3\n[machine]\nprecision = "fp8"\n'
    faults = faults_of(tmp_path, text + '[[phases]]\nsteps = "ten"\nbatch = 0\nrate = 1e-3\n')
    assert {fault.split(":")[0] for fault in faults} == {
        *("name", "data", "steps", "machine.precision", "phases.0.steps", "phases.0.batch")
    }
    assert "steps: there is no such key" in faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (MINIMAL, "phases: this key is missing"),
        (f"{MINIMAL}[network]\nchanels = 8\n{PHASE}", "network.chanels: there is no such key"),
        (f'{MINIMAL}[network]\nchannels = "8"\n{PHASE}', "network.channels: Input should be a valid integer"),
        (f"{MINIMAL}[network]\nchannels = 9\n{PHASE}", "network: channels is 9; it has to be a multiple of 8"),
        (f'{MINIMAL}variant = "E"\n{PHASE}', "variant: there is no variant 'E'; known variants are A, B"),
        (f'{MINIMAL}variant = "D-shuffle"\n{PHASE}', "variant: D-shuffle is not trained; it uses the weights of D"),
        (f"{MINIMAL}{PHASE}crop = true\n", "phases.0.crop: Input should be a valid integer"),
        (f"{MINIMAL}{PHASE}weight_decay = nan\n", "phases.0.weight_decay: Input should be a finite number"),
        (
            f'{MINIMAL}[start]\nweights = "a"\nbackbone = "b"\n{PHASE}',
            "start: weights and backbone cannot both be given",
        ),
        (MINIMAL.replace("phantoms", "ddsm") + PHASE, "data: number 1: there is no data set 'ddsm'"),
        (MINIMAL.replace('"phantoms:10"', '{name = "mias"}') + PHASE, "data: number 1: data set mias needs a folder"),
        (MINIMAL.replace('"phantoms:10"', '{nam = "mias"}') + PHASE, "data.nam: there is no such key"),
    ],
)
def test_one_fault(tmp_path: Path, text: str, fault: str) -> None:
    (found,) = faults_of(tmp_path, text)
    assert found.startswith(fault)


def test_no_toml_and_no_file(tmp_path: Path) -> None:
    assert "is not TOML" in faults_of(tmp_path, "name = ")[0]
    with pytest.raises(RecipeError, match=r"none\.toml cannot be read: No such file"):
        read_recipe(tmp_path / "none.toml")


def test_the_difference_names_a_key_and_both_values(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    other = small_recipe(tmp_path, rate=2e-3)
    assert recipe.difference(other.to_json()) == "phases.0.rate was 0.002 and is 0.001"
    assert recipe.difference(small_recipe(tmp_path, workers=3).to_json()) == ""
