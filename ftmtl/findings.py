"""The result of analysing a study: the contract between ``ftmtl`` and ``node``.

Of others only numpy is imported. All coordinates are in *source pixels*: the stored
matrix of the DICOM image, before any flip, crop or scaling. Boxes are ``(x0, y0, x1, y1)`` = (column, row,
column, row), half-open, with 0\\0 at the top-left corner of the top-left pixel and
Columns\\Rows at the bottom-right corner of the last one (PS3.3 C.18.6, 2D spatial coordinates).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ftmtl.outcomes import Attempt as Attempt
from ftmtl.outcomes import Outcome as Outcome

Box = tuple[float, float, float, float]


class FindingType(StrEnum):
    """Kind of lesion; ``LESION`` where it is not known."""

    MASS = "mass"
    CALCIFICATION = "calcification"
    DISTORTION = "architectural_distortion"
    ASYMMETRY = "asymmetry"
    LESION = "lesion"


LESION_TYPES = (FindingType.MASS, FindingType.CALCIFICATION, FindingType.DISTORTION, FindingType.ASYMMETRY)
"""Kinds that a model can distinguish, in the order of their class indices."""


@dataclass(frozen=True)
class OperatingPoint:
    """A cut of the cancer score, and what was measured there.

    Attributes
    ----------
    threshold
        Cancer score from which a finding counts, 0 to 1.
    sensitivity
        Share of the malignant lesions that were found, 0 to 1.
    false_positives
        Findings per image that were on no lesion.
    """

    threshold: float
    sensitivity: float
    false_positives: float


@dataclass(frozen=True)
class ModelIdentity:
    """The model that produced a result; it differs whenever the results may differ.

    Attributes
    ----------
    name
        Name of the network, ``FT-MTL-Net``.
    version
        Version of the weights.
    weights_sha256
        SHA-256 of the weights file, hexadecimal.
    configuration
        Digest of everything else that affects results: operating point, preprocessing.
    manufacturer
        Who made the model.
    looks_for
        The kinds of lesions that it looks for; empty where that is not known.
    operating_points
        Points of its measured FROC curve, the strictest first; empty where nothing was measured.
    measured_on
        What they were measured on, in words.
    """

    name: str
    version: str
    weights_sha256: str
    configuration: str = ""
    manufacturer: str = ""
    looks_for: tuple[FindingType, ...] = ()
    operating_points: tuple[OperatingPoint, ...] = ()
    measured_on: str = ""


@dataclass(frozen=True)
class LesionMask:
    """A binary mask, cropped to its lesion so that its memory use depends on the size of the lesion alone.

    Attributes
    ----------
    pixels
        bool, shape (height, width).
    column, row
        Position of ``pixels[0, 0]`` in the source matrix.
    """

    pixels: NDArray[np.bool_]
    column: int
    row: int

    def paste(self, rows: int, columns: int) -> NDArray[np.bool_]:
        """Return the mask over the whole source matrix, shape (rows, columns).

        Raises
        ------
        ValueError
            If the mask does not lie inside the matrix.
        """
        height, width = self.pixels.shape
        if self.column < 0 or self.row < 0 or self.column + width > columns or self.row + height > rows:
            raise ValueError(
                f"mask of {width}x{height} at column {self.column}, row {self.row} leaves the {columns}x{rows} image"
            )
        full = np.zeros((rows, columns), dtype=bool)
        full[self.row : self.row + height, self.column : self.column + width] = self.pixels
        return full

    @property
    def area_px(self) -> int:
        """Number of pixels inside the lesion."""
        return int(self.pixels.sum())


@dataclass(frozen=True)
class Finding:
    """One lesion on one image.

    Attributes
    ----------
    box
        Bounding box in source pixels, half-open.
    mask
        Outline of the lesion in source pixels; at least one pixel is set.
    lesion_score
        The network's score that this is a lesion at all, 0 to 1. No score is a calibrated probability.
    malignancy_score
        Its score that the lesion is malignant, given that it is one, 0 to 1.
    type
        Kind of lesion.
    area_mm2, long_axis_mm
        Measurements of the mask, or None where the image has no usable pixel spacing.
    probability
        Probability that each pixel of the mask's rectangle belongs to the lesion, given that there is one; uint8,
        0 to 255 for 0 to 1, the same shape as ``mask.pixels``. None where only the mask is known.
    """

    box: Box
    mask: LesionMask
    lesion_score: float
    malignancy_score: float
    type: FindingType = FindingType.LESION
    area_mm2: float | None = None
    long_axis_mm: float | None = None
    probability: NDArray[np.uint8] | None = None

    @property
    def cancer_score(self) -> float:
        """Lesion score times malignancy score, 0 to 1: it ranks findings, images and breasts."""
        return self.lesion_score * self.malignancy_score


@dataclass(frozen=True)
class ImageResult:
    """What was found on one image.

    Attributes
    ----------
    sop_instance_uid
        The source image.
    laterality
        ``L``, ``R``, or None where the file does not say.
    view
        ACR code of the view, such as ``CC`` or ``MLO``, or None.
    outcome, reason
        How the analysis ended, and why if the image was not processed or the analysis failed; otherwise the reason is
        empty.
    findings
        In descending order of lesion score.
    spacing_mm
        (row, column) spacing in mm used for the measurements, or None.
    spacing_source
        What the spacing describes: ``calibrated``, ``corrected``, ``detector plane`` or empty.
    version
        Digest of the image's file if it took the place of an earlier one under the same UID, otherwise empty.
    notes
        Sentences about what a reader has to know: contradictions in the header, an unusual grey scale and so on.
    window
        Center and width of the window in which the model saw the image in place of the image's own grey scale, in units
        of the modality LUT's output; None if it was the image's own.
    attempt
        Whether the model was to read the image.
    """

    sop_instance_uid: str
    laterality: str | None
    view: str | None
    outcome: Outcome
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    spacing_mm: tuple[float, float] | None = None
    spacing_source: str = ""
    version: str = ""
    notes: tuple[str, ...] = ()
    window: tuple[float, float] | None = None
    attempt: Attempt = Attempt.MADE

    @property
    def was_read(self) -> bool:
        """Whether the model analysed the image."""
        return self.outcome in (Outcome.FINDINGS, Outcome.NO_FINDINGS)

    @property
    def score(self) -> float | None:
        """Largest cancer score of the findings: 0 if there are none, None if the image was not analysed."""
        if not self.was_read:
            return None
        return max((f.cancer_score for f in self.findings), default=0.0)


@dataclass(frozen=True)
class StudyResult:
    """What was found on the images of one study that were analysed together.

    Attributes
    ----------
    study_uid
        Study Instance UID.
    model
        The model that produced the results.
    images
        One result per image, in the order in which the images were given.
    forward_seconds
        Wall time spent in the network's forward passes.
    """

    study_uid: str
    model: ModelIdentity
    images: tuple[ImageResult, ...] = field(default=())
    forward_seconds: float = 0.0

    @property
    def outcome(self) -> Outcome:
        """The first outcome that an image has, in the order findings, no findings, failed, not processed.

        No findings is said only if both breasts were read, in every view that came of them; else partly read.
        """
        outcomes = {image.outcome for image in self.images}
        for outcome in (Outcome.FINDINGS, Outcome.NO_FINDINGS, Outcome.FAILED):
            if outcome in outcomes:
                return Outcome.PARTLY_READ if outcome is Outcome.NO_FINDINGS and not self._is_whole else outcome
        return Outcome.NOT_PROCESSED

    @property
    def hung(self) -> tuple[ImageResult, ...]:
        """The images in the order in which they are told of and numbered: by view, right before left, by UID."""
        return tuple(sorted(self.images, key=_place_of))

    @property
    def mammograms(self) -> tuple[ImageResult, ...]:
        """The images that the outcome is about, as they are hung: all that are applicable, or all if none is."""
        applicable = tuple(image for image in self.hung if image.attempt is not Attempt.NOT_APPLICABLE)
        return applicable or self.hung

    @property
    def left_aside(self) -> tuple[ImageResult, ...]:
        """The images that the outcome is not about, as they are hung."""
        mammograms = {image.sop_instance_uid for image in self.mammograms}
        return tuple(image for image in self.hung if image.sop_instance_uid not in mammograms)

    @property
    def read(self) -> tuple[str, ...]:
        """Side and view of the images that were read, such as ``L CC``, each once and in order."""
        return _places(image for image in self.images if image.was_read)

    @property
    def not_read(self) -> tuple[str, ...]:
        """Side and view of the images that were not, as far as no other image of the same side and view was read.

        And a breast of which there is no image. Images without side and view are not listed: they may be no mammograms.
        """
        missing = _places(image for image in self.images if not image.was_read)
        told = {image.laterality for image in self.images}
        sides = {image.laterality for image in self.images if image.was_read}
        absent = [name for side, name in (("R", "right breast"), ("L", "left breast")) if side not in told]
        return (*(place for place in missing if place not in self.read), *(absent if None not in sides else ()))

    @property
    def coverage(self) -> str:
        """What was read and what was not, in a sentence or two; empty if nothing was."""
        if not self.read:
            return ""
        return f"Read: {', '.join(self.read)}." + (f" Not read: {', '.join(self.not_read)}." if self.not_read else "")

    @property
    def _is_whole(self) -> bool:
        return not self.not_read and {"L", "R"} <= {image.laterality for image in self.images if image.was_read}

    @property
    def breast_scores(self) -> dict[str, float]:
        """Largest score of each breast's analysed images, by laterality; images of unknown side are ignored."""
        scores: dict[str, float] = {}
        for image in self.images:
            if image.laterality is not None and image.score is not None:
                scores[image.laterality] = max(image.score, scores.get(image.laterality, 0.0))
        return scores

    @property
    def score(self) -> float | None:
        """Largest score of the analysed images; None if no image was analysed."""
        return max((image.score for image in self.images if image.score is not None), default=None)

    @property
    def reason(self) -> str:
        """Why no image was analysed: the distinct reasons of the images; empty if one was analysed."""
        if any(image.was_read for image in self.images):
            return ""
        return "; ".join(dict.fromkeys(image.reason for image in self.images if image.reason))


_SIDES = {"R": 0, "L": 1}


def _place_of(image: ImageResult) -> tuple[str, int, str]:
    return image.view or "~", _SIDES.get(image.laterality or "", 2), image.sop_instance_uid


def _places(images: Iterable[ImageResult]) -> tuple[str, ...]:
    """Return side and view of images, in the order in which they are hung; an unknown view is said to be unknown."""
    known = {(i.view or "~", _SIDES.get(i.laterality or "", 2), i.laterality, i.view) for i in images}
    return tuple(
        " ".join(filter(None, (side, view or "unknown view")))
        for *_, side, view in sorted(known, key=lambda k: k[:2])
        if side or view
    )
