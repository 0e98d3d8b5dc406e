"""Inputs on which mammography software was seen to fail, made from one synthetic study."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    CTImageStorage,
    JPEG2000Lossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from ftmtl.phantom.dicom import phantom_dataset
from ftmtl.phantom.make import make_phantom

VIEWS = ("R CC", "L CC", "R MLO", "L MLO")
SPACING_MM = 0.4
LESION = (77, 261, 133, 331)
"""The box that the shipped weights report on the unchanged L CC, in source pixels: column, row, column, row."""

Case = Callable[[dict[str, Dataset]], Iterator[Dataset]]


def write_cases(folder: Path) -> dict[str, list[Path]]:
    """Write every case as a study of its own; return its files by the case's name."""
    drawn = {view: phantom_dataset(make_phantom(1, laterality=view[0], view=view[2:], spacing_mm=SPACING_MM))
             for view in VIEWS}  # fmt: skip
    return {name: write_case(name, case, drawn, folder / name) for name, case in CASES.items()}


def write_case(name: str, case: Case, drawn: dict[str, Dataset], folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    paths = []
    for n, ds in enumerate(case(deepcopy(drawn))):
        ds.StudyInstanceUID, ds.SeriesInstanceUID = _uid(name, "study"), _uid(name, "series", str(n))
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = _uid(name, "image", str(n))
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        paths.append(folder / f"{n:02}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def _uid(*parts: str) -> str:
    return generate_uid(prefix="2.25.", entropy_srcs=list(parts))


def changed(**values: object) -> Case:
    """Return a case of one L CC with other values in its header."""

    def case(drawn: dict[str, Dataset]) -> Iterator[Dataset]:
        ds = drawn["L CC"]
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        yield ds

    return case


def redrawn(ds: Dataset, stored: np.ndarray, bits: int) -> Dataset:
    """Replace an image's pixels."""
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * stored.dtype.itemsize, bits, bits - 1
    ds.PixelData = stored.tobytes() + bytes(stored.nbytes % 2)
    ds["PixelData"].VR = "OW"
    return ds


def _overlay_bits(drawn: dict[str, Dataset]) -> Iterator[Dataset]:
    ds = drawn["L CC"]
    stored = ds.pixel_array.copy()
    stored[400:440, 200:400] = 0x8000
    stored[10:60, 300:440] |= 0x8000
    redrawn(ds, stored, 16).compress(JPEG2000Lossless, encoding_plugin="pylibjpeg")
    ds.BitsStored, ds.HighBit = 12, 11
    yield ds


def _high_bit(drawn: dict[str, Dataset]) -> Iterator[Dataset]:
    ds = drawn["L CC"]
    redrawn(ds, ds.pixel_array << 4, 12).HighBit = 15
    yield ds


def _voi_lut(entries: np.ndarray, bits: int) -> Case:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), 0, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return changed(VOILUTSequence=[item])


def _mirrored(drawn: dict[str, Dataset]) -> Iterator[Dataset]:
    ds = redrawn(drawn["L CC"], np.ascontiguousarray(drawn["L CC"].pixel_array[:, ::-1]), 12)
    ds.PatientOrientation = ["P", "L"]
    yield ds


def _as_capture(ds: Dataset) -> Dataset:
    ds.SOPClassUID, ds.ConversionType, ds.ImageType = SecondaryCaptureImageStorage, "SD", ["DERIVED", "SECONDARY"]
    for keyword in ("ImageLaterality", "ViewPosition", "ViewCodeSequence", "PatientOrientation", "ImagerPixelSpacing"):
        del ds[keyword]
    return ds


def _four_views(drawn: dict[str, Dataset]) -> Iterator[Dataset]:
    pixels = {view: ds.pixel_array for view, ds in drawn.items()}
    rows = [np.hstack([pixels[f"R {view}"], pixels[f"L {view}"]]) for view in ("CC", "MLO")]
    yield redrawn(_as_capture(drawn["L CC"]), np.vstack(rows), 12)


def _spacing(drawn: dict[str, Dataset]) -> Iterator[Dataset]:
    ds = drawn["L CC"]
    ds.SOPClassUID, ds.ConversionType, ds.PixelSpacing = SecondaryCaptureImageStorage, "WSD", [1, 1]
    del ds.ImagerPixelSpacing
    yield redrawn(ds, np.kron(ds.pixel_array, np.ones((4, 4), np.uint16)), 12)


def _synthetic(ds: Dataset) -> Dataset:
    copy = deepcopy(ds)
    copy.ImageType = ["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D", "", "", "", "", "150000"]
    copy.SeriesDescription = f"{ds.SeriesDescription} C-View"
    return copy


def _volume(ds: Dataset) -> Dataset:
    copy = deepcopy(ds)
    copy.SOPClassUID, copy.NumberOfFrames = BreastTomosynthesisImageStorage, 3
    copy.ImageType, copy.PixelData = ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"], ds.PixelData * 3
    return copy


def combination(drawn: dict[str, Dataset]) -> Iterator[Dataset]:
    """Yield generated 2D images, full-field ones and volumes of every view, in this order."""
    yield from map(_synthetic, drawn.values())
    yield from drawn.values()
    yield from map(_volume, drawn.values())


def _synthetic_and_form(drawn: dict[str, Dataset]) -> Iterator[Dataset]:
    yield from map(_synthetic, drawn.values())
    yield from map(_volume, drawn.values())
    page = Image.new("L", (1000, 1400), 255)
    for n in range(40):
        words = f"{n:02d}  Previous surgery, hormone therapy, family history   yes / no"
        ImageDraw.Draw(page).text((60, 40 + 33 * n), words, fill=0, font=ImageFont.load_default(28))
    form = redrawn(_as_capture(drawn["L CC"]), np.array(page), 8)
    form.SeriesDescription = "Scanned questionnaire"
    yield form


def _undeclared(drawn: dict[str, Dataset]) -> Iterator[Dataset]:
    ds = drawn["L CC"]
    del ds.SpecificCharacterSet
    ds.add_new("PatientName", "PN", "Mülle^Jörg".encode())
    yield ds


CASES: dict[str, Case] = {
    "overlay-bits-in-j2k": _overlay_bits,
    "high-bit-15-of-12": _high_bit,
    "polarity-inverse-shape-on-normal-pixels": changed(PresentationLUTShape="INVERSE"),
    "voi-lut-8-bit-in-words": _voi_lut(np.arange(4096) // 16, 8),
    "voi-lut-says-16-uses-14": _voi_lut(np.arange(4096) * 4, 16),
    "window-whitens-the-breast": changed(WindowCenter=5, WindowWidth=10),
    "window-beyond-the-data": changed(WindowCenter=30000, WindowWidth=200),
    "side-says-left-all-else-right": _mirrored,
    "four-views-on-one-capture": _four_views,
    "magnification-by-factor-only": changed(EstimatedRadiographicMagnificationFactor=1.8),
    "spot-view-by-paddle-only": changed(PaddleDescription="9CM SPOT MAG"),
    "spacing-1-of-2400-rows": _spacing,
    "burned-in-annotation-yes": changed(BurnedInAnnotation="YES"),
    "combo-2d-synthetic-dbt": combination,
    "synthetic-only-and-a-form": _synthetic_and_form,
    "synthetic-told-by-description-only": changed(ImageType=["DERIVED", "PRIMARY"], SeriesDescription="L CC C-View"),
    "contrast-low-energy": changed(ImageType=["ORIGINAL", "PRIMARY", "POST_CONTRAST", "", "LOW_ENERGY"]),
    "contrast-subtraction": changed(ImageType=["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION"]),
    "mammogram-in-a-ct-class": changed(SOPClassUID=CTImageStorage, ImageType=["DERIVED", "PRIMARY", "AXIAL"]),
    "patient-id-of-80": changed(PatientID="A" * 79 + "1"),
    "patient-id-with-backslash": changed(PatientID="12\\34"),
    "undeclared-utf-8": _undeclared,
}
