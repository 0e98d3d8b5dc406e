"""Local contrast: what stands out does so alike in the dark and in the light."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ftmtl.network.contrast import with_local_contrast
from ftmtl.network.ftmtlnet import FTMTLNet
from ftmtl.network.variants import NetworkConfig

SIDES = (65, 25)
HEIGHT, WIDTH = 240, 200
DARK, LIGHT = (60, 40), (180, 150)
"""Column-wise light: row and column of two discs, one near each end of the ramp."""


def breast(*, ramp: float, discs: float = 0.4) -> Tensor:
    """Return a noisy ramp with two faint discs, and 20 columns of air."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    image = ramp * columns / WIDTH + np.random.default_rng(0).normal(0, 0.1, (HEIGHT, WIDTH))
    for row, column in (DARK, LIGHT):
        image += discs * (np.hypot(rows - row, columns - column) < 8)
    image[:, -20:] = -4
    return torch.from_numpy(image.astype(np.float32))[None, None]


def test_the_image_itself_comes_first() -> None:
    images = torch.cat([breast(ramp=1.0), breast(ramp=2.0)])
    made = with_local_contrast(images, SIDES)
    assert made.shape == (2, 3, HEIGHT, WIDTH)
    assert torch.equal(made[:, :1], images)
    assert torch.allclose(made[1:], with_local_contrast(images[1:], SIDES))


def test_a_disc_stands_out_alike_in_dark_and_light() -> None:
    channels = with_local_contrast(breast(ramp=3.0), SIDES)[0]
    grey, *contrasts = ([float(mean_of(channel, place)) for place in (DARK, LIGHT)] for channel in channels)
    assert grey[1] - grey[0] > 1.5
    without = with_local_contrast(breast(ramp=3.0, discs=0.0), SIDES)[0, 1:]
    for values, channel in zip(contrasts, without, strict=True):
        dark, light = (value - float(mean_of(channel, at)) for value, at in zip(values, (DARK, LIGHT), strict=True))
        assert dark > 0.7
        assert light == pytest.approx(dark, rel=0.1)


def mean_of(channel: Tensor, place: tuple[int, int]) -> Tensor:
    row, column = place
    return channel[row - 4 : row + 4, column - 4 : column + 4].mean()


def test_exposure_hardly_matters() -> None:
    """But for what is added to the deviation, gain and brightness would not matter at all."""
    image = breast(ramp=3.0)
    brighter = torch.where(image > -4, 1.7 * image + 1, image)
    contrast, again = (with_local_contrast(i, SIDES)[0, 1:] for i in (image, brighter))
    assert torch.corrcoef(torch.stack([contrast.flatten(), again.flatten()]))[0, 1] > 0.99
    assert (contrast - again).abs().mean() < 0.15


def test_air_has_no_contrast_and_gives_none_to_the_skin() -> None:
    image = breast(ramp=0.0, discs=0.0)
    contrast = with_local_contrast(image, SIDES)[0, 1:]
    assert (contrast[:, :, -20:] == 0).all()
    assert contrast[:, :, -24:-20].mean().abs() < 0.1
    assert (with_local_contrast(torch.zeros(1, 1, 64, 64), SIDES) == 0).all()


@pytest.mark.parametrize("size", [(64, 52), (97, 63)])
def test_any_size(size: tuple[int, int]) -> None:
    made = with_local_contrast(torch.randn(1, 1, *size), SIDES)
    assert made.shape == (1, 3, *size)
    assert made.isfinite().all()


def test_a_network_that_looks_at_local_contrast_sees_something_else() -> None:
    torch.manual_seed(0)
    plain = FTMTLNet(NetworkConfig(channels=16)).eval()
    local = FTMTLNet(NetworkConfig(channels=16, contrast=SIDES)).eval()
    local.load_state_dict(plain.state_dict())
    boxes = [torch.tensor([[40.0, 40.0, 90.0, 100.0]])]
    (one,), (other,) = (network.predict(breast(ramp=1.0), boxes) for network in (plain, local))
    assert not torch.allclose(one.malignancy, other.malignancy, atol=1e-4)


@pytest.mark.parametrize("sides", [(65,), (65, 25, 9), (65, 8)])
def test_windows_without_meaning_are_refused(sides: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="contrast is"):
        NetworkConfig(contrast=sides)
