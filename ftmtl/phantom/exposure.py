"""From attenuation to a stored image: detector blur and noise, vendor processing, burned-in markers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ftmtl.phantom.fields import COARSE_MM, Floats, resize

MAX_VALUE = 4095


def expose(rng: np.random.Generator, signal: Floats, tissue: Floats, spacing_mm: float) -> NDArray[np.uint16]:
    """Make the image of a signal: digital or film, with or without enhanced local contrast, bright or dark.

    The standard deviation of the noise is specified at 100 µm; its variance is inversely proportional to the area of a
    pixel, as for quantum noise.
    """
    film = rng.random() < 0.35
    blur_mm = rng.uniform(0.12, 0.25) if film else 0.07
    grain = rng.uniform(0.004, 0.010) if film else rng.uniform(0.008, 0.02)
    gamma = rng.uniform(0.8, 1.35)
    local, reach_mm = (0.0 if film else rng.uniform(0, 1.1)), rng.uniform(6, 18)
    equalised = rng.uniform(0, 0.3 if film else 0.9)
    blurred = ndimage.gaussian_filter(signal, blur_mm / spacing_mm)
    noise = rng.standard_normal(signal.shape, dtype=np.float32) * np.float32(grain * 0.1 / spacing_mm)
    breast = tissue > 0
    lit = blurred + noise * np.sqrt(0.3 + np.maximum(blurred, 0))
    lit += np.float32(equalised * 0.2) * (1 - tissue)
    if local:
        lit += np.float32(local) * (lit - _surroundings(blurred, breast, spacing_mm, reach_mm))
    lit = np.maximum(lit, 0.03) ** np.float32(gamma)
    shown = np.where(lit < 0.75, lit, 0.75 + 0.25 * np.tanh((lit - 0.75) / 0.25)) * breast
    stored: NDArray[np.uint16] = np.round(np.clip(shown, 0, 1) * MAX_VALUE).astype(np.uint16)
    return stored


def burn_marker(pixels: NDArray[np.uint16], laterality: str, view: str, spacing_mm: float) -> None:
    """Write laterality and view into the corner away from the chest wall, in place."""
    columns = pixels.shape[1]
    size = max(6, round(7 / spacing_mm))
    canvas = Image.new("L", (size * 6, size * 2))
    ImageDraw.Draw(canvas).text((2, 2), f"{laterality} {view}", fill=255, font=ImageFont.load_default(size))
    text = np.asarray(canvas)
    text = text[np.any(text, axis=1)][:, np.any(text, axis=0)]
    top = round(8 / spacing_mm)
    left = columns - text.shape[1] - round(8 / spacing_mm) if laterality == "L" else round(8 / spacing_mm)
    part = pixels[top : top + text.shape[0], left : left + text.shape[1]]
    np.maximum(part, (text.astype(np.uint32) * MAX_VALUE // 255).astype(np.uint16), out=part)


def _surroundings(signal: Floats, breast: NDArray[np.bool_], spacing_mm: float, reach_mm: float) -> Floats:
    """Return the mean of the breast around each point, ignoring air."""
    factor = max(1, round(4 * COARSE_MM / spacing_mm))
    small = (-(-signal.shape[0] // factor), -(-signal.shape[1] // factor))
    weight = resize(breast.astype(np.float32), small)
    sigma = reach_mm / (spacing_mm * factor)
    mean = ndimage.gaussian_filter(resize(signal * breast, small), sigma) / (
        ndimage.gaussian_filter(weight, sigma) + 1e-3
    )
    return resize(mean.astype(np.float32), (signal.shape[0], signal.shape[1]))
