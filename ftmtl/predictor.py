"""Inference: mammograms in, a `StudyResult` out. The node, the commands and the evaluation all use it."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import spatial

from ftmtl.errors import WeightsError
from ftmtl.findings import Box, Finding, FindingType, ImageResult, LesionMask, ModelIdentity, Outcome, StudyResult
from ftmtl.mammogram.load import Mammogram
from ftmtl.network.heads.segmentation import MASK_RESOLUTION
from ftmtl.network.targets import Detections
from ftmtl.preprocess import BACKGROUND, fit, standardise
from ftmtl.weights import SHIPPED, load_weights

log = logging.getLogger(__name__)


class Predictor:
    """A loaded network that analyses mammograms.

    Parameters
    ----------
    weights
        A safetensors file; by default the shipped one.
    device
        ``cpu``, ``cuda``, ``cuda:1``; by default the GPU if there is one.
    threshold
        Lesion score from which a detection is reported; by default that of the weights.
    batch
        Images per forward pass; by default one on a CPU, where larger batches gain nothing, and eight on a GPU.
    precision
        ``fp32``, or ``bf16`` for mixed precision, which is faster on hardware that supports it.

    Raises
    ------
    WeightsError
        If the weights are missing or damaged, or the device is not available.
    """

    def __init__(
        self,
        weights: Path | None = None,
        *,
        device: str | None = None,
        threshold: float | None = None,
        batch: int | None = None,
        precision: Literal["fp32", "bf16"] = "fp32",
    ) -> None:
        network, card, digest = load_weights(weights or SHIPPED)
        self.device = _device(device)
        self.network = network.to(self.device)
        self.threshold = card.threshold if threshold is None else threshold
        self.batch = batch or (1 if self.device.type == "cpu" else 8)
        self.precision = precision
        settings = {"threshold": self.threshold, "input": self.network.config.input_size}
        settings |= {"device": self.device.type, "precision": precision}
        configuration = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        self.model = ModelIdentity(
            card.name,
            card.version,
            digest,
            configuration,
            manufacturer=card.manufacturer,
            looks_for=tuple(FindingType(kind) for kind in self.network.config.types),
            operating_points=card.operating_points,
            measured_on=card.measured_on,
        )
        log.info("model=%s version=%s device=%s", card.name, card.version, self.device)

    def predict(self, study_uid: str, mammograms: Sequence[Mammogram]) -> StudyResult:
        """Analyse the images of one study.

        Returns
        -------
        StudyResult
            One image result per mammogram, in the same order.
        """
        results: list[ImageResult] = []
        forward_seconds = 0.0
        for start in range(0, len(mammograms), self.batch):
            chosen = mammograms[start : start + self.batch]
            inputs, scales = self._inputs(chosen)
            started = time.perf_counter()
            with self._autocast():
                found = [d.to(torch.device("cpu")) for d in self.network.predict(inputs)]
            forward_seconds += time.perf_counter() - started
            results += map(self._describe, chosen, scales, found)
        return StudyResult(study_uid, self.model, tuple(results), forward_seconds)

    def examine(
        self, mammograms: Sequence[Mammogram], boxes: Sequence[Sequence[Box]]
    ) -> tuple[list[ImageResult], list[list[float]]]:
        """Analyse images and, in the same forward pass, classify lesions whose boxes are given.

        Parameters
        ----------
        boxes
            One sequence per image, in stored pixels, half-open.

        Returns
        -------
        results
            One per image, in the same order.
        malignancy
            One list per image, with the malignancy score of each given box.
        """
        results: list[ImageResult] = []
        malignancy: list[list[float]] = []
        for start in range(0, len(mammograms), self.batch):
            chosen, listed = mammograms[start : start + self.batch], boxes[start : start + self.batch]
            inputs, scales = self._inputs(chosen)
            given = [
                torch.tensor([m.box_from_source(b) for b in of], dtype=torch.float32).reshape(-1, 4) * scale
                for m, of, scale in zip(chosen, listed, scales, strict=True)
            ]
            with self._autocast():
                found, known = self.network.examine(inputs, [g.to(self.device) for g in given])
            results += map(self._describe, chosen, scales, [d.to(torch.device("cpu")) for d in found])
            malignancy += [d.malignancy.tolist() for d in known]
        return results, malignancy

    def _inputs(self, mammograms: Sequence[Mammogram]) -> tuple[torch.Tensor, list[float]]:
        """Return the network's input, shape (images, 1, height, width), and its pixels per pixel of each mammogram."""
        fitted = [fit(m.pixels, self.network.config.input_size) for m in mammograms]
        inputs = torch.from_numpy(np.stack([standardise(pixels) for pixels, _ in fitted]))[:, None]
        return inputs.to(self.device), [scale for _, scale in fitted]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _describe(self, mammogram: Mammogram, scale: float, detections: Detections) -> ImageResult:
        findings = []
        for i in range(len(detections.scores)):
            if float(detections.scores[i]) < self.threshold:
                break
            finding = _finding(mammogram, scale, detections, i, self.network.config.types)
            if finding is not None:
                findings.append(finding)
        return ImageResult(
            mammogram.acquisition.sop_instance_uid,
            mammogram.acquisition.laterality,
            mammogram.acquisition.view,
            Outcome.FINDINGS if findings else Outcome.NO_FINDINGS,
            findings=tuple(findings),
            spacing_mm=mammogram.spacing_mm,
            spacing_source=mammogram.spacing_source,
            notes=mammogram.notes,
            window=mammogram.window,
        )


