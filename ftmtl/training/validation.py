"""Metrics of a network during training, on validation images and in pixels of the network's input.

They serve to choose between states of one network; ``ftmtl evaluate`` measures in stored pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

from ftmtl.datasets.sample import Sample
from ftmtl.errors import EvaluationError
from ftmtl.evaluation.metrics import Detected, ImageTruth, auc, dice, froc, iou
from ftmtl.findings import LesionMask
from ftmtl.network.ftmtlnet import FTMTLNet, SingleTaskNetworks
from ftmtl.network.targets import Detections
from ftmtl.preprocess import standardise

FALSE_POSITIVES = (0.25, 0.5, 1.0, 2.0)
"""Rates of false positives per image at which sensitivity is measured."""
_HIT = 0.2


def validate(
    network: FTMTLNet | SingleTaskNetworks, samples: Sequence[Sample], device: torch.device, batch: int = 4
) -> dict[str, float]:
    """Measure a network, and leave it in eval mode.

    Returns
    -------
    dict
        Those of the following metrics that the network's tasks and the data allow: ``sensitivity``, the mean over
        `FALSE_POSITIVES`, where a hit has an IoU of at least 0.2; ``dice``, the mean over outlined lesions that were
        found, 0 if none was; ``auc`` of malignancy on the true boxes; and ``score``, the mean of the others.
    """
    network.eval()
    tasks = network.config.tasks
    truths = [true_boxes(sample) for sample in samples]
    found: list[Detections] = []
    given: list[Detections] = []
    for start in range(0, len(samples), batch):
        chosen = samples[start : start + batch]
        images = np.stack([standardise(sample.pixels.astype(np.float32)) for sample in chosen])
        inputs = torch.from_numpy(images)[:, None].to(device)
        boxes = [box.to(device) for box in truths[start : start + batch]]
        detected, known = network.examine(inputs, boxes) if "det" in tasks else ([], network.predict(inputs, boxes))
        given += [d.to(torch.device("cpu")) for d in known]
        found += [d.to(torch.device("cpu")) for d in detected]
    metrics: dict[str, float] = {}
    if "det" in tasks:
        metrics["sensitivity"] = _sensitivity(found, truths)
    if "seg" in tasks:
        metrics |= _dice(found or given, truths, samples)
    if "cls" in tasks:
        metrics |= _auc(given, samples)
    return metrics | {"score": float(np.mean(list(metrics.values())))} if metrics else {}


def true_boxes(sample: Sample) -> Tensor:
    """Return the tight boxes of a sample's lesions, half-open, float32, shape (lesions, 4)."""
    edges = []
    for mask in sample.masks:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        edges.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    return torch.from_numpy(np.array(edges, dtype=np.float32).reshape(-1, 4))


def _sensitivity(found: Sequence[Detections], truths: Sequence[Tensor]) -> float:
    detections = [
        [Detected(tuple(box), score) for box, score in zip(d.boxes.tolist(), d.scores.tolist(), strict=True)]
        for d in found
    ]
    curve = froc(detections, [ImageTruth([tuple(b) for b in t.tolist()], [True] * len(t)) for t in truths])
    return float(np.mean([curve.at(rate) for rate in FALSE_POSITIVES]))


def _dice(found: Sequence[Detections], truths: Sequence[Tensor], samples: Sequence[Sample]) -> dict[str, float]:
    values = []
    for detections, boxes, sample in zip(found, truths, samples, strict=True):
        for i, box in enumerate(boxes.tolist()):
            hits = [k for k, b in enumerate(detections.boxes.tolist()) if iou(tuple(b), tuple(box)) >= _HIT]
            if hits and sample.outlined[i]:
                drawn = _pasted(detections, hits[0], sample.pixels.shape)
                values.append(dice(LesionMask(drawn, 0, 0), LesionMask(sample.masks[i], 0, 0)))
    if not any(sample.outlined.any() for sample in samples):
        return {}
    return {"dice": float(np.mean(values)) if values else 0.0}


def _pasted(detections: Detections, i: int, shape: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return the mask of detection ``i`` over the whole image."""
    drawn = paste_masks_in_image(detections.masks[i, None, None], detections.boxes[i, None], shape)[0, 0].numpy()
    return np.asarray(drawn >= max(1e-6, min(0.5, float(drawn.max()))))


def _auc(given: Sequence[Detections], samples: Sequence[Sample]) -> dict[str, float]:
    scores = np.concatenate([d.malignancy.numpy() for d in given])
    labels = np.concatenate([sample.malignant for sample in samples])
    try:
        return {"auc": auc(scores[labels >= 0], labels[labels >= 0] == 1)}
    except EvaluationError:
        return {}
