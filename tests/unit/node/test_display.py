"""What a header says about the display of its image survives normalisation, or is left out as a whole."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from node.results.common.display import SHUTTER, SHUTTER_SHAPES, transformations
from node.results.common.source import read_source

TABLE = np.linspace(0, 4095, 100).astype(np.uint16)


def header(**values: object) -> Dataset:
    """Return the least that a source may have."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Rows, ds.Columns = "1.2.1", "1.2.2", 40, 30
    ds.PhotometricInterpretation, ds.PixelRepresentation = "MONOCHROME2", 0
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def lut(vr: str = "US", first: int = 10, table: np.ndarray = TABLE, bits: int = 12, order: str = "<") -> Dataset:
    """Return an item of a LUT sequence whose data are of some VR."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(table), first, bits])
    item.add_new("LUTData", vr, table.astype(f"{order}u2").tobytes() if vr == "OW" else [int(n) for n in table])
    return item


def reread(ds: Dataset, syntax: str) -> Dataset:
    """Write a data set in a transfer syntax and read it back."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return dcmread(BytesIO(file.getvalue()))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("vr", ["US", "OW"])
def test_a_voi_lut_stays_intact_in_every_encoding(vr: str, syntax: str) -> None:
    item = lut(vr, order=">" if syntax == ExplicitVRBigEndian else "<")
    source = header(VOILUTSequence=Sequence([item, lut(table=TABLE[:50])]))
    (read,) = read_source(reread(source, syntax)).VOILUTSequence
    assert list(read.LUTDescriptor) == [100, 10, 12]
    assert np.array_equal(np.frombuffer(read.LUTData, "<u2"), TABLE)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_table_that_begins_below_zero(syntax: str) -> None:
    source = reread(header(VOILUTSequence=Sequence([lut(first=-200)]), PixelRepresentation=1), syntax)
    (read,) = read_source(source).VOILUTSequence
    assert list(read.LUTDescriptor) == [100, -200, 12]
    assert reread(read_source(source), ExplicitVRLittleEndian).VOILUTSequence[0].LUTDescriptor == [100, -200, 12]


def test_a_table_is_stretched_to_16_bits_for_presentation_states() -> None:
    source = read_source(header(VOILUTSequence=Sequence([lut()])))
    (voi,) = transformations(source).SoftcopyVOILUTSequence
    table = np.frombuffer(voi.VOILUTSequence[0].LUTData, "<u2")
    assert list(voi.VOILUTSequence[0].LUTDescriptor) == [100, 10, 16]
    assert np.allclose(table / 65535, TABLE / 4095, atol=1e-5)


def damaged_luts() -> dict[str, Dataset]:
    """Return LUT items that nobody can apply."""
    short, vague, wide, empty = lut(), lut(), lut(), Dataset()
    short.LUTDescriptor = [101, 10, 12]
    vague.LUTDescriptor = [100, 10]
    wide.LUTDescriptor = [100, 10, 17]
    return {"short": short, "vague": vague, "wide": wide, "empty": empty}


@pytest.mark.parametrize("item", damaged_luts().values(), ids=damaged_luts())
def test_a_damaged_table_counts_as_none(item: Dataset) -> None:
    """The window is used in its place, as the reader of the pixels does."""
    source = read_source(header(VOILUTSequence=Sequence([item, lut()]), WindowCenter=5, WindowWidth=10))
    assert "VOILUTSequence" not in source
    (voi,) = transformations(source).SoftcopyVOILUTSequence
    assert (voi.WindowCenter, voi.WindowWidth) == (5, 10)


def test_a_modality_lut_takes_the_place_of_slope_and_intercept() -> None:
    item = lut(bits=16)
    item.ModalityLUTType = "US"
    source = read_source(header(ModalityLUTSequence=Sequence([item]), RescaleIntercept=1, RescaleSlope=2))
    ds = transformations(source)
    assert ds.ModalityLUTSequence[0].ModalityLUTType == "US"
    assert "RescaleSlope" not in ds


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"WindowCenter": 5},
        {"WindowCenter": 5, "WindowWidth": 0},
        {"WindowCenter": 5, "WindowWidth": 0.5},
        {"RescaleSlope": 2},
    ],
    ids=["nothing", "no width", "no width at all", "too small for LINEAR", "no intercept"],
)
def test_what_cannot_be_applied_is_absent(values: dict[str, object]) -> None:
    ds = transformations(read_source(header(**values)))
    assert "SoftcopyVOILUTSequence" not in ds
    assert "RescaleSlope" not in ds
    assert ds.PresentationLUTShape == "IDENTITY"


@pytest.mark.parametrize(
    ("interpretation", "shape", "expected"),
    [
        ("MONOCHROME1", None, "INVERSE"),
        ("MONOCHROME1", "INVERSE", "INVERSE"),
        ("MONOCHROME2", "INVERSE", "INVERSE"),
        ("MONOCHROME2", "IDENTITY", "IDENTITY"),
    ],
)
def test_white_and_black_are_exchanged_once(interpretation: str, shape: str | None, expected: str) -> None:
    source = read_source(header(PhotometricInterpretation=interpretation, PresentationLUTShape=shape))
    assert transformations(source).PresentationLUTShape == expected


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_a_decimal_that_is_too_long_is_rounded_not_dropped() -> None:
    ds = header()
    raw = BytesIO()
    ds.WindowCenter, ds.WindowWidth = "2048.1234", "4096"
    ds.save_as(raw, implicit_vr=False, little_endian=True)
    data = raw.getvalue().replace(b"DS\x0a\x002048.1234 ", b"DS\x16\x002048.12345678901234567")
    source = read_source(dcmread(BytesIO(data), force=True))
    assert source.WindowCenter == pytest.approx(2048.12346, abs=1e-5)
    assert len(str(source.WindowCenter)) <= 16


def test_shutters_of_a_bitmap_or_not_wholly_described_are_left_out() -> None:
    edges = {keyword: n for n, keyword in enumerate(SHUTTER_SHAPES["RECTANGULAR"], start=3)}
    ds = header(ShutterShape=["RECTANGULAR", "BITMAP", "CIRCULAR"], CenterOfCircularShutter=[60, 60], **edges)
    shown = transformations(read_source(ds))
    assert {keyword: shown.get(keyword) for keyword in SHUTTER if keyword in shown} == {
        "ShutterShape": "RECTANGULAR",
        **edges,
        "ShutterPresentationValue": 0,
    }
    del ds.ShutterLowerHorizontalEdge
    assert "ShutterShape" not in transformations(read_source(ds))
    assert "ShutterShape" not in transformations(read_source(header(ShutterShape="BITMAP")))