def _finding(
    mammogram: Mammogram, scale: float, detections: Detections, i: int, kinds: Sequence[str]
) -> Finding | None:
    """Return detection ``i`` with box and mask in stored pixels, or None if most of it lies over air."""
    height, width = mammogram.pixels.shape
    x0, y0, x1, y1 = (detections.boxes[i] / scale).tolist()
    left, top = max(0, round(x0)), max(0, round(y0))
    right, bottom = min(width, round(x1)), min(height, round(y1))
    if right - left < 1 or bottom - top < 1:
        return None
    probability = Image.fromarray(detections.masks[i].numpy())
    box = (-x0 + left, -y0 + top, right - x0, bottom - y0)
    grid = (MASK_RESOLUTION / (x1 - x0), MASK_RESOLUTION / (y1 - y0))
    lesion = np.asarray(
        probability.transform(
            (right - left, bottom - top),
            Image.Transform.AFFINE,
            (grid[0], 0, box[0] * grid[0], 0, grid[1], box[1] * grid[1]),
            Image.Resampling.BILINEAR,
        )
    )
    piece = lesion >= min(0.5, float(lesion.max()))
    if np.median(mammogram.pixels[top:bottom, left:right][piece]) <= BACKGROUND:
        return None
    mask = LesionMask(*mammogram.mask_to_source(piece, left, top))
    by_pixel, _, _ = mammogram.mask_to_source(np.rint(lesion * 255).astype(np.uint8), left, top)
    types = detections.types[i]
    return Finding(
        box=mammogram.box_to_source((float(left), float(top), float(right), float(bottom))),
        mask=mask,
        lesion_score=round(float(detections.scores[i]), 6),
        malignancy_score=round(float(detections.malignancy[i]), 6),
        type=FindingType(kinds[int(types.argmax())]),
        area_mm2=_area_mm2(mask, mammogram.spacing_mm),
        long_axis_mm=_long_axis_mm(mask.pixels, mammogram.spacing_mm),
        probability=by_pixel,
    )


def _area_mm2(mask: LesionMask, spacing_mm: tuple[float, float] | None) -> float | None:
    return None if spacing_mm is None else round(mask.area_px * spacing_mm[0] * spacing_mm[1], 3)


def _long_axis_mm(mask: NDArray[np.bool_], spacing_mm: tuple[float, float] | None) -> float | None:
    """Return the largest distance between two corners of the mask's pixels, in mm."""
    if spacing_mm is None:
        return None
    rows = np.flatnonzero(mask.any(axis=1))
    first, last = mask[rows].argmax(axis=1), mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    corners = np.array(
        [(c, r + edge) for r, a, b in zip(rows, first, last, strict=True) for c in (a, b) for edge in (0, 1)],
        dtype=np.float64,
    ) * (spacing_mm[1], spacing_mm[0])
    hull = corners[spatial.ConvexHull(corners).vertices]
    return round(float(spatial.distance.pdist(hull).max()), 3)


def _device(name: str | None) -> torch.device:
    if not name:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise WeightsError(f"device {name!r} cannot be used: {str(error).splitlines()[0]}") from error
    return device
