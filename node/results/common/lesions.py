"""Lesions by name: every object calls a finding the same, and gives it the same number and colour.

Findings are numbered through the study, image by image as they are hung: so no number stands for one finding on one
view and for another finding on the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from ftmtl.findings import Finding, ImageResult, ModelIdentity, StudyResult
from node.results.common.colours import Colour, colour_of
from node.results.common.naming import side_and_view, tracking_uid


@dataclass(frozen=True)
class Lesion:
    """A finding, and what it is called.

    Attributes
    ----------
    image
        The image that it is on.
    rank
        Its place among the findings of its image, from 1; the number of its segment.
    number
        Its number in the study, from 1, by which readers are told of it.
    model
        The model that found it.
    """

    finding: Finding
    image: ImageResult
    rank: int
    number: int
    model: ModelIdentity

    @property
    def tracking_uid(self) -> str:
        """Tracking Unique Identifier (PS3.3 C.8.20.2); it does not depend on the other images of the study."""
        return tracking_uid(self.image.sop_instance_uid, self.model, self.rank)

    @property
    def tracking_id(self) -> str:
        """Tracking Identifier, such as ``L CC lesion 3``."""
        return f"{side_and_view(self.image.laterality, self.image.view)} lesion {self.number}".strip()

    @property
    def colour(self) -> Colour:
        """Red, green and blue, on the page and in segmentations; the seventh lesion has the colour of the first."""
        return colour_of(self.number)


def lesions_of(result: StudyResult) -> dict[str, tuple[Lesion, ...]]:
    """Return the lesions on each image of a study, by SOP Instance UID; in the order in which images are hung."""
    numbers = count(1)
    return {
        image.sop_instance_uid: tuple(
            Lesion(finding, image, rank, next(numbers), result.model)
            for rank, finding in enumerate(image.findings, start=1)
        )
        for image in result.hung
    }
