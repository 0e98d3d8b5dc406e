"""Synthetic mammograms with exact truth.

A phantom is drawn in millimetres on an 18 cm × 24 cm field, chest wall at the left, and then
sampled at any pixel spacing: one seed is one breast, whatever the spacing. Fibroglandular tissue
follows a power-law spectrum (Burgess 2001: beta about 3), Cooper's ligaments are ridges of
band-limited noise, vessels are smooth curves; masses and calcification clusters are added as
attenuation, so that dense tissue hides them as it does in a patient. The values look like a
processed (For Presentation) image: bright tissue on a black background, 12 bits.

No phantom is a patient, and what a model learns from them is for research only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import fft, ndimage, spatial

from ftmtl.findings import Box, FindingType, LesionMask

FIELD_MM = (240.0, 180.0)
"""Height and width of the image receptor's field."""
MAX_VALUE = 4095
_ANATOMY_SPACING_MM = 0.4

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LesionSpec:
    """A lesion before it is drawn.

    Attributes
    ----------
    type
        Mass or calcification cluster.
    malignant
        Irregular and spiculated, or pleomorphic, if True; smooth and oval, or round, if not.
    radius_mm
        Mean radius of the mass, or of the cluster.
    contrast
        Peak signal added by the lesion, where 1 is the whole display range.
    seed
        Seed of the lesion's own shape.
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


@dataclass(frozen=True)
class Phantom:
    """A synthetic mammogram.

    Attributes
    ----------
    pixels
        uint16, shape (rows, columns), 0..4095, as stored: right breasts have the chest wall at the right.
    lesions
        The truth, in stored pixels.
    breast
        Bounding box of the breast, in stored pixels.
    """

    seed: int
    laterality: str
    view: str
    spacing_mm: float
    pixels: NDArray[np.uint16]
    lesions: tuple[Truth, ...]
    breast: Box


@dataclass(frozen=True)
class _Anatomy:
    """Maps on the coarse grid (0.4 mm): signal of the tissue, and where a lesion may lie."""

    signal: Floats
    tissue: Floats
    depth_mm: Floats
    allowed: NDArray[np.bool_]


def draw_lesions(rng: np.random.Generator, count: int | None = None) -> tuple[LesionSpec, ...]:
    """Draw the lesions of one breast: none, one or two, three masses to one cluster.

    Parameters
    ----------
    count
        How many; drawn as well if None.
    """
    if count is None:
        count = int(rng.choice([0, 1, 2], p=[0.35, 0.5, 0.15]))
    return tuple(_draw_lesion(rng) for _ in range(count))


def _draw_lesion(rng: np.random.Generator) -> LesionSpec:
    malignant = bool(rng.random() < 0.5)
    seed = int(rng.integers(2**31))
    if rng.random() < 0.25:
        return LesionSpec(FindingType.CALCIFICATION, malignant, rng.uniform(4, 10), rng.uniform(0.5, 1.0), seed)
    radius = float(np.clip(rng.lognormal(np.log(6.5), 0.35), 3.0, 14.0))
    return LesionSpec(FindingType.MASS, malignant, radius, rng.uniform(0.22, 0.42), seed)


def make_phantom(
    seed: int,
    *,
    laterality: str = "L",
    view: str = "CC",
    spacing_mm: float = 0.1,
    lesions: Sequence[LesionSpec] | None = None,
    marker: bool = True,
) -> Phantom:
    """Draw one view of one breast.

    Parameters
    ----------
    seed
        The patient; both breasts and all views of one seed belong together.
    laterality, view
        ``L`` or ``R``; ``CC`` or ``MLO``.
    spacing_mm
        Pixel spacing of the result; the rows and columns are the field over it.
    lesions
        What to draw; by default what `draw_lesions` says for this breast.
    marker
        Whether the side and view are burned in at the image's edge, as most detectors do.

    Raises
    ------
    ValueError
        If laterality or view is not one of the above.
    """
    if laterality not in ("L", "R") or view not in ("CC", "MLO"):
        raise ValueError(f"a phantom has laterality L or R and view CC or MLO, not {laterality!r} and {view!r}")
    side = "LR".index(laterality)
    if lesions is None:
        lesions = draw_lesions(np.random.default_rng([seed, side]))
    # A generator for each step: how much noise a fine image needs must not move the lesions that follow.
    streams = np.random.default_rng([seed, side, ("CC", "MLO").index(view)]).spawn(4)
    anatomy = _draw_anatomy(streams[0], view)
    shape = (round(FIELD_MM[0] / spacing_mm), round(FIELD_MM[1] / spacing_mm))
    signal = _resize(anatomy.signal, shape)
    tissue = _resize(anatomy.tissue, shape)
    signal += 0.035 * power_law(streams[1], shape, spacing_mm, beta=2.6, cutoff_per_mm=0.05) * tissue
    truths = []
    for spec in lesions:
        drawn = _place_lesion(streams[2], spec, anatomy, signal, spacing_mm)
        if drawn is not None:
            truths.append(drawn)
    signal = _detect(streams[3], signal, tissue, spacing_mm)
    pixels = np.round(np.clip(signal, 0, 1) * MAX_VALUE).astype(np.uint16)
    breast = _bounds(tissue > 0)
    if laterality == "R":
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        truths = [_mirror(truth, shape[1]) for truth in truths]
        breast = (shape[1] - breast[2], breast[1], shape[1] - breast[0], breast[3])
    if marker:
        _burn_marker(pixels, laterality, view, spacing_mm)
    return Phantom(seed, laterality, view, spacing_mm, pixels, tuple(truths), breast)


def power_law(
    rng: np.random.Generator, shape: tuple[int, int], spacing_mm: float, *, beta: float, cutoff_per_mm: float = 0.01
) -> Floats:
    """Gaussian noise with power spectrum 1 / f**beta above a cut-off, mean 0 and standard deviation 1.

    Parameters
    ----------
    shape
        (rows, columns) of the result.
    cutoff_per_mm
        Spatial frequency in cycles/mm under which the spectrum is flat.
    """
    spectrum = fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    fy = fft.fftfreq(shape[0], spacing_mm).astype(np.float32)[:, None]
    fx = fft.rfftfreq(shape[1], spacing_mm).astype(np.float32)[None, :]
    spectrum *= (fy**2 + fx**2 + np.float32(cutoff_per_mm**2)) ** np.float32(-beta / 4)
    spectrum[0, 0] = 0
    field: Floats = fft.irfft2(spectrum, s=shape).astype(np.float32)
    return field / (field.std() + 1e-12)


def _draw_anatomy(rng: np.random.Generator, view: str) -> _Anatomy:
    h = _ANATOMY_SPACING_MM
    shape = (round(FIELD_MM[0] / h), round(FIELD_MM[1] / h))
    y = (np.arange(shape[0], dtype=np.float32)[:, None] + 0.5) * h
    x = (np.arange(shape[1], dtype=np.float32)[None, :] + 0.5) * h
    outline, nipple = _outline(rng, view)
    edge = outline(y)
    breast = x < edge
    breast |= (x - nipple[0]) ** 2 + (y - nipple[1]) ** 2 < rng.uniform(3.5, 5.5) ** 2
    depth = ndimage.distance_transform_edt(np.pad(breast, ((0, 0), (1, 0)), mode="edge"))[:, 1:].astype(np.float32) * h
    rim = rng.uniform(14, 30)
    thickness = np.sqrt(np.clip(1 - (1 - np.clip(depth / rim, 0, 1)) ** 2, 0, 1))
    gland = _gland(rng, shape, x, y, nipple)
    ligaments = _ligaments(rng, shape, h)
    vessels = _vessels(rng, shape, h, nipple)
    signal = 0.22 * thickness**0.4
    signal += gland * thickness * rng.uniform(0.28, 0.42)
    signal += (0.10 * ligaments * (0.35 + 0.65 * gland) + vessels) * thickness
    signal += 0.05 * np.exp(-(((depth - 0.8) / 0.8) ** 2)) * breast
    muscle = np.zeros(shape, dtype=bool)
    if view == "MLO":
        muscle, strength = _pectoral(rng, shape, x, y, h)
        signal += strength * thickness
    signal = np.where(breast, signal, 0).astype(np.float32)
    allowed = breast & (depth > 9) & ~ndimage.binary_dilation(muscle, iterations=round(4 / h)) & (x > 8) & (y > 12)
    allowed &= y < FIELD_MM[0] - 12
    return _Anatomy(signal, thickness.astype(np.float32), depth, allowed)


def _outline(
    rng: np.random.Generator, view: str
) -> tuple[Callable[[Floats], NDArray[np.floating]], tuple[float, float]]:
    """The skin line as x(y) in mm, and where the nipple sits on it."""
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
        return edge * (1 + wave * np.sin(y / 14 + phase))

    nipple_y = middle + rng.uniform(-6, 6)
    nipple_x = float(outline(np.array([[nipple_y]], dtype=np.float32))[0, 0])
    return outline, (nipple_x - 1.0, float(nipple_y))


def _gland(
    rng: np.random.Generator, shape: tuple[int, int], x: Floats, y: Floats, nipple: tuple[float, float]
) -> Floats:
    """Fibroglandular fraction, 0..1: a power-law texture under an envelope behind the nipple."""
    density = rng.uniform(-1.1, 0.9)
    centre_x, spread_x = nipple[0] * rng.uniform(0.45, 0.62), nipple[0] * rng.uniform(0.26, 0.36)
    centre_y, spread_y = nipple[1] + rng.uniform(-14, 6), nipple[0] * rng.uniform(0.30, 0.45)
    envelope = np.exp(-(((x - centre_x) / spread_x) ** 2 + ((y - centre_y) / spread_y) ** 2) / 2)
    texture = power_law(rng, shape, _ANATOMY_SPACING_MM, beta=3.1, cutoff_per_mm=0.015)
    patches = 1 / (1 + np.exp(-(3.0 * envelope - 2.0 + density + 0.9 * texture) / 0.45))
    grain = power_law(rng, shape, _ANATOMY_SPACING_MM, beta=2.8, cutoff_per_mm=0.04)
    gland: Floats = np.clip(patches * (0.75 + 0.22 * grain), 0, 1.4).astype(np.float32)
    return gland


def _ligaments(rng: np.random.Generator, shape: tuple[int, int], h: float) -> Floats:
    """Curvilinear strands: the zero crossings of band-limited noise, stronger here and weaker there."""
    carrier = power_law(rng, shape, h, beta=3.6, cutoff_per_mm=0.06)
    strength = np.clip(power_law(rng, shape, h, beta=3.0, cutoff_per_mm=0.02) * 0.5 + 0.5, 0, 1.3)
    gy, gx = np.gradient(carrier, h)
    distance_mm = np.abs(carrier) / (np.hypot(gx, gy) + 0.05)
    strands: Floats = (np.exp(-((distance_mm / 0.55) ** 2)) * strength).astype(np.float32)
    return strands


def _vessels(rng: np.random.Generator, shape: tuple[int, int], h: float, nipple: tuple[float, float]) -> Floats:
    """Two to six smooth tubes from the chest wall towards the nipple."""
    total = np.zeros(shape, dtype=np.float32)
    for _ in range(int(rng.integers(2, 7))):
        start = np.array([0.0, nipple[1] + rng.uniform(-70, 70)])
        stop = np.array([nipple[0] * rng.uniform(0.5, 0.95), nipple[1] + rng.uniform(-35, 35)])
        t = np.linspace(0, 1, 80)
        bend = sum(rng.normal(0, 9 / k) * np.sin(k * np.pi * t) for k in (1, 2, 3, 5))
        way = stop - start
        normal = np.array([-way[1], way[0]]) / np.hypot(*way)
        points = (start + t[:, None] * way + np.asarray(bend)[:, None] * normal) / h
        canvas = Image.new("F", (shape[1], shape[0]))
        width_mm = rng.uniform(0.9, 2.4)
        ImageDraw.Draw(canvas).line([tuple(p) for p in points], fill=1.0, width=max(1, round(width_mm / h)))
        total += ndimage.gaussian_filter(np.asarray(canvas, dtype=np.float32), 0.9) * rng.uniform(0.04, 0.11)
    return total


def _pectoral(
    rng: np.random.Generator, shape: tuple[int, int], x: Floats, y: Floats, h: float
) -> tuple[NDArray[np.bool_], Floats]:
    """The pectoral muscle of an MLO: a slightly bowed wedge in the upper corner of the chest wall."""
    top, bottom, bow = rng.uniform(28, 58), rng.uniform(85, 165), rng.uniform(-4, 7)
    t = np.clip(y / bottom, 0, 1)
    border = top * (1 - t) + bow * np.sin(np.pi * t)
    inside = (x < border) & (y < bottom)
    soft = ndimage.gaussian_filter(inside.astype(np.float32), 1.2 / h)
    texture = power_law(rng, shape, h, beta=2.6, cutoff_per_mm=0.03)
    strength: Floats = (soft * rng.uniform(0.22, 0.38) * (1 + 0.10 * texture)).astype(np.float32)
    return inside, strength


def _place_lesion(
    rng: np.random.Generator, spec: LesionSpec, anatomy: _Anatomy, signal: Floats, spacing_mm: float
) -> Truth | None:
    """Draw one lesion onto ``signal`` in place; None if the breast has no room for it."""
    room = anatomy.allowed & (anatomy.depth_mm > 0.8 * spec.radius_mm + 3)
    rows, columns = np.nonzero(room)
    if not len(rows):
        return None
    pick = int(rng.integers(len(rows)))
    centre = (float(columns[pick] + 0.5) * _ANATOMY_SPACING_MM, float(rows[pick] + 0.5) * _ANATOMY_SPACING_MM)
    anatomy.allowed[np.hypot(*_offsets(anatomy.allowed.shape, centre)) < spec.radius_mm + 16] = False
    shape_rng = np.random.default_rng([spec.seed, round(rng.uniform(0, 2**31))])
    draw = _mass if spec.type is FindingType.MASS else _cluster
    window, added, mask = draw(shape_rng, spec, centre, spacing_mm, signal.shape)
    signal[window] += added
    if not mask.any():
        return None
    c0, r0, c1, r1 = _bounds(mask)
    placed = LesionMask(mask[r0:r1, c0:c1].copy(), window[1].start + c0, window[0].start + r0)
    return Truth(spec.type, spec.malignant, placed)


Drawn = tuple[tuple[slice, slice], Floats, NDArray[np.bool_]]


def _offsets(shape: Sequence[int], centre: tuple[float, float]) -> tuple[Floats, Floats]:
    h = _ANATOMY_SPACING_MM
    y = (np.arange(shape[0], dtype=np.float32)[:, None] + 0.5) * h - centre[1]
    x = (np.arange(shape[1], dtype=np.float32)[None, :] + 0.5) * h - centre[0]
    return np.broadcast_to(y, tuple(shape)), np.broadcast_to(x, tuple(shape))


def _window(
    centre: tuple[float, float], reach_mm: float, h: float, shape: Sequence[int]
) -> tuple[tuple[slice, slice], Floats, Floats]:
    """The part of the image within reach of a point, and its coordinates relative to it, in mm."""
    c0, c1 = max(0, int((centre[0] - reach_mm) / h)), min(shape[1], int((centre[0] + reach_mm) / h) + 1)
    r0, r1 = max(0, int((centre[1] - reach_mm) / h)), min(shape[0], int((centre[1] + reach_mm) / h) + 1)
    x = (np.arange(c0, c1, dtype=np.float32)[None, :] + 0.5) * h - centre[0]
    y = (np.arange(r0, r1, dtype=np.float32)[:, None] + 0.5) * h - centre[1]
    return (slice(r0, r1), slice(c0, c1)), x, y


def _mass(
    rng: np.random.Generator, spec: LesionSpec, centre: tuple[float, float], h: float, shape: Sequence[int]
) -> Drawn:
    reach = spec.radius_mm * (3.2 if spec.malignant else 1.8)
    window, x, y = _window(centre, reach, h, shape)
    turn = rng.uniform(0, np.pi)
    aspect = rng.uniform(0.72, 1.0) if spec.malignant else rng.uniform(0.62, 0.98)
    u = (x * np.cos(turn) + y * np.sin(turn)) * np.sqrt(aspect)
    v = (-x * np.sin(turn) + y * np.cos(turn)) / np.sqrt(aspect)
    angle = np.arctan2(v, u)
    orders, strength = (range(3, 11), 0.075) if spec.malignant else (range(2, 4), 0.035)
    border = 1 + sum(rng.normal(0, strength) / (k / 3) ** 0.5 * np.cos(k * angle + rng.uniform(0, 6.3)) for k in orders)
    radius = np.hypot(u, v) / (spec.radius_mm * np.clip(border, 0.4, 1.8))
    margin = rng.uniform(0.10, 0.35) if spec.malignant else rng.uniform(0.04, 0.12)
    body = np.sqrt(np.clip(1.1 - radius**2, 0, None)) / (1 + np.exp(np.clip((radius - 1) / (margin / 2), -40, 40)))
    added = spec.contrast * body
    if spec.malignant and rng.random() < 0.8:
        added = np.maximum(added, spec.contrast * _spicules(rng, spec.radius_mm, x, y))
    elif not spec.malignant and rng.random() < 0.4:
        added = added - 0.03 * np.exp(-(((radius - 1.12) / 0.06) ** 2))
    return window, added.astype(np.float32), radius <= 1


def _spicules(rng: np.random.Generator, radius_mm: float, x: Floats, y: Floats) -> Floats:
    """Tapering, slightly bent strands that radiate from a mass."""
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    distance = np.hypot(x, y)
    angle = np.arctan2(y, x)
    for direction in np.linspace(0, 2 * np.pi, int(rng.integers(9, 22)), endpoint=False):
        length = radius_mm * rng.uniform(1.5, 2.9)
        bent = angle - direction - rng.normal(0, 0.12) - rng.normal(0, 0.02) * (distance - radius_mm)
        across = np.sin(bent) * distance
        taper = np.clip(1 - distance / length, 0, 1)
        width = 0.25 + 0.55 * taper
        strand = np.exp(-((across / width) ** 2)) * taper**0.6 * (np.cos(bent) > 0)
        total = np.maximum(total, strand * rng.uniform(0.45, 0.9))
    return total


def _cluster(
    rng: np.random.Generator, spec: LesionSpec, centre: tuple[float, float], h: float, shape: Sequence[int]
) -> Drawn:
    window, x, y = _window(centre, spec.radius_mm * 1.3 + 3, h, shape)
    added = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    count = int(rng.integers(10, 32) if spec.malignant else rng.integers(5, 14))
    points = rng.normal(0, spec.radius_mm * 0.45, (count, 2))
    points *= np.minimum(1, spec.radius_mm / np.maximum(np.hypot(*points.T), 1e-6))[:, None]
    for px, py in points:
        size = rng.uniform(0.10, 0.34) if spec.malignant else rng.uniform(0.22, 0.42)
        stretch = rng.uniform(1.0, 3.0) if spec.malignant else 1.0
        turn = rng.uniform(0, np.pi)
        su, sv = np.hypot(size * stretch, h / 3), np.hypot(size / np.sqrt(stretch), h / 3)
        u, v = (x - px) * np.cos(turn) + (y - py) * np.sin(turn), -(x - px) * np.sin(turn) + (y - py) * np.cos(turn)
        peak = spec.contrast * rng.uniform(0.5, 1.0) * (size * stretch * size / np.sqrt(stretch)) / (su * sv)
        added += peak * np.exp(-((u / su) ** 2 + (v / sv) ** 2) / 2)
    return window, added, _hull(points, x, y)


def _hull(points: NDArray[np.floating], x: Floats, y: Floats, margin_mm: float = 1.0) -> NDArray[np.bool_]:
    """Inside of the convex hull of points, and a margin about it."""
    equations = spatial.ConvexHull(points).equations
    inside = np.ones(np.broadcast_shapes(x.shape, y.shape), dtype=bool)
    for a, b, c in equations:
        inside &= a * x + b * y + c <= margin_mm
    return inside


def _detect(rng: np.random.Generator, signal: Floats, tissue: Floats, spacing_mm: float) -> Floats:
    """Blur and quantum noise of the detector (100 µm: 0.018 of the range), and the display curve."""
    blurred = ndimage.gaussian_filter(signal, 0.07 / spacing_mm)
    noise = rng.standard_normal(signal.shape, dtype=np.float32) * np.float32(0.018 * 0.1 / spacing_mm)
    lit = (blurred + noise * np.sqrt(0.3 + blurred)) * (tissue > 0)
    shown: Floats = np.where(lit < 0.75, lit, 0.75 + 0.25 * np.tanh((lit - 0.75) / 0.25)).astype(np.float32)
    return shown


def _bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _mirror(truth: Truth, columns: int) -> Truth:
    pixels = np.ascontiguousarray(truth.mask.pixels[:, ::-1])
    column = columns - truth.mask.column - pixels.shape[1]
    return replace(truth, mask=LesionMask(pixels, column, truth.mask.row))


def _burn_marker(pixels: NDArray[np.uint16], laterality: str, view: str, spacing_mm: float) -> None:
    """Write side and view into the corner away from the chest wall, in place."""
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


def _resize(field: Floats, shape: tuple[int, int]) -> Floats:
    image = Image.fromarray(field).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.array(image, dtype=np.float32)
