"""The figures that frcnn_cad (Ribli et al. 2018) published on INbreast, recomputed from its boxes and predictions.

The conventions under which they come out, to every digit given:

- all 347 images in the predictions count, malignant being the 84 that have a true box (91 boxes);
- boxes are taken as published, in full pixels; an image or breast scores what its best detection scores, or for the
  mean of the views the mean of the images' best;
- a breast is the patient (second part of the file name) and the side (fourth part): 176, malignant if any image is;
- every box is one lesion; false positives are counted over all images, those with lesions too.

Counting them over normal images only gives 0.879 rather than 0.901 at 0.3.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pytest
from support.realdata import real_data

from ftmtl.evaluation.metrics import CENTRE, IOU_02, IOU_05, Detected, HitRule, ImageTruth, auc, froc


def boxes_by_image(name: str, key: str) -> dict[str, list[tuple[tuple[float, ...], float]]]:
    found = defaultdict(list)
    with real_data(f"froc/{name}").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            box = tuple(float(row[edge]) for edge in ("x0", "y0", "x1", "y1"))
            found[row[key]].append((box, float(row.get("score", 1))))
    return found


@pytest.fixture(scope="module")
def truth() -> dict[str, list]:
    return boxes_by_image("inbreast_ground_truth_cancer_bbox_rois.tsv", "fn")


@pytest.fixture(scope="module")
def predictions() -> dict[str, list]:
    return boxes_by_image("inbreast_predictions.tsv", "filename")


def test_auc_of_images_and_breasts(truth: dict, predictions: dict) -> None:
    images = sorted(predictions)
    assert (len(images), len(truth), set(truth) - set(images)) == (347, 84, set())
    scores = {name: max(score for _, score in predictions[name]) for name in images}
    assert auc([scores[n] for n in images], [n in truth for n in images]) == pytest.approx(0.913, abs=5e-4)
    breasts = defaultdict(list)
    for name in images:
        _, patient, _, side, _, _ = name.split("_")
        breasts[patient, side].append(name)
    labels = [any(n in truth for n in names) for names in breasts.values()]
    views = [[scores[n] for n in names] for names in breasts.values()]
    assert auc([max(v) for v in views], labels) == pytest.approx(0.931, abs=5e-4)
    assert auc([np.mean(v) for v in views], labels) == pytest.approx(0.938, abs=5e-4)


class Published(NamedTuple):
    """A sensitivity at a rate of false positives per image, to as many digits as were published."""

    rule: HitRule
    rate: float
    sensitivity: float
    digits: int


FROC = {
    "centre at 0.3": Published(CENTRE, 0.3, 0.90, 2),
    "centre at 1": Published(CENTRE, 1.0, 0.956, 3),
    "IoU 0.2 at 0.3": Published(IOU_02, 0.3, 0.89, 2),
    "IoU 0.5 at 0.3": Published(IOU_05, 0.3, 0.77, 2),
}


@pytest.mark.parametrize("figure", FROC.values(), ids=FROC)
def test_froc(truth: dict, predictions: dict, figure: Published) -> None:
    images = sorted(predictions)
    detections = [[Detected(box, score) for box, score in predictions[name]] for name in images]
    truths = [ImageTruth([box for box, _ in truth.get(n, [])], [True] * len(truth.get(n, []))) for n in images]
    assert round(froc(detections, truths, figure.rule).at(figure.rate), figure.digits) == figure.sensitivity
