"""Recipes for tests: a network and images so small that a step takes a tenth of a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftmtl.training.recipe import Recipe, read_recipe

SMALL = """
name = "FT-MTL-Net"
version = "test"
seed = 5
data = ["phantoms:12@500"]
cache = "{cache}"

[network]
channels = 16
norm = "group"
input_size = [128, 104]

[validation]
part = {part}
every = {every}
patience = {patience}

[machine]
device = "cpu"
workers = {workers}

[[phases]]
steps = {steps}
batch = 2
crop = 96
rate = {rate}
"""
DEFAULTS: dict[str, Any] = {
    **{"part": 0.34, "every": 2, "patience": 0, "workers": 0, "steps": 4, "rate": 1e-3, "cache": ""}
}


def write_recipe(folder: Path, extra: str = "", **values: Any) -> Path:
    """Write a small recipe and return its path; ``extra`` is appended."""
    path = folder / "recipe.toml"
    path.write_text(SMALL.format(**DEFAULTS | values) + extra)
    return path


def small_recipe(folder: Path, extra: str = "", **values: Any) -> Recipe:
    """Write and read a small recipe."""
    return read_recipe(write_recipe(folder, extra, **values))
