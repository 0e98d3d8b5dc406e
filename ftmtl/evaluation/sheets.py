"""Picture sheets of an evaluation: crops around hits, misses and false positives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ftmtl.datasets.annotated import AnnotatedImage
from ftmtl.evaluation.cases import FindingCase, ImageCase
from ftmtl.evaluation.figures import hits, matches, natural_rule
from ftmtl.evaluation.hits import assign, iou
from ftmtl.findings import Box, Finding, LesionMask, StudyResult
from ftmtl.mammogram.load import Mammogram
from ftmtl.overlay import sheet

Predict = Callable[[str, Sequence[Mammogram]], StudyResult]
SPOT_KINDS = ("hits", "misses", "false_positives")
_TRUTH, _FOUND = (90, 205, 250), (255, 176, 60)
_SIDE_MM, _SIDE_SHARE, _TILE_PX = 60.0, 0.25, 280


@dataclass(frozen=True)
class Spot:
    """A place to show on an image: a lesion (by its number in the image), a finding, or both."""

    case: ImageCase
    lesion: int | None
    finding: FindingCase | None

    @property
    def label(self) -> str:
        """Caption with the truth and the finding."""
        words = []
        if self.lesion is not None:
            lesion = self.case.lesions[self.lesion]
            pathology = {True: "malignant ", False: "benign ", None: ""}[lesion.malignant]
            words.append(f"true: {pathology}{lesion.type.value.replace('_', ' ')}")
        if self.finding is not None:
            found = self.finding
            words.append(f"lesion {found.lesion_score:.2f}  malignant {found.malignancy_score:.2f}")
            if self.lesion is not None and self.case.lesions[self.lesion].outlined:
                words[-1] += f"  Dice {found.closeness['dice'][self.lesion]:.2f}"
        return "\n".join(words)


def threshold_at(cases: Sequence[ImageCase], rate: float = 1.0) -> float:
    """Return the lowest lesion score with at most `rate` false positives per image, by the natural hit rule.

    Raises
    ------
    EvaluationError
        If there are no lesions.
    """
    curve = matches(cases, natural_rule(cases)).froc()
    allowed = curve.thresholds[curve.false_positives <= rate]
    return float(allowed[-1]) if len(allowed) else float("inf")


def spots(cases: Sequence[ImageCase], threshold: float, most: int = 8) -> dict[str, list[Spot]]:
    """Choose the spots to show for each of `SPOT_KINDS`; findings below the threshold do not count.

    Hits and misses are evenly spaced selections, hits in descending order of lesion score. False positives are
    those of the highest score.
    """
    found: dict[str, list[Spot]] = {kind: [] for kind in SPOT_KINDS}
    rule = natural_rule(cases)
    for case in cases:
        for number, on_it in enumerate(hits(case, rule)):
            hit = bool(on_it) and on_it[0].lesion_score >= threshold
            found["hits" if hit else "misses"].append(Spot(case, number, on_it[0] if on_it else None))
        owners = assign(case.closeness(rule))
        for finding, owner in zip(case.findings, owners, strict=True):
            if owner < 0 and finding.lesion_score >= threshold:
                found["false_positives"].append(Spot(case, None, finding))
    for kind in ("hits", "false_positives"):
        found[kind].sort(key=lambda spot: -spot.finding.lesion_score if spot.finding else 0.0)
    return {kind: _spread(every, most) if kind != "false_positives" else every[:most] for kind, every in found.items()}


def _spread(every: Sequence[Spot], most: int) -> list[Spot]:
    if len(every) <= most:
        return list(every)
    return [every[i] for i in np.linspace(0, len(every) - 1, most).round().astype(int)]


def sheets(
    chosen: Mapping[str, Sequence[Spot]],
    images: Sequence[AnnotatedImage],
    predict: Predict | None = None,
) -> dict[str, Image.Image]:
    """Draw a sheet for each kind that has spots.

    Parameters
    ----------
    images
        Images, including those of the spots, which are loaded once. Spots whose image is missing are omitted.
    predict
        The predictor's ``predict``, to compute the outlines of findings again; without it, their boxes are drawn.

    Raises
    ------
    DatasetError
        If an image cannot be read.
    """
    wanted = {spot.case.image_id for group in chosen.values() for spot in group}
    tiles: dict[tuple[str, int], Image.Image] = {}
    for image in images:
        if image.image_id not in wanted:
            continue
        mammogram, lesions = image.load()
        truths = [_Shape(lesion.box, lesion.mask) for lesion in lesions]
        found = predict(image.image_id, [mammogram]).images[0].findings if predict else ()
        for kind, group in chosen.items():
            for number, spot in enumerate(group):
                if spot.case.image_id == image.image_id:
                    tiles[kind, number] = _tile(spot, mammogram, truths, found)
    drawn = {kind: [tiles[kind, i] for i in range(len(group)) if (kind, i) in tiles] for kind, group in chosen.items()}
    return {kind: sheet(group, title=kind.replace("_", " ")) for kind, group in drawn.items() if group}


class _Shape(NamedTuple):
    """The shape of a lesion or finding in stored pixels: its box, and its outline if that is known."""

    box: Box
    mask: LesionMask | None


def _tile(spot: Spot, mammogram: Mammogram, truths: Sequence[_Shape], found: Sequence[Finding]) -> Image.Image:
    finding = spot.finding
    box = finding.box if finding is not None else (0.0, 0.0, 1.0, 1.0)
    window = _window(mammogram, mammogram.box_from_source(box if spot.lesion is None else truths[spot.lesion].box))
    grey = np.uint8(np.clip(_crop(mammogram.pixels, window), 0, 1) * 255)
    picture = Image.fromarray(grey).resize((_TILE_PX, _TILE_PX), Image.Resampling.BICUBIC).convert("RGB")
    for truth in truths:
        _draw(picture, mammogram, window, truth, _TRUTH)
    if finding is not None:
        again = max(found, key=lambda other: iou(other.box, box), default=None)
        same = again is not None and iou(again.box, box) > 0.9
        shape = _Shape(box, again.mask if again is not None and same else None)
        _draw(picture, mammogram, window, shape, _FOUND)
    return _captioned(picture, spot, window, mammogram)


def _window(mammogram: Mammogram, box: Box) -> tuple[int, int, int]:
    """Return column, row and side, in canonical pixels, of a square around a box.

    Its side is 60 mm, or a quarter of the image if the spacing is unknown, or more if the lesion would not fit.
    """
    spacing = mammogram.canonical_spacing_mm
    side = _SIDE_MM / spacing[0] if spacing else _SIDE_SHARE * max(mammogram.rows, mammogram.columns)
    side = max(side, 1.3 * max(box[2] - box[0], box[3] - box[1]))
    return round((box[0] + box[2] - side) / 2), round((box[1] + box[3] - side) / 2), max(8, round(side))


def _crop(pixels: NDArray[np.float32], window: tuple[int, int, int]) -> NDArray[np.float32]:
    """Crop a square, padded with black outside the image."""
    left, top, side = window
    height, width = pixels.shape
    crop = np.zeros((side, side), dtype=np.float32)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
    if x1 > x0 and y1 > y0:
        crop[y0 - top : y1 - top, x0 - left : x1 - left] = pixels[y0:y1, x0:x1]
    return crop


def _draw(
    picture: Image.Image,
    mammogram: Mammogram,
    window: tuple[int, int, int],
    shape: _Shape,
    colour: tuple[int, int, int],
) -> None:
    """Draw an outline, or the box if the outline is unknown."""
    left, top, side = window
    scale = _TILE_PX / side
    if shape.mask is None:
        x0, y0, x1, y1 = mammogram.box_from_source(shape.box)
        edges = ((x0 - left) * scale, (y0 - top) * scale, (x1 - left) * scale, (y1 - top) * scale)
        ImageDraw.Draw(picture).rectangle(edges, outline=colour, width=2)
        return
    turned = mammogram.orientation.apply(shape.mask.paste(mammogram.rows, mammogram.columns))
    piece = _crop(turned.astype(np.float32), window)
    small = np.asarray(Image.fromarray(piece).resize(picture.size, Image.Resampling.BILINEAR)) > 0.5
    edge = ndimage.binary_dilation(small) & ~ndimage.binary_erosion(small)
    picture.paste(colour, mask=Image.fromarray(np.uint8(edge) * 255))


def _captioned(picture: Image.Image, spot: Spot, window: tuple[int, int, int], mammogram: Mammogram) -> Image.Image:
    tile = Image.new("RGB", (_TILE_PX, _TILE_PX + 54), (24, 24, 24))
    tile.paste(picture, (0, 0))
    pen, font = ImageDraw.Draw(tile), ImageFont.load_default(12)
    spacing = mammogram.canonical_spacing_mm
    size = f"{window[2] * spacing[0]:.0f} mm" if spacing else f"{window[2]} px"
    name = spot.case.image_id if len(spot.case.image_id) <= 32 else f"…{spot.case.image_id[-31:]}"
    pen.text((2, _TILE_PX + 3), f"{name}  ({size})\n{spot.label}", fill=(225, 225, 225), font=font, spacing=3)
    return tile
