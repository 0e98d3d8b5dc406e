"""From DICOM pixels to a mammogram that hangs one way, and back to the stored matrix."""

from contextlib import suppress
from copy import deepcopy
from itertools import product
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_voi_lut, apply_windowing
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian
from support.realdata import real_data

from ftmtl.acquisition import MG_FOR_PRESENTATION, MG_FOR_PROCESSING, SECONDARY_CAPTURE
from ftmtl.errors import NotAnalysable
from ftmtl.findings import LesionMask
from ftmtl.mammogram.breast import breast_region
from ftmtl.mammogram.geometry import CONTRADICTION, Geometry
from ftmtl.mammogram.grayscale import codes, display_table
from ftmtl.mammogram.load import from_array, load_mammogram
from ftmtl.mammogram.pixels import LOSSY
from ftmtl.mammogram.spacing import read_spacing


def dataset(stored: np.ndarray, bits: int = 12, **values: object) -> Dataset:
    """Wrap pixels in the header of an uncompressed digital mammogram."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.Modality, ds.SOPInstanceUID = MG_FOR_PRESENTATION, "MG", "1.2.3"
    ds.PhotometricInterpretation, ds.SamplesPerPixel = "MONOCHROME2", 1
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * stored.dtype.itemsize, bits, bits - 1
    ds.Rows, ds.Columns = stored.shape
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.PixelData = np.ascontiguousarray(stored).tobytes()
    return ds


def film(rows: int = 300, columns: int = 240, dtype: str = "uint16") -> np.ndarray:
    """Draw a breast that leans on the left: grows brighter towards the chest wall and downwards; background 0."""
    y, x = np.mgrid[:rows, :columns]
    inside = (x / (0.6 * columns)) ** 2 + ((y - rows / 2) / (0.4 * rows)) ** 2 < 1
    return np.where(inside, 1000 + 5 * (columns - x) + 2 * y, 0).astype(dtype)


@pytest.fixture(scope="module")
def gh133() -> Dataset:
    """The real digital mammogram, every fourth row and column, uncompressed."""
    ds = pydicom.dcmread(real_data("mg/GH133_ge_senographe_essential_RMLO_jpegll.dcm"))
    stored = ds.pixel_array[::4, ::4]
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.PixelData, ds["PixelData"].VR = np.ascontiguousarray(stored).tobytes(), "OW"
    ds.Rows, ds.Columns = stored.shape
    ds["PixelData"].is_undefined_length = False
    return ds


def changed(ds: Dataset, stored: np.ndarray | None = None, **values: object) -> Dataset:
    """Copy a data set with other values (None deletes) and other pixels."""
    copy = deepcopy(ds)
    for keyword, value in values.items():
        if value is None:
            copy.pop(keyword, None)
        else:
            setattr(copy, keyword, value)
    if stored is not None:
        copy.Rows, copy.Columns = stored.shape
        copy.PixelData = np.ascontiguousarray(stored).tobytes()
    return copy


# geometry

TURNS = list(product((False, True), repeat=3))


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("crop", [(0, 0, 37, 53), (5, 0, 30, 53), (3, 7, 36, 41), (10, 11, 11, 12)])
def test_masks_and_boxes_return_exactly(turn, crop):
    rng = np.random.default_rng(7)
    stored = rng.random((53, 37)) < 0.5
    geometry = Geometry(53, 37, crop, *turn)
    canonical = geometry.apply(stored)
    assert canonical.shape == (geometry.height, geometry.width)
    for _ in range(20):
        x0, x1 = np.sort(rng.choice(geometry.width + 1, 2, replace=False)).tolist()
        y0, y1 = np.sort(rng.choice(geometry.height + 1, 2, replace=False)).tolist()
        piece, column, row = geometry.mask_to_source(canonical[y0:y1, x0:x1], x0, y0)
        height, width = piece.shape
        np.testing.assert_array_equal(piece, stored[row : row + height, column : column + width])
        box = geometry.box_to_source((x0, y0, x1, y1))
        assert box == (column, row, column + width, row + height)
        assert geometry.box_from_source(box) == (x0, y0, x1, y1)


def turned(stored: np.ndarray, row: str, column: str, turn: tuple[bool, bool, bool]):
    """Turn pixels and the two directions of Patient Orientation alike."""
    opposite = str.maketrans("APLRHF", "PARLFH")
    transpose, flip_rows, flip_columns = turn
    if transpose:
        stored, row, column = stored.T, column, row
    if flip_rows:
        stored, column = stored[::-1], column.translate(opposite)
    if flip_columns:
        stored, row = stored[:, ::-1], row.translate(opposite)
    return stored, [row, column]


@pytest.mark.parametrize("turn", TURNS)
def test_every_way_to_store_a_real_mammogram_hangs_the_same(gh133, turn):
    reference = load_mammogram(gh133)
    stored, directions = turned(gh133.pixel_array, "P", "FL", turn)
    mammogram = load_mammogram(changed(gh133, stored, PatientOrientation=directions))
    assert mammogram.notes == reference.notes == ()
    whole = Geometry(*stored.shape, (0, 0, stored.shape[1], stored.shape[0]), *_turn_of(mammogram))
    np.testing.assert_array_equal(whole.apply(stored), gh133.pixel_array[:, ::-1])
    # The thumbnail's grid starts at the other end of a flipped image, so crops may differ, by about its margin.
    np.testing.assert_allclose(mammogram.pixels.shape, reference.pixels.shape, atol=20)


def _turn_of(mammogram):
    return mammogram.orientation.transpose, mammogram.orientation.flip_rows, mammogram.orientation.flip_columns


def test_cranio_caudal_hangs_lateral_up():
    for side, directions, upside_down in [
        ("R", ["P", "L"], False),
        ("L", ["A", "R"], False),
        ("R", ["P", "R"], True),
        ("L", ["A", "L"], True),
    ]:
        stored = film()[:, :: -1 if directions[0] == "P" else 1]
        ds = dataset(stored, ImageLaterality=side, ViewPosition="CC", PatientOrientation=directions)
        assert _turn_of(load_mammogram(ds)) == (False, upside_down, directions[0] == "P")


def test_pixels_win_over_a_wrong_patient_orientation(gh133):
    mirrored = changed(gh133, gh133.pixel_array[:, ::-1])
    mammogram = load_mammogram(mirrored)
    assert CONTRADICTION in mammogram.notes
    assert not mammogram.orientation.flip_columns
    assert mammogram.pixels[:, :20].mean() > mammogram.pixels[:, -20:].mean()


def test_without_a_header_the_breast_tells():
    right = from_array(film()[:, ::-1] / 4095)
    left = from_array(film() / 4095, "L", (0.2, 0.1))
    assert right.orientation.flip_columns
    assert not left.orientation.flip_columns
    np.testing.assert_array_equal(left.pixels[:, :100], right.pixels[:, :100])
    assert (left.spacing_mm, left.canonical_spacing_mm) == ((0.2, 0.1), (0.2, 0.1))


def test_a_mask_lands_on_the_lesion(gh133):
    mammogram = load_mammogram(gh133)
    mask = mammogram.pixels > 0.8
    piece, column, row = mammogram.mask_to_source(mask, 0, 0)
    table, _ = display_table(gh133, gh133.pixel_array)
    bright = table[codes(gh133.pixel_array)] > 0.8
    x0, y0, x1, y1 = mammogram.orientation.crop
    outside = bright.copy()
    outside[y0:y1, x0:x1] = False
    np.testing.assert_array_equal(
        LesionMask(piece, column, row).paste(mammogram.rows, mammogram.columns), bright & ~outside
    )


# grey scale


def shown(ds: Dataset, voi_window: int = 0) -> np.ndarray:
    stored = ds.pixel_array
    return display_table(ds, stored, voi_window)[0][codes(stored)]


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (0.5, -100), (2, 7)])
@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint8"])
def test_windows_equal_pydicoms(function, slope, intercept, dtype):
    bits = 8 if dtype == "uint8" else 12
    low = -(2**11) if dtype == "int16" else 0
    stored = np.linspace(low, low + 2**bits - 1, 64 * 80).reshape(64, 80).astype(dtype)
    middle = slope * (low + 2 ** (bits - 1)) + intercept
    ds = dataset(
        stored, bits, WindowCenter=[middle, middle * 0.8], WindowWidth=[300 * slope, 90], VOILUTFunction=function
    )
    ds.RescaleSlope, ds.RescaleIntercept = slope, intercept
    for index in (0, 1):
        reference = apply_windowing(apply_modality_lut(ds.pixel_array, ds), ds, index)
        ends = np.array([low, low + 2**bits - 1]) * slope + intercept
        np.testing.assert_allclose(shown(ds, index), (reference - ends[0]) / np.ptp(ends), atol=1e-6)


def test_real_voi_luts_equal_pydicoms(gh133):
    stored = gh133.pixel_array
    padding = stored <= 30
    for index in range(3):
        reference = apply_voi_lut(apply_modality_lut(stored, gh133), gh133, index) / 4095
        np.testing.assert_allclose(shown(gh133, index), np.where(padding, 0, reference), atol=1e-6)
    plain = changed(gh133, VOILUTSequence=None)
    sigmoid = apply_windowing(apply_modality_lut(stored, plain), plain, 1) / 4095
    np.testing.assert_allclose(shown(plain, 1), np.where(padding, 0, sigmoid), atol=1e-6)
    assert not np.array_equal(shown(plain, 0), shown(plain, 1))


def test_an_absent_window_falls_back_to_the_first(gh133):
    table, notes = display_table(gh133, gh133.pixel_array, 9)
    np.testing.assert_array_equal(table, display_table(gh133, gh133.pixel_array)[0])
    assert any("window 9" in note for note in notes)


@pytest.mark.parametrize("lut", [True, False])
def test_monochrome1_gives_the_same_pixels(gh133, lut):
    ds = changed(gh133, VOILUTSequence=None)
    inverse = changed(
        ds,
        4095 - ds.pixel_array,
        PhotometricInterpretation="MONOCHROME1",
        PresentationLUTShape="INVERSE",
        WindowCenter=[4095 - float(center) for center in ds.WindowCenter],
        PixelPaddingValue=4095,
        PixelPaddingRangeLimit=4095 - 30,
    )
    if not lut:
        ds, inverse = (changed(image, WindowCenter=None, WindowWidth=None) for image in (ds, inverse))
    expected, got = load_mammogram(ds), load_mammogram(inverse)
    np.testing.assert_allclose(got.pixels, expected.pixels, atol=2e-3 if not lut else 1e-6)
    assert got.orientation == expected.orientation
    alone = changed(inverse, PresentationLUTShape=None)
    np.testing.assert_array_equal(load_mammogram(alone).pixels, got.pixels)


def test_modality_lut_and_voi_lut_from_published_files():
    for name in ("mlut_18.dcm", "vlut_04.dcm"):
        ds = pydicom.dcmread(real_data(f"edge/pydicom-data/data_store/data/{name}"))
        stored = ds.pixel_array
        table, notes = display_table(ds, stored)
        reference = apply_modality_lut(stored, ds)
        reference = apply_voi(reference, ds) if "VOILUTSequence" in ds else reference
        # In both files the display value rises with what pydicom computes.
        order = np.argsort(reference, axis=None)
        assert (np.diff(table[codes(stored)].ravel()[order]) >= 0).all(), notes


def test_padding_is_black_and_outside_the_statistics():
    stored = film()
    stored[stored == 0] = 10
    stored[:, -40:] = 4000
    ds = dataset(stored, PixelPaddingValue=4000, PixelPaddingRangeLimit=3990)
    display = shown(ds)
    assert (display[:, -40:] == 0).all()
    assert display[:, :-40].max() == 1
    np.testing.assert_allclose(display[:, :-40], shown(dataset(np.ascontiguousarray(stored[:, :-40]))), atol=0.02)


def test_padding_of_signed_pixels_read_as_unsigned():
    stored = film(dtype="int16") - 1500
    stored[:, -40:] = -2000
    ds = dataset(stored, 16, WindowCenter=0, WindowWidth=4000)
    ds.add_new("PixelPaddingValue", "US", 2**16 - 2000)
    assert (shown(ds)[:, -40:] == 0).all()
    assert shown(ds)[:, :40].max() > 0.5


@pytest.mark.parametrize(
    "values",
    [
        {"WindowCenter": 2000, "WindowWidth": 0},
        {"WindowCenter": 2000, "WindowWidth": 500, "VOILUTFunction": "CUBIC"},
        {"WindowCenter": [], "WindowWidth": []},
    ],
)
def test_an_unusable_window_is_as_none(values):
    ds = dataset(film(), **values)
    np.testing.assert_array_equal(shown(ds), shown(dataset(film())))


def test_big_endian_pixels_are_read_the_right_way(tmp_path):
    ds = dataset(film(), WindowCenter=2048, WindowWidth=4096)
    big = changed(ds)
    big.PixelData, big["PixelData"].VR = film().astype(">u2").tobytes(), "OW"
    big.file_meta = FileMetaDataset()
    big.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    big.save_as(tmp_path / "big.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(load_mammogram(tmp_path / "big.dcm").pixels, load_mammogram(ds).pixels)


# spacing


def test_calibrated_spacing_of_the_published_pattern():
    ds = pydicom.dcmread(real_data("mg/spacing_pattern_102.dcm"))
    assert read_spacing(ds) == ((0.25, 0.25), "calibrated")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, (None, "")),
        ({"ImagerPixelSpacing": [0.1, 0.2]}, ((0.1, 0.2), "detector plane")),
        (
            {"ImagerPixelSpacing": [0.1, 0.2], "EstimatedRadiographicMagnificationFactor": 2},
            ((0.05, 0.1), "corrected"),
        ),
        (
            {
                "ImagerPixelSpacing": [0.1, 0.1],
                "PixelSpacing": [0.1, 0.1],
                "EstimatedRadiographicMagnificationFactor": 2,
            },
            ((0.05, 0.05), "corrected"),
        ),
        (
            {
                "ImagerPixelSpacing": [0.1, 0.1],
                "PixelSpacing": [0.05, 0.05],
                "EstimatedRadiographicMagnificationFactor": 2,
            },
            ((0.05, 0.05), "calibrated"),
        ),
        (
            {
                "ImagerPixelSpacing": [0.1, 0.1],
                "PixelSpacing": [0.05, 0.05],
                "PixelSpacingCalibrationType": "GEOMETRY",
            },
            ((0.05, 0.05), "corrected"),
        ),
        (
            {"ImagerPixelSpacing": [0.1, 0.1], "EstimatedRadiographicMagnificationFactor": 40},
            ((0.1, 0.1), "detector plane"),
        ),
        ({"PixelSpacing": [0.1, 0.1]}, ((0.1, 0.1), "detector plane")),
        ({"NominalScannedPixelSpacing": [0.05, 0.05]}, ((0.05, 0.05), "detector plane")),
        ({"ImagerPixelSpacing": [0, 0]}, (None, "")),
        ({"PixelSpacing": [0.1]}, (None, "")),
        ({"PixelSpacing": 0.1}, (None, "")),
    ],
)
def test_magnification_is_divided_out_once(values, expected):
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    assert read_spacing(ds) == expected


# the breast, and whole files


def test_real_files_load():
    gh = load_mammogram(real_data("mg/GH133_ge_senographe_essential_RMLO_jpegll.dcm"))
    assert (gh.rows, gh.columns) == (3062, 2394)
    assert gh.orientation.crop[2] == 2394, "the chest wall is at the right of the stored matrix"
    assert 1000 < gh.orientation.crop[0] < 1200, "the nipple is near column 1150"
    assert gh.spacing_mm == pytest.approx((0.0940909, 0.0940909))
    assert gh.pixels.dtype == np.float32
    assert 0 <= gh.pixels.min() <= gh.pixels.max() <= 1
    for name, nipple in (("cbis_P_00173_LEFT_CC.dcm", 1300), ("cbis_P_00173_LEFT_MLO.dcm", 1450)):
        mammogram = load_mammogram(real_data(f"mg/{name}"))
        x0, _, x1, _ = mammogram.orientation.crop
        assert x0 == 0
        assert nipple < x1 < 1700, "the letters on the film are left out"
        assert not mammogram.orientation.flip_columns
        assert mammogram.spacing_mm is None


def test_lossy_film_with_white_frame():
    ds = pydicom.dcmread(real_data("mg/MG1_J2KI.dcm"))
    with pytest.raises(NotAnalysable, match="modality RG"):
        load_mammogram(ds)
    ds.Modality = "MG"
    mammogram = load_mammogram(ds)
    assert LOSSY in mammogram.notes
    assert mammogram.orientation.crop[0] == 0
    assert 2000 < mammogram.orientation.crop[2] < 2400, "nipple at column 2050, letters at 2350"


def test_breast_region_of_digitised_films():
    import csv

    from PIL import Image

    with real_data("mias/labels.csv").open() as file:
        labels = [row for row in csv.DictReader(file) if row["x"] and row["radius_px"]]
    kept = []
    for row in labels[::4]:
        with Image.open(real_data(f"mias/png/{row['image']}.png")) as image:
            pixels = np.asarray(image.convert("L"), dtype=np.float32) / 255
        x0, y0, x1, y1 = breast_region(pixels)
        kept.append(x0 <= float(row["x"]) < x1 and y0 <= float(row["y_from_top"]) < y1)
        assert from_array(pixels, row["laterality"]).orientation.flip_columns == (row["laterality"] == "R")
    assert all(kept)


def test_one_bright_lump_does_not_hide_the_breast():
    """A calcified mass as bright as this one pulls a plain Otsu threshold above all other tissue."""
    from PIL import Image

    (path,) = real_data("cesm/images").glob("P99_R_DM_CC*")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"), dtype=np.float32) / 255
    x0, y0, x1, y1 = breast_region(pixels)
    assert x1 - x0 > 0.7 * pixels.shape[1]
    assert y1 - y0 > 0.8 * pixels.shape[0]
    assert from_array(pixels).orientation.flip_columns


def test_a_label_is_not_the_breast():
    image = film(1200, 960) / 4095
    image[30:150, 800:930] = 1
    assert breast_region(image)[2] < 700


@pytest.mark.parametrize(
    ("ds", "reason"),
    [
        (dataset(np.zeros((300, 240), "uint16")), "No breast"),
        (dataset(np.full((300, 240), 900, "uint16"), WindowCenter=900, WindowWidth=100), "No breast"),
        (dataset(np.random.default_rng(1).integers(0, 4095, (1500, 1200)).astype("uint16")), "No breast"),
        (dataset(film(), SOPClassUID=MG_FOR_PROCESSING), "For Processing"),
        (dataset(film(), SOPClassUID=SECONDARY_CAPTURE, Modality="OT"), "secondary capture"),
        (dataset(film(), NumberOfFrames=2), "2 frames"),
        (dataset(film(), SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0), "colour"),
        (dataset(film(), Rows=0), "240 x 0"),
        (dataset(film(), Rows=60_000), "60000"),
        (dataset(film(), Rows=301), "decoded.*Explicit VR Little Endian"),
        (dataset(film().astype("uint32"), 32), "16 bits"),
    ],
)
def test_refusals_say_why(ds, reason):
    with pytest.raises(NotAnalysable, match=reason) as refusal:
        load_mammogram(ds)
    assert str(refusal.value).endswith(".")


def test_no_pixel_data_and_not_dicom(tmp_path):
    ds = dataset(film())
    del ds.PixelData
    with pytest.raises(NotAnalysable, match="no pixel data"):
        load_mammogram(ds)
    (tmp_path / "text.dcm").write_text("not DICOM at all")
    with pytest.raises(NotAnalysable, match="not a DICOM file"):
        load_mammogram(tmp_path / "text.dcm")
    with pytest.raises(FileNotFoundError):
        load_mammogram(tmp_path / "absent.dcm")


def test_a_truncated_file_is_refused(tmp_path):
    ds = dataset(film(), WindowCenter=2048, WindowWidth=4096)
    ds.save_as(tmp_path / "whole.dcm", enforce_file_format=True)
    whole = (tmp_path / "whole.dcm").read_bytes()
    assert load_mammogram(tmp_path / "whole.dcm").rows == 300
    for size in (len(whole) - 1000, 700, 400, 200, 140):
        (tmp_path / "cut.dcm").write_bytes(whole[:size])
        with pytest.raises(NotAnalysable):
            load_mammogram(tmp_path / "cut.dcm")


def test_twelve_bit_jpeg_extended_fails_cleanly():
    ds = pydicom.dcmread(get_testdata_file("JPEG-lossy.dcm"))
    ds.SOPClassUID, ds.Modality = MG_FOR_PRESENTATION, "MG"
    with pytest.raises(NotAnalysable, match="JPEG Extended"):
        load_mammogram(ds)


def edge_files() -> list[Path]:
    return sorted(real_data("edge").rglob("*.dcm"))


def test_edge_files_load_or_say_why():
    assert edge_files()
    for path in edge_files():
        with pytest.raises(NotAnalysable) as refusal:
            load_mammogram(path)
        assert str(refusal.value)


def test_edge_pixels_load_or_say_why():
    """Call every edge file a mammogram, so that its pixels go through the whole chain."""
    loaded = set()
    for path in edge_files():
        ds = pydicom.dcmread(path, force=True)
        ds.SOPClassUID, ds.Modality = MG_FOR_PRESENTATION, "MG"
        with suppress(NotAnalysable):
            assert np.isfinite(load_mammogram(ds).pixels).all()
            loaded.add(path.name)
    assert {"RG3_J2KR.dcm", "MR2_J2KI.dcm", "693_J2KR.dcm"} <= loaded
