"""What the builders of result objects work from, and what the checks compare written objects with.

Each kind of object has a package (`node.kinds.Row.room`) with two modules:

``build``
    ``make(study: Study, kind: ObjectKind) -> Iterator[Made]`` yields the objects of a kind.
``check``
    ``faults(ds: Dataset, expected: Expected) -> Iterator[str]`` yields what is wrong with a written object, one
    sentence per fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ftmtl.findings import ImageResult, StudyResult
from node.domain import Predecessor
from node.kinds import ObjectKind
from node.results.common.finish import Clock, now

OF_ONE_IMAGE = (
    ObjectKind.SEG,
    ObjectKind.SEG_FRACTIONAL,
    ObjectKind.SEG_LABELMAP,
    ObjectKind.SEG_OHIF,
    ObjectKind.SR_OHIF,
    ObjectKind.PR,
)
"""Kinds of which there is an object per image with findings."""

Display = Callable[[Path, tuple[float, float] | None], NDArray[np.float32]]
"""Reads an image as the model saw it: float32, shape (rows, columns), 0 black to 1 white.

Called with its file, and center and width of the window that was used in place of its own grey scale, or None.
"""


@dataclass(frozen=True)
class Expected:
    """What a written object is compared with.

    Attributes
    ----------
    kind
        What it is.
    result
        What was found.
    sources
        By SOP Instance UID: normalised headers of the images that were analysed.
    segmentations
        By SOP Instance UID of the source image: the segmentations that a report refers to.
    missing
        By SOP Instance UID: normalised headers of images that reports name although they were not analysed.
    predecessor
        The report that the new report replaces, if there is one.
    """

    kind: ObjectKind
    result: StudyResult
    sources: Mapping[str, Dataset]
    segmentations: Mapping[str, Dataset] = field(default_factory=dict)
    missing: Mapping[str, Dataset] = field(default_factory=dict)
    predecessor: Predecessor | None = None

    @property
    def images(self) -> tuple[ImageResult, ...]:
        """Results of the images that the object is made from: of one image or of the whole study."""
        if self.kind in OF_ONE_IMAGE:
            return tuple(image for image in self.result.images if image.sop_instance_uid in self.sources)
        return self.result.images


class Made(NamedTuple):
    """An object, and what it is compared with once it is written."""

    ds: Dataset
    expected: Expected


@dataclass(frozen=True)
class Study:
    """Everything that the objects of a study are built from.

    Attributes
    ----------
    result
        What was found.
    found
        Header and result of each image with findings, in a fixed order. An object of one image has its header.
    headers
        By SOP Instance UID: normalised headers of the images that were analysed, in the same order, all with the
        patient and study attributes of the image that was received last.
    missing
        By SOP Instance UID: such headers of the images that were not.
    paths
        By SOP Instance UID: files of the images that were analysed.
    display
        Reads an image for a picture; None if nothing can.
    predecessors
        The reports that this study's reports replace, by kind.
    clock
        Tells when an object was first made.
    """

    result: StudyResult
    found: Sequence[tuple[Dataset, ImageResult]]
    headers: Mapping[str, Dataset]
    missing: Mapping[str, Dataset]
    paths: Mapping[str, Path]
    display: Display | None
    predecessors: Mapping[ObjectKind, Predecessor] = field(default_factory=dict)
    clock: Clock = now
    _made: dict[ObjectKind, tuple[Made, ...]] = field(default_factory=dict, init=False, repr=False)

    def make(self, kind: ObjectKind) -> tuple[Made, ...]:
        """Return the objects of a kind; they are built on the first call."""
        if kind not in self._made:
            self._made[kind] = tuple(import_module(f"{kind.row.room}.build").make(self, kind))
        return self._made[kind]

    def alone(self, kind: ObjectKind, image: ImageResult) -> Expected:
        """Return what an object of one image with findings is compared with."""
        headers = {other.sop_instance_uid: header for header, other in self.found}
        return Expected(kind, self.result, {image.sop_instance_uid: headers[image.sop_instance_uid]})

    def segmentations(self, kind: ObjectKind) -> dict[str, Any]:
        """Return the segmentations of a kind, by SOP Instance UID of the image."""
        made = self.make(kind)
        return {image.sop_instance_uid: one.ds for (_, image), one in zip(self.found, made, strict=True)}
