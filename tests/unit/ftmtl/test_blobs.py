"""The baseline finds what is bright and round, where it is, in stored pixels of both sides."""

from __future__ import annotations

import numpy as np
import pytest

from ftmtl.evaluation.blobs import BlobDetector, find_blobs
from ftmtl.evaluation.metrics import dice, iou
from ftmtl.findings import FindingType
from ftmtl.mammogram.load import from_array
from ftmtl.phantom.make import MAX_VALUE, LesionSpec, make_phantom
from ftmtl.preprocess import BACKGROUND, INPUT_SIZE, fit

MASS = LesionSpec(FindingType.MASS, False, 10.0, 0.6, seed=3)


@pytest.mark.parametrize("side", ["L", "R"])
def test_an_obvious_mass_is_the_first_blob(side: str) -> None:
    phantom = make_phantom(12, laterality=side, spacing_mm=0.3, lesions=[MASS], marker=False)
    mammogram = from_array(phantom.pixels / np.float32(MAX_VALUE), side, (0.3, 0.3), view="CC")
    (image,) = BlobDetector().predict("1", [mammogram]).images
    (truth,) = phantom.lesions
    first = image.findings[0]
    assert iou(first.box, truth.box) > 0.4
    assert dice(first.mask, truth.mask) > 0.6
    scores = [finding.lesion_score for finding in image.findings]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) <= 20
    (again,), malignancy = BlobDetector().examine([mammogram], [[truth.box]])
    assert [finding.box for finding in again.findings] == [finding.box for finding in image.findings]
    assert malignancy == [[0.5]]


@pytest.mark.parametrize("radius", [8.0, 16.0, 30.0])
def test_place_and_size_of_a_disc(radius: float) -> None:
    rows, columns = np.mgrid[: INPUT_SIZE[0], : INPUT_SIZE[1]] + 0.5
    pixels = np.full(INPUT_SIZE, 0.3, dtype=np.float32)
    pixels[np.hypot(columns - 200, rows - 300) < radius] = 0.8
    x, y, found, _ = find_blobs(pixels)[0]
    assert np.hypot(x - 200, y - 300) < 2
    assert found == pytest.approx(radius, rel=0.3)


def test_no_blob_lies_in_the_air_or_at_its_edge() -> None:
    phantom = make_phantom(12, spacing_mm=0.3, lesions=[])
    mammogram = from_array(phantom.pixels / np.float32(MAX_VALUE), "L", (0.3, 0.3), view="CC")
    pixels, _ = fit(mammogram.pixels)
    blobs = find_blobs(pixels)
    assert len(blobs) > 3
    for x, y, _, _ in blobs:
        assert pixels[int(y) - 4 : int(y) + 5, max(0, int(x) - 4) : int(x) + 5].min() > BACKGROUND
