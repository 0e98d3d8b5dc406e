"""A breast without lesions, on a coarse grid in millimetres, chest wall at the left.

Fibroglandular tissue follows a power-law spectrum (Burgess 2001: beta about 3) and, like ducts and ligaments, runs
towards the nipple. Islands of this tissue, vessels, the pectoral muscle and lymph nodes are bright as well, without
being lesions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from ftmtl.phantom.fields import COARSE_MM, FIELD_MM, Floats, PowerLaw, offsets, ridges

_STREAM_MM = 0.5
_STREAM_SIDE = 560
"""Side of the grid on which tissue runs towards the nipple: rows are arcs around it, columns distances from it."""


@dataclass(frozen=True)
class Anatomy:
    """Maps on the coarse grid.

    Attributes
    ----------
    signal
        Attenuation; 1 is the whole display range.
    tissue
        Thickness of the compressed breast, 0 to 1; 0 is air.
    depth_mm
        Distance from the skin.
    allowed
        Where the centre of a lesion may lie.
    """

    signal: Floats
    tissue: Floats
    depth_mm: Floats
    allowed: NDArray[np.bool_]


class _Grid(NamedTuple):
    """The coarse grid, and where the centres of its pixels lie.

    Attributes
    ----------
    shape
        (rows, columns).
    x, y
        Distance in mm from the chest wall, shape (1, columns), and from the top, shape (rows, 1).
    """

    shape: tuple[int, int]
    x: Floats
    y: Floats

    @classmethod
    def of_field(cls) -> _Grid:
        """Return the grid that covers the receptor's field."""
        rows, columns = round(FIELD_MM[0] / COARSE_MM), round(FIELD_MM[1] / COARSE_MM)
        y = (np.arange(rows, dtype=np.float32)[:, None] + 0.5) * COARSE_MM
        x = (np.arange(columns, dtype=np.float32)[None, :] + 0.5) * COARSE_MM
        return cls((rows, columns), x, y)


def draw_anatomy(rng: np.random.Generator, view: str) -> Anatomy:
    """Draw one breast; ``view`` is ``CC`` or ``MLO``."""
    h = COARSE_MM
    grid = _Grid.of_field()
    shape, x, y = grid
    outline, nipple = _outline(rng, view)
    breast = x < outline(y)
    breast |= (x - nipple[0]) ** 2 + (y - nipple[1]) ** 2 < rng.uniform(2.5, 5.5) ** 2
    muscle, strength = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=np.float32)
    if view == "MLO":
        muscle, strength = _pectoral(rng, grid, breast)
    depth = ndimage.distance_transform_edt(np.pad(breast, ((0, 0), (1, 0)), mode="edge"))[:, 1:].astype(np.float32) * h
    rim = rng.uniform(14, 34)
    thickness = np.sqrt(np.clip(1 - (1 - np.clip(depth / rim, 0, 1)) ** 2, 0, 1))
    stream = _Stream(rng, shape, nipple)
    gland = _gland(rng, grid, nipple, stream)
    strands = _strands(rng, shape, stream)
    vessels = _vessels(rng, shape, nipple)
    signal = rng.uniform(0.16, 0.26) * thickness**0.4
    signal += gland * thickness * rng.uniform(0.22, 0.42)
    signal += (rng.uniform(0.06, 0.13) * strands * (0.45 + 0.55 * gland) + vessels) * thickness
    signal += rng.uniform(0.02, 0.06) * np.exp(-(((depth - 0.8) / 0.8) ** 2)) * breast
    signal += strength * thickness + _folded_nipple(rng, shape, nipple)
    signal = np.where(breast, signal, 0).astype(np.float32)
    allowed = breast & (depth > 6) & (x > 4) & (y > 8) & (y < FIELD_MM[0] - 8)
    if rng.random() < 0.85:  # otherwise a mass may lie over the muscle, in the axilla
        allowed &= ~ndimage.binary_dilation(muscle, iterations=round(4 / h))
    return Anatomy(signal, np.where(breast, thickness, 0).astype(np.float32), depth, allowed)


