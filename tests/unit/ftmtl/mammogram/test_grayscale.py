"""From stored values to grey: windows, LUTs, padding, and images that are dark where others are bright."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_voi_lut, apply_windowing
from support.mammograms import changed, dataset, film
from support.realdata import real_data

from ftmtl.mammogram.grayscale import NO_VOI, codes, own_grey_scale
from ftmtl.mammogram.load import load_mammogram


def shown(ds: Dataset, voi_window: int = 0) -> np.ndarray:
    stored = ds.pixel_array
    return own_grey_scale(ds, stored, voi_window).table[codes(stored)]


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


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
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
    grey = own_grey_scale(gh133, gh133.pixel_array, 9)
    np.testing.assert_array_equal(grey.table, own_grey_scale(gh133, gh133.pixel_array).table)
    assert any("window 9" in note for note in grey.notes)


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
        grey = own_grey_scale(ds, stored)
        reference = apply_modality_lut(stored, ds)
        reference = apply_voi(reference, ds) if "VOILUTSequence" in ds else reference
        # In both files the display value rises with what pydicom computes.
        order = np.argsort(reference, axis=None)
        assert (np.diff(grey.table[codes(stored)].ravel()[order]) >= 0).all(), grey.notes


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


def eight_bits(form: str) -> Dataset:
    """Return an item of a VOI LUT with 4096 entries of 8 bits."""
    table = np.arange(4096) // 16
    packed, words = table.astype("u1").tobytes(), table.astype("<u2").tobytes()
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 8])
    data = {
        "packed": ("OW", packed),
        "words": ("OW", words),
        "numbers": ("US", table.tolist()),
        "bytes": ("OB", packed),
    }
    item.add_new("LUTData", *data[form])
    return item


@pytest.mark.parametrize("form", ["packed", "words", "numbers", "bytes"])
def test_tables_of_8_bits_in_every_form(form):
    stored = film()
    whole = dataset(stored, WindowCenter=2048, WindowWidth=4096)
    ds = dataset(stored, VOILUTSequence=[eight_bits(form)])
    np.testing.assert_allclose(shown(ds), shown(whole), atol=1 / 128)


def test_a_table_that_claims_more_bits_than_it_uses_is_as_bright_as_one_that_does_not():
    stored = film()
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 16])
    item.add_new("LUTData", "OW", (np.arange(4096) * 4).astype("<u2").tobytes())
    ds = dataset(stored, VOILUTSequence=[item])
    np.testing.assert_allclose(shown(ds), shown(dataset(stored, WindowCenter=2048, WindowWidth=4096)), atol=1e-3)
    assert "The VOI LUT uses fewer bits than it declares." in own_grey_scale(ds, stored).notes


def test_without_a_voi_transform_the_grey_scale_is_stretched_and_said():
    grey = own_grey_scale(dataset(film()), film())
    assert grey.notes == (NO_VOI,)
    assert grey.window is not None
