"""A baseline: a Laplacian-of-Gaussian blob detector, which involves no learning.

It shows how difficult a data set is. It finds bright, round spots at several scales (Lindeberg 1998) and segments each
as a disc. It does not estimate malignancy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ftmtl.findings import Box, Finding, FindingType, ImageResult, LesionMask, ModelIdentity, Outcome, StudyResult
from ftmtl.mammogram.load import Mammogram
from ftmtl.preprocess import BACKGROUND, fit, standardise

SIGMAS_PX = tuple(float(s) for s in np.geomspace(4, 28, 9))
"""Scales in pixels of the fitted image; the response to a blob of radius r is largest at r / √2."""
_RIM_PX = 8
_MOST = 20
_HALF = 1.0
"""Response at which the score is 0.5; the order of the blobs does not depend on it."""


class BlobDetector:
    """A blob detector with the interface of `ftmtl.evaluation.evaluate.Model`."""

    model = ModelIdentity("Laplacian-of-Gaussian blobs", "1", "0" * 64)
    threshold = 0.0
    batch = 1

    def predict(self, study_uid: str, mammograms: Sequence[Mammogram]) -> StudyResult:
        """Find blobs, at most twenty per image, in descending order of response."""
        return StudyResult(study_uid, self.model, tuple(_describe(m) for m in mammograms))

    def examine(
        self, mammograms: Sequence[Mammogram], boxes: Sequence[Sequence[Box]]
    ) -> tuple[list[ImageResult], list[list[float]]]:
        """Find blobs, and return a malignancy of 0.5 for all given boxes."""
        return [_describe(m) for m in mammograms], [[0.5] * len(given) for given in boxes]


def find_blobs(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Find bright blobs on a fitted image.

    Parameters
    ----------
    pixels
        float32, shape (height, width), 0..1, background dark.

    Returns
    -------
    ndarray
        Rows of (column, row, radius in pixels, response), in descending order of response.
    """
    breast = ndimage.binary_erosion(pixels > BACKGROUND, iterations=_RIM_PX, border_value=1)
    image = standardise(pixels)
    responses = np.stack([-(s**2) * ndimage.gaussian_laplace(image, s, mode="nearest") for s in SIGMAS_PX])
    peaks = (responses == ndimage.maximum_filter(responses, size=(3, 7, 7))) & (responses > 0) & breast
    scale, row, column = np.nonzero(peaks)
    response = responses[scale, row, column]
    best = np.argsort(-response)[:_MOST]
    radius = np.sqrt(2) * np.asarray(SIGMAS_PX)[scale]
    return np.stack([column + 0.5, row + 0.5, radius, response], axis=1)[best].astype(np.float64)


def _describe(mammogram: Mammogram) -> ImageResult:
    pixels, scale = fit(mammogram.pixels)
    found = [_finding(mammogram, blob / (scale, scale, scale, 1.0)) for blob in find_blobs(pixels)]
    outcome = Outcome.FINDINGS if found else Outcome.NO_FINDINGS
    acq = mammogram.acquisition
    return ImageResult(acq.sop_instance_uid, acq.laterality, acq.view, outcome, findings=tuple(found))


def _finding(mammogram: Mammogram, blob: NDArray[np.float64]) -> Finding:
    """Convert a blob (column, row, radius, response) in pixels of the mammogram; its disc is clipped to the image."""
    x, y, radius, response = (float(value) for value in blob)
    height, width = mammogram.pixels.shape
    left, top = max(0, int(x - radius)), max(0, int(y - radius))
    right, bottom = min(width, int(x + radius) + 1), min(height, int(y + radius) + 1)
    rows, columns = np.mgrid[top:bottom, left:right] + 0.5
    disc = np.hypot(columns - x, rows - y) <= radius
    return Finding(
        box=mammogram.box_to_source((float(left), float(top), float(right), float(bottom))),
        mask=LesionMask(*mammogram.mask_to_source(disc, left, top)),
        lesion_score=response / (response + _HALF),
        malignancy_score=0.5,
        type=FindingType.MASS,
    )