class _Stream:
    """Coordinates along the ducts: distance from a point at the nipple and arc around it, both slightly bent."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int], nipple: tuple[float, float]) -> None:
        down, right = offsets(shape, (nipple[0] + rng.uniform(4, 20), nipple[1]))
        bend = [rng.uniform(3, 7) * PowerLaw(3.4, cutoff_per_mm=0.012).draw(rng, shape, COARSE_MM) for _ in range(2)]
        middle = _STREAM_SIDE / 2
        self.places = np.stack(
            [
                middle + (np.arctan2(down, -right) * rng.uniform(55, 90) + bend[1]) / _STREAM_MM,
                (np.hypot(down, right) + bend[0]) / _STREAM_MM,
            ]
        )

    def lay(self, field: Floats) -> Floats:
        """Map a field of arcs and distances onto the breast."""
        laid: Floats = ndimage.map_coordinates(field, self.places, order=1, mode="reflect").astype(np.float32)
        return laid

    def noise(self, rng: np.random.Generator, spectrum: PowerLaw) -> Floats:
        """Draw power-law noise in arcs and distances, for `lay`."""
        side = (_STREAM_SIDE, _STREAM_SIDE)
        return spectrum.draw(rng, side, _STREAM_MM)


def _outline(
    rng: np.random.Generator, view: str
) -> tuple[Callable[[Floats], NDArray[np.floating]], tuple[float, float]]:
    """Draw the skin line, as x(y) in mm, and the position of the nipple on it."""
    depth = rng.uniform(60, 125)
    half = float(np.clip(depth * rng.uniform(0.75, 1.15), 55, 105))
    power = rng.uniform(1.8, 2.5)
    wave, phase = rng.uniform(0.0, 0.02), rng.uniform(0, 2 * np.pi)
    middle = 120 + rng.uniform(-12, 12) if view == "CC" else 145 + rng.uniform(-10, 15)
    lower = min(half, FIELD_MM[0] - 4 - middle) if view == "MLO" else half
    axilla = rng.uniform(35, 60)

    def outline(y: Floats) -> NDArray[np.floating]:
        below = np.clip(1 - (np.abs(y - middle) / np.where(y < middle, half, lower)) ** power, 0, None) ** (1 / power)
        edge = depth * below
        if view == "MLO":
            arm = axilla + (depth - axilla) * np.clip(1 - ((middle - y) / middle) ** 2, 0, 1) ** 1.3
            edge = np.where(y < middle, arm, edge)
        waved: NDArray[np.floating] = edge * (1 + wave * np.sin(y / 14 + phase))
        return waved

    nipple_y = middle + rng.uniform(-6, 6)
    nipple_x = float(outline(np.array([[nipple_y]], dtype=np.float32))[0, 0])
    return outline, (nipple_x - 1.0, float(nipple_y))


def _gland(rng: np.random.Generator, grid: _Grid, nipple: tuple[float, float], stream: _Stream) -> Floats:
    """Draw the fibroglandular fraction: a power-law texture in an envelope behind the nipple, and islands of it."""
    shape, x, y = grid
    density = rng.uniform(-1.2, 1.0)
    centre_x, spread_x = nipple[0] * rng.uniform(0.45, 0.68), nipple[0] * rng.uniform(0.24, 0.36)
    centre_y, spread_y = nipple[1] + rng.uniform(-16, 8), nipple[0] * rng.uniform(0.26, 0.45)
    wanted = 3.0 * np.exp(-(((x - centre_x) / spread_x) ** 2 + ((y - centre_y) / spread_y) ** 2) / 2)
    for _ in range(int(rng.integers(0, 8))):
        wanted = wanted + _island(rng, shape, nipple)
    streaming = stream.lay(stream.noise(rng, PowerLaw(3.0, 0.02, rng.uniform(2.5, 6))))
    cloud = PowerLaw(3.4, cutoff_per_mm=0.012).draw(rng, shape, COARSE_MM)
    texture = 0.6 * streaming + 0.7 * cloud
    patches = 1 / (1 + np.exp(-(wanted - 2.0 + density + 0.9 * texture) / rng.uniform(0.4, 0.8)))
    fine = stream.lay(stream.noise(rng, PowerLaw(2.8, 0.05, rng.uniform(2, 5))))
    grain = PowerLaw(3.0, cutoff_per_mm=0.04).draw(rng, shape, COARSE_MM)
    gland: Floats = np.clip(patches * (0.75 + 0.13 * fine + 0.10 * grain), 0, 1.4).astype(np.float32)
    return gland


def _island(rng: np.random.Generator, shape: tuple[int, int], nipple: tuple[float, float]) -> Floats:
    """Draw an isolated patch of gland: as large as a mass, but textured like its surroundings and without a margin."""
    centre = (nipple[0] * rng.uniform(0.15, 0.9), nipple[1] + nipple[0] * rng.uniform(-0.7, 0.6))
    down, right = offsets(shape, centre)
    turn = rng.uniform(0, np.pi)
    u, v = right * np.cos(turn) + down * np.sin(turn), -right * np.sin(turn) + down * np.cos(turn)
    length = rng.uniform(4, 13)
    island: Floats = rng.uniform(1.0, 2.8) * np.exp(-((u / length) ** 2 + (v / (length * rng.uniform(0.35, 0.9))) ** 2))
    return island


def _strands(rng: np.random.Generator, shape: tuple[int, int], stream: _Stream) -> Floats:
    """Draw Cooper's ligaments and ducts of uneven strength, most along the stream, some around fat lobules."""
    along = stream.noise(rng, PowerLaw(3.2, 0.08, rng.uniform(3, 7)))
    thin = stream.lay(ridges(along, _STREAM_MM, 0.5))
    broad = stream.lay(
        ridges(stream.noise(rng, PowerLaw(3.4, 0.04, rng.uniform(3, 7))), _STREAM_MM, rng.uniform(0.8, 1.5))
    )
    lobules = ridges(PowerLaw(3.6, cutoff_per_mm=0.06).draw(rng, shape, COARSE_MM), COARSE_MM, 0.55)
    total = np.zeros(shape, dtype=np.float32)
    for strands, weight in ((thin, 0.8), (broad, 0.7), (lobules, rng.uniform(0.2, 0.8))):
        strength = np.clip(PowerLaw(3.0, cutoff_per_mm=0.02).draw(rng, shape, COARSE_MM) * 0.5 + 0.45, 0, 1.3)
        total += weight * strands * strength
    return total


