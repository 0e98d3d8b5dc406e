"""Tiny data sets in their publishers' layouts, made of phantoms at coarse spacing; and what is true of them."""

from __future__ import annotations

import csv
import plistlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

from ftmtl.datasets.annotated import AnnotatedImage, Lesion
from ftmtl.datasets.sample import to_sample
from ftmtl.findings import FindingType
from ftmtl.header.suitability import SECONDARY_CAPTURE
from ftmtl.phantom.dicom import phantom_dataset
from ftmtl.phantom.make import LesionSpec, Phantom, make_phantom

SPACING = 1.0
MASS = LesionSpec(FindingType.MASS, True, 14.0, 0.5, seed=3)


@cache
def drawn(seed: int, laterality: str = "L", view: str = "CC", *, lesions: tuple[LesionSpec, ...] = (MASS,)) -> Phantom:
    """Draw a phantom at 1 mm, without a side marker."""
    return make_phantom(seed, laterality=laterality, view=view, spacing_mm=SPACING, lesions=lesions, marker=False)


def save_dicom(path: Path, ds: Dataset) -> Path:
    """Write a data set, and make the folders that lead to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def save_phantom(path: Path, phantom: Phantom) -> Path:
    """Write a phantom as DICOM."""
    return save_dicom(path, phantom_dataset(phantom))


def film(pixels: np.ndarray, description: str) -> Dataset:
    """Wrap pixels as CBIS-DDSM does: Secondary Capture of modality MG, no side, no view, no orientation."""
    ds = phantom_dataset(drawn(1))
    for keyword in ("ImageLaterality", "ViewPosition", "ViewCodeSequence", "PatientOrientation", "ImagerPixelSpacing"):
        del ds[keyword]
    for keyword in ("AnatomicRegionSequence", "PresentationIntentType", "WindowCenter", "WindowWidth"):
        del ds[keyword]
    ds.BitsStored, ds.HighBit = 16, 15
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
    ds.SeriesDescription = description
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelData = np.ascontiguousarray(pixels.astype("<u2")).tobytes()
    return ds


def save_table(path: Path, rows: Sequence[dict[str, object]], delimiter: str = ",") -> Path:
    """Write rows of the same keys as a table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def save_outlines(path: Path, regions: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> Path:
    """Write an OsiriX property list: named regions and their (column, row) corners."""
    rois = [
        {"Name": name, "NumberOfPoints": len(points), "Point_px": [f"({x:f}, {y:f})" for x, y in points], "Type": 15}
        for name, points in regions
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(plistlib.dumps({"Images": [{"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": rois}]}))
    return path


def save_grey(path: Path, pixels: np.ndarray) -> Path:
    """Write an 8-bit picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def truth(phantom: Phantom) -> np.ndarray:
    """Return the first lesion's mask over the stored matrix."""
    return phantom.lesions[0].mask.paste(*phantom.pixels.shape)


def pasted(image: AnnotatedImage) -> tuple[np.ndarray, list[np.ndarray], tuple[Lesion, ...]]:
    """Load an image: its pixels as for the network, its masks over the stored matrix, its lesions."""
    mammogram, lesions = image.load()
    masks = [lesion.mask.paste(mammogram.rows, mammogram.columns) for lesion in lesions if lesion.mask]
    return mammogram.pixels, masks, lesions


def contrast(image: AnnotatedImage, lesion: int = 0) -> float:
    """Return how much brighter a fitted sample is under a lesion's mask than in the breast around it."""
    sample = to_sample(image, (256, 208))
    pixels, mask = sample.pixels.astype(float), sample.masks[lesion]
    rows, columns = np.nonzero(mask)
    around = np.zeros_like(mask)
    around[max(0, rows.min() - 15) : rows.max() + 15, max(0, columns.min() - 15) : columns.max() + 15] = True
    return float(pixels[mask].mean() - pixels[around & ~mask & (pixels > 0.02)].mean())
