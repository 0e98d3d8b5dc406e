"""Four synthetic studies, analysed with the shipped weights, and their results as they lie on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, DigitalMammographyXRayImageStorageForProcessing

from ftmtl.phantom.dicom import write_study
from ftmtl.predictor import Predictor
from node.kinds import ObjectKind
from node.results.common import codes
from node.results.common.content import code_items
from workers.analyse import Order, analyse_study

KINDS = (ObjectKind.SEG, ObjectKind.SR, ObjectKind.CAD, ObjectKind.PR, ObjectKind.SC)
SPACING_MM = 0.2
"""Coarse enough to be quick, and the model finds the same as in finer pixels."""


@dataclass(frozen=True)
class Results:
    """A study and its results, read from files.

    Attributes
    ----------
    images
        The files that were analysed, by SOP Instance UID.
    names
        Side and view of each, such as ``R CC``, by SOP Instance UID.
    objects
        The results of each kind.
    """

    images: Mapping[str, Path]
    names: Mapping[str, str]
    objects: Mapping[ObjectKind, Sequence[Dataset]]

    def every(self) -> Sequence[Dataset]:
        """Return all results."""
        return [ds for objects in self.objects.values() for ds in objects]

    def only(self, kind: ObjectKind) -> Dataset:
        """Return the only object of a kind."""
        (ds,) = self.objects[kind]
        return ds


def make_studies(folder: Path) -> dict[str, Results]:
    """Write the studies, analyse them on the CPU, and read the results back.

    Returns
    -------
    dict
        By name: ``findings``, ``no-findings``, ``partly-read``, ``failed``.
    """
    predictor = Predictor(device="cpu")
    drawn: dict[str, Callable[[Path], None]] = {
        "findings": lambda into: _draw(into, 375),
        "no-findings": lambda into: _draw(into, 513, healthy=True),
        "partly-read": _draw_partly_readable,
        "failed": _draw_damaged,
    }
    studies = {}
    for name, draw in drawn.items():
        source, out = folder / name / "source", folder / name / "results"
        draw(source)
        paths = sorted(source.iterdir())
        analysis = analyse_study(paths, predictor, out, Order(KINDS, clock=_noon))
        headers = {path: dcmread(path, stop_before_pixels=True) for path in paths}
        studies[name] = Results(
            {str(header.SOPInstanceUID): path for path, header in headers.items()},
            {str(h.SOPInstanceUID): f"{h.ImageLaterality} {h.ViewPosition}" for h in headers.values()},
            {kind: [dcmread(made.path) for made in analysis.objects if made.kind is kind] for kind in KINDS},
        )
    return studies


def _noon(uid: str) -> datetime:
    """Say of every object that it was first made at the same time."""
    return datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)


def _draw(folder: Path, seed: int, *, healthy: bool = False) -> None:
    write_study(folder, seed, spacing_mm=SPACING_MM, lesions=[] if healthy else None)


def _draw_partly_readable(folder: Path) -> None:
    """Make the L MLO a spot view, and add the raw image of the R CC."""
    _draw(folder, 518, healthy=True)
    spot = dcmread(folder / "L_MLO.dcm")
    spot.ViewCodeSequence[0].ViewModifierCodeSequence = code_items(codes.VIEW_MODIFIERS["S"])
    spot.save_as(folder / "L_MLO.dcm")
    raw = dcmread(folder / "R_CC.dcm")
    raw.SOPClassUID = raw.file_meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForProcessing
    raw.SOPInstanceUID = raw.file_meta.MediaStorageSOPInstanceUID = UID(f"{raw.SOPInstanceUID[:-1]}0")
    raw.PresentationIntentType = "FOR PROCESSING"
    raw.save_as(folder / "R_CC_raw.dcm")


def _draw_damaged(folder: Path) -> None:
    """Cut the pixels of every image short, as a transfer that broke off leaves them."""
    _draw(folder, 513, healthy=True)
    for path in folder.iterdir():
        ds = dcmread(path)
        ds.PixelData = ds.PixelData[: len(ds.PixelData) // 2]
        ds.save_as(path)