def _vessels(rng: np.random.Generator, shape: tuple[int, int], nipple: tuple[float, float]) -> Floats:
    """Draw two to seven smooth tubes from the chest wall towards the nipple."""
    total = np.zeros(shape, dtype=np.float32)
    for _ in range(int(rng.integers(2, 8))):
        start = np.array([0.0, nipple[1] + rng.uniform(-70, 70)])
        stop = np.array([nipple[0] * rng.uniform(0.5, 0.95), nipple[1] + rng.uniform(-35, 35)])
        t = np.linspace(0, 1, 80)
        bend = sum(rng.normal(0, 9 / k) * np.sin(k * np.pi * t) for k in (1, 2, 3, 5, 8))
        way = stop - start
        normal = np.array([-way[1], way[0]]) / np.hypot(*way)
        points = (start + t[:, None] * way + np.asarray(bend)[:, None] * normal) / COARSE_MM
        canvas = Image.new("F", (shape[1], shape[0]))
        width = max(1, round(rng.uniform(0.6, 2.0) / COARSE_MM))
        ImageDraw.Draw(canvas).line([tuple(p) for p in points], fill=1.0, width=width)
        total += ndimage.gaussian_filter(np.asarray(canvas, dtype=np.float32), 0.9) * rng.uniform(0.03, 0.10)
    return total


def _pectoral(rng: np.random.Generator, grid: _Grid, breast: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Floats]:
    """Draw the pectoral muscle of an MLO view: a slightly bowed wedge at the upper chest wall, with lymph nodes.

    One in eight is cut away, as on some published films; the cut is removed from ``breast`` in place.
    """
    shape, x, y = grid
    top, bottom, bow = rng.uniform(28, 58), rng.uniform(85, 165), rng.uniform(-4, 7)
    t = np.clip(y / bottom, 0, 1)
    border = top * (1 - t) + bow * np.sin(np.pi * t)
    inside = (x < border) & (y < bottom)
    soft = ndimage.gaussian_filter(inside.astype(np.float32), rng.uniform(0.8, 2.5) / COARSE_MM)
    texture = PowerLaw(2.8, cutoff_per_mm=0.03, stretch=rng.uniform(0.3, 1.0)).draw(rng, shape, COARSE_MM)
    strength = soft * rng.uniform(0.18, 0.38) * (1 + 0.10 * texture)
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.55, 0.2, 0.15, 0.1]))):
        strength = strength + _node(rng, shape, (rng.uniform(6, top * 0.9), rng.uniform(8, 60)))
    if rng.random() < 0.125:
        jagged = border * rng.uniform(0.8, 1.0) + 3 * PowerLaw(3.0).draw(rng, (shape[0], 1), COARSE_MM)
        breast &= ~((x < jagged) & (y < bottom))
    return inside, strength.astype(np.float32)


