"""What the header of a mammogram says about its acquisition: side, view, orientation, and what kind of image it is.

Only the standard library, numpy and pydicom are imported in this package. The listener uses it to see which view
has arrived, the worker to decide what to do with the pixels, and both must get the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom import uid
from pydicom.dataset import Dataset

from ftmtl.decoding.files import read
from ftmtl.header import marks, views
from ftmtl.header.elements import text
from ftmtl.header.frames import flattened
from ftmtl.header.marks import ImageKind, Mark, read_marks
from ftmtl.header.views import BOTH, read_placement

MG_FOR_PROCESSING = uid.DigitalMammographyXRayImageStorageForProcessing
DX_FOR_PROCESSING = uid.DigitalXRayImageStorageForProcessing

STANDARD_VIEWS = frozenset({("L", "CC"), ("R", "CC"), ("L", "MLO"), ("R", "MLO")})
"""(laterality, view) of the four images of a screening examination."""

HEADER_TAGS: list[str] = list(
    dict.fromkeys(
        [
            "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "Modality", "PresentationIntentType",
            "BurnedInAnnotation", "BreastImplantPresent", "PerFrameFunctionalGroupsSequence", *views.TAGS, *marks.TAGS,
        ]
    )
)  # fmt: skip
"""Elements that `read_acquisition` needs, for ``dcmread(..., specific_tags=HEADER_TAGS, stop_before_pixels=True)``."""


@dataclass(frozen=True)
class Acquisition:
    """What the header says about how an image was taken.

    Attributes
    ----------
    sop_class_uid, sop_instance_uid, study_instance_uid, modality
        As in the header; empty where absent.
    laterality
        ``L``, ``R``, or None where the header says neither or both.
    view
        ACR code, such as ``CC``, ``MLO``, ``ML``, ``LM``, ``XCCL``, or None.
    view_modifiers
        ACR codes such as ``S`` (spot), ``M`` (magnification), ``ID`` (implant displaced); the Code
        Meaning of codes that are not in CID 4015.
    row_direction, column_direction
        The two values of Patient Orientation: the direction of the rows (left to right) and of the columns (top to
        bottom), or None.
    for_processing
        True if Presentation Intent Type or the SOP class says FOR PROCESSING.
    frames
        Number of Frames, or 1 where it is absent.
    marks
        What kind of image it is, if it is not an ordinary mammogram, and which element tells so.
    burned_in
        True if Burned In Annotation is YES.
    implant
        True if Breast Implant Present is YES.
    contradictions
        Sentences about elements that contradict each other about side, view or orientation.
    """

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    modality: str = ""
    laterality: str | None = None
    view: str | None = None
    view_modifiers: tuple[str, ...] = ()
    row_direction: str | None = None
    column_direction: str | None = None
    for_processing: bool = False
    frames: int = 1
    marks: tuple[Mark, ...] = ()
    burned_in: bool = False
    implant: bool = False
    contradictions: tuple[str, ...] = ()

    def mark(self, *kinds: ImageKind) -> Mark | None:
        """Return the first mark that is of one of these kinds."""
        return next((mark for mark in self.marks if mark.kind in kinds), None)


def read_acquisition(ds: Dataset) -> Acquisition:
    """Read the acquisition from a data set; invalid, empty and damaged values are treated as absent.

    Parameters
    ----------
    ds
        The data set, or only its `HEADER_TAGS`.
    """
    ds = flattened(ds)
    sop_class = text(ds, "SOPClassUID") or text(getattr(ds, "file_meta", None), "MediaStorageSOPClassUID")
    frames, placement = _frames(ds), read_placement(ds)
    intent = text(ds, "PresentationIntentType").upper()
    return Acquisition(
        sop_class_uid=sop_class,
        sop_instance_uid=text(ds, "SOPInstanceUID"),
        study_instance_uid=text(ds, "StudyInstanceUID"),
        modality=text(ds, "Modality").upper(),
        laterality=None if placement.laterality == BOTH else placement.laterality,
        view=placement.view,
        view_modifiers=placement.modifiers,
        row_direction=placement.directions[0],
        column_direction=placement.directions[1],
        for_processing=sop_class in (MG_FOR_PROCESSING, DX_FOR_PROCESSING) or intent == "FOR PROCESSING",
        frames=frames,
        marks=read_marks(ds, sop_class, frames, placement),
        burned_in=text(ds, "BurnedInAnnotation").upper() == "YES",
        implant=text(ds, "BreastImplantPresent").upper() == "YES",
        contradictions=placement.contradictions,
    )


def read_header(path: Path) -> Acquisition:
    """Read the acquisition from a file's header, without its pixels.

    Raises
    ------
    InvalidDicomError
        If the file is not DICOM.
    DamagedFile
        If it can't be parsed.
    OSError
        If the file can't be read.
    """
    return read_acquisition(read(path, specific_tags=HEADER_TAGS, stop_before_pixels=True))


def _frames(ds: Dataset) -> int:
    try:
        return max(1, int(float(text(ds, "NumberOfFrames"))))
    except (ValueError, OverflowError):
        return 1
