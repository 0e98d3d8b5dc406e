"""Masses and calcification clusters: their properties, and how they are drawn over the tissue.

They follow the signs that radiologists look for (BI-RADS). Benign masses are oval, round or lobulated, and
circumscribed; malignant masses are irregular, spiculated or indistinct. Benign calcifications are few, coarse and
round; malignant ones are many, fine, of various shapes, and often aligned with the ducts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import spatial

from ftmtl.findings import Box, FindingType, LesionMask
from ftmtl.phantom.anatomy import Anatomy
from ftmtl.phantom.fields import COARSE_MM, Floats, PowerLaw, bounds, offsets, resize


@dataclass(frozen=True)
class LesionSpec:
    """A lesion before it is drawn.

    Attributes
    ----------
    type
        Mass or calcification cluster.
    malignant
        If True, the mass is irregular and may be spiculated, the cluster pleomorphic; otherwise the mass is smooth and
        oval, the calcifications are round.
    radius_mm
        Mean radius of the mass or of the cluster.
    contrast
        Peak signal that the lesion adds; 1 is the whole display range.
    seed
        Seed of the lesion's shape.
    """

    type: FindingType
    malignant: bool
    radius_mm: float
    contrast: float
    seed: int


@dataclass(frozen=True)
class Truth:
    """A lesion as drawn: mask and box in pixels of the stored image (column, row; half-open)."""

    type: FindingType
    malignant: bool
    mask: LesionMask

    @property
    def box(self) -> Box:
        """Tight bounding box, ``(x0, y0, x1, y1)`` in stored pixels, half-open."""
        height, width = self.mask.pixels.shape
        return (self.mask.column, self.mask.row, self.mask.column + width, self.mask.row + height)


def draw_lesions(rng: np.random.Generator, count: int | None = None) -> tuple[LesionSpec, ...]:
    """Choose the lesions of one breast at random: none, one or two, with three masses for each cluster on average.

    Parameters
    ----------
    count
        Number of lesions; by default it is random.
    """
    if count is None:
        count = int(rng.choice([0, 1, 2], p=[0.35, 0.5, 0.15]))
    return tuple(_draw_lesion(rng) for _ in range(count))


def _draw_lesion(rng: np.random.Generator) -> LesionSpec:
    malignant = bool(rng.random() < 0.5)
    seed = int(rng.integers(2**31))
    if rng.random() < 0.25:
        return LesionSpec(FindingType.CALCIFICATION, malignant, rng.uniform(5, 11), rng.uniform(0.45, 0.9), seed)
    radius = float(np.clip(rng.lognormal(np.log(8.0), 0.42), 4.0, 24.0))
    return LesionSpec(FindingType.MASS, malignant, radius, rng.uniform(0.10, 0.28), seed)


def place_lesion(
    rng: np.random.Generator, spec: LesionSpec, anatomy: Anatomy, signal: Floats, spacing_mm: float
) -> Truth | None:
    """Draw one lesion onto ``signal`` in place; return None if the breast has no room for it."""
    room = anatomy.allowed & (anatomy.depth_mm > 0.8 * spec.radius_mm + 3)
    rows, columns = np.nonzero(room)
    if not len(rows):
        return None
    pick = int(rng.integers(len(rows)))
    centre = (float(columns[pick] + 0.5) * COARSE_MM, float(rows[pick] + 0.5) * COARSE_MM)
    anatomy.allowed[np.hypot(*offsets(anatomy.allowed.shape, centre)) < spec.radius_mm + 16] = False
    shape_rng = np.random.default_rng([spec.seed, round(rng.uniform(0, 2**31))])
    draw = _mass if spec.type is FindingType.MASS else _cluster
    window, added, mask = draw(shape_rng, spec, centre, spacing_mm, signal.shape)
    signal[window] += added
    if not mask.any():
        return None
    c0, r0, c1, r1 = bounds(mask)
    placed = LesionMask(mask[r0:r1, c0:c1].copy(), window[1].start + c0, window[0].start + r0)
    return Truth(spec.type, spec.malignant, placed)


Drawn = tuple[tuple[slice, slice], Floats, NDArray[np.bool_]]


def _window(
    centre: tuple[float, float], reach_mm: float, h: float, shape: Sequence[int]
) -> tuple[tuple[slice, slice], Floats, Floats]:
    """Return the part of the image within reach of a point, and the coordinates of its pixels relative to the point."""
    c0, c1 = max(0, int((centre[0] - reach_mm) / h)), min(shape[1], int((centre[0] + reach_mm) / h) + 1)
    r0, r1 = max(0, int((centre[1] - reach_mm) / h)), min(shape[0], int((centre[1] + reach_mm) / h) + 1)
    x = (np.arange(c0, c1, dtype=np.float32)[None, :] + 0.5) * h - centre[0]
    y = (np.arange(r0, r1, dtype=np.float32)[:, None] + 0.5) * h - centre[1]
    return (slice(r0, r1), slice(c0, c1)), x, y


def _mass(
    rng: np.random.Generator, spec: LesionSpec, centre: tuple[float, float], h: float, shape: Sequence[int]
) -> Drawn:
    """Draw a mass as the projection of a sphere; its mask ends where the border is half as bright as the inside."""
    window, x, y = _window(centre, spec.radius_mm * (3.4 if spec.malignant else 1.8), h, shape)
    turn = rng.uniform(0, np.pi)
    aspect = rng.uniform(0.6, 1.0)
    u = (x * np.cos(turn) + y * np.sin(turn)) * np.sqrt(aspect)
    v = (-x * np.sin(turn) + y * np.cos(turn)) / np.sqrt(aspect)
    angle = np.arctan2(v, u)
    spiculated = spec.malignant and rng.random() < 0.7
    if spec.malignant:
        orders, strength = range(2, 11), rng.uniform(0.05, 0.12)
        margin = rng.uniform(0.12, 0.6)
    else:
        orders, strength = range(2, 5), rng.uniform(0.02, 0.09)
        margin = rng.uniform(0.04, 0.3)
    waves = (rng.normal(0, strength) / (k / 3) ** 0.5 * np.cos(k * angle + rng.uniform(0, 6.3)) for k in orders)
    radius = np.hypot(u, v) / (spec.radius_mm * np.clip(1 + sum(waves), 0.4, 1.8))
    body = np.sqrt(np.clip(1.3 - radius**2, 0.05, None)) / (1 + np.exp(np.clip((radius - 1) / (margin / 3), -40, 40)))
    added = spec.contrast * body * (1 + rng.uniform(0, 0.15) * _mottle(rng, body.shape, h))
    if spiculated:
        added = np.maximum(added, spec.contrast * _spicules(rng, spec.radius_mm, x, y))
    elif not spec.malignant and rng.random() < 0.4:
        added = added - 0.03 * np.exp(-(((radius - 1.12) / 0.07) ** 2))
    return window, added.astype(np.float32), radius <= 1


def _mottle(rng: np.random.Generator, shape: tuple[int, ...], h: float) -> Floats:
    """Draw the texture inside a mass."""
    coarse = (max(4, round(shape[0] * h / COARSE_MM)), max(4, round(shape[1] * h / COARSE_MM)))
    return resize(PowerLaw(2.8, cutoff_per_mm=0.05).draw(rng, coarse, COARSE_MM), (shape[0], shape[1]))


def _spicules(rng: np.random.Generator, radius_mm: float, x: Floats, y: Floats) -> Floats:
    """Draw tapering, slightly bent strands that radiate from a mass."""
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    distance = np.hypot(x, y)
    angle = np.arctan2(y, x)
    for direction in np.linspace(0, 2 * np.pi, int(rng.integers(7, 22)), endpoint=False):
        length = radius_mm * rng.uniform(1.4, 3.0)
        bent = angle - direction - rng.normal(0, 0.12) - rng.normal(0, 0.02) * (distance - radius_mm)
        across = np.sin(bent) * distance
        taper = np.clip(1 - distance / length, 0, 1)
        width = 0.3 + (0.5 + 0.03 * radius_mm) * taper
        strand = np.exp(-((across / width) ** 2)) * taper**0.6 * (np.cos(bent) > 0)
        total = np.maximum(total, strand * rng.uniform(0.3, 0.9))
    return total


def _cluster(
    rng: np.random.Generator, spec: LesionSpec, centre: tuple[float, float], h: float, shape: Sequence[int]
) -> Drawn:
    window, x, y = _window(centre, spec.radius_mm * 1.3 + 3, h, shape)
    added = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    count = int(rng.integers(10, 36) if spec.malignant else rng.integers(4, 13))
    points: NDArray[np.floating] = rng.normal(0, spec.radius_mm * 0.45, (count, 2))
    points *= np.minimum(1, spec.radius_mm / np.maximum(np.hypot(*points.T), 1e-6))[:, None]
    course = rng.uniform(0, np.pi)
    if spec.malignant:
        points = _along(points, course, rng.uniform(0.3, 1.0))
    for px, py in points:
        size = rng.uniform(0.12, 0.34) if spec.malignant else rng.uniform(0.22, 0.55)
        stretch = rng.uniform(1.0, 4.0) if spec.malignant else rng.uniform(1.0, 1.5)
        turn = course + rng.normal(0, 0.5)
        su, sv = np.hypot(size * stretch, h / 3), np.hypot(size / np.sqrt(stretch), h / 3)
        u, v = (x - px) * np.cos(turn) + (y - py) * np.sin(turn), -(x - px) * np.sin(turn) + (y - py) * np.cos(turn)
        peak = spec.contrast * rng.uniform(0.5, 1.0) * (size * stretch * size / np.sqrt(stretch)) / (su * sv)
        added += peak * np.exp(-((u / su) ** 2 + (v / sv) ** 2) / 2)
    return window, added, _hull(points, x, y)


def _along(points: NDArray[np.floating], course: float, breadth: float) -> NDArray[np.floating]:
    """Move points towards a line through the centre, as calcifications lie in ducts."""
    way = np.array([np.cos(course), np.sin(course)])
    lengthwise = points @ way
    across = points - lengthwise[:, None] * way
    return np.asarray(lengthwise[:, None] * way + breadth * across)


def _hull(points: NDArray[np.floating], x: Floats, y: Floats, margin_mm: float = 1.0) -> NDArray[np.bool_]:
    """Return the mask of the convex hull of points and a margin around it."""
    equations = spatial.ConvexHull(points).equations
    inside = np.ones(np.broadcast_shapes(x.shape, y.shape), dtype=bool)
    for a, b, c in equations:
        inside &= a * x + b * y + c <= margin_mm
    return inside