def _folded_nipple(rng: np.random.Generator, shape: tuple[int, int], nipple: tuple[float, float]) -> Floats:
    """Draw a nipple that is not in profile, in one of three breasts: a disc over the tissue behind the skin."""
    radius, inside, strength = rng.uniform(3.5, 6.5), rng.uniform(4, 14), rng.uniform(0.05, 0.2)
    if rng.random() > 1 / 3:
        return np.zeros(shape, dtype=np.float32)
    down, right = offsets(shape, (nipple[0] - inside, nipple[1] + rng.uniform(-5, 5)))
    distance = np.hypot(down, right)
    disc: Floats = (strength / (1 + np.exp(np.clip((distance - radius) / 0.6, -40, 40)))).astype(np.float32)
    return disc


def _node(rng: np.random.Generator, shape: tuple[int, int], centre: tuple[float, float]) -> Floats:
    """Draw an axillary lymph node: oval and smooth, with a lucent fatty hilum."""
    down, right = offsets(shape, centre)
    turn, radius = rng.uniform(0, np.pi), rng.uniform(2.5, 7)
    u, v = right * np.cos(turn) + down * np.sin(turn), -right * np.sin(turn) + down * np.cos(turn)
    body = _within(radius - np.hypot(u, v * rng.uniform(1.2, 2)), 0.4)
    fat = np.exp(-(((u - 0.35 * radius) / (0.5 * radius)) ** 2) - (v / (0.35 * radius)) ** 2)
    node: Floats = rng.uniform(0.08, 0.2) * body * (1 - rng.uniform(0.3, 1) * fat)
    return node


def dense_gland(rng: np.random.Generator, anatomy: Anatomy) -> Floats:
    """Draw gland that fills the breast, or its front, up to a rim of fat under the skin.

    It is one bright area with soft borders, as in the densest breasts (BI-RADS d), especially on film. It is larger
    than any mass, and not a lesion.

    Returns
    -------
    signal
        Attenuation to add to that of the anatomy.
    """
    shape = anatomy.signal.shape
    wave = PowerLaw(3.4, cutoff_per_mm=0.012).draw(rng, shape, COARSE_MM)
    cloud = PowerLaw(3.6, cutoff_per_mm=0.01).draw(rng, shape, COARSE_MM)
    breast = anatomy.tissue > 0
    rows, columns = np.flatnonzero(breast.any(axis=1)), np.flatnonzero(breast.any(axis=0))
    middle = (rows[0] + rng.uniform(0.45, 0.65) * (rows[-1] - rows[0])) * COARSE_MM
    back = rng.uniform(-20, 0.5 * columns[-1] * COARSE_MM)
    down, right = offsets(shape, (back, middle))
    extent = _within(anatomy.depth_mm + rng.uniform(3, 9) * wave - rng.uniform(9, 26), rng.uniform(2.5, 7))
    extent = extent * _within(rng.uniform(14, 60) - np.abs(down), rng.uniform(4, 10))
    extent = extent * _within(right, rng.uniform(3, 8))
    gland: Floats = (rng.uniform(0.12, 0.45) * extent * (1 + 0.12 * cloud) * anatomy.tissue).astype(np.float32)
    return gland


def _within(distance_mm: NDArray[np.floating], soft_mm: float) -> Floats:
    """Return 1 well inside a border and 0 outside, with a soft transition in between."""
    inside: Floats = (1 / (1 + np.exp(np.clip(-distance_mm / soft_mm, -40, 40)))).astype(np.float32)
    return inside
