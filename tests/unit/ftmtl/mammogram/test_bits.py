"""Which bits of a pixel are its value."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless
from support.mammograms import changed, dataset, film

from ftmtl.mammogram.bits import HIGH_BIT, MORE_BITS, SWAPPED
from ftmtl.mammogram.load import load_mammogram

SHOWN = {"WindowCenter": 2048, "WindowWidth": 4096}


def overlaid() -> np.ndarray:
    """Draw a breast with an overlay in bit 15: a box and letters beyond the skin."""
    stored = film()
    stored[130:150, 60:90] |= 0x8000
    stored[10:30, 180:230] |= 0x8000
    return stored


def compressed(stored: np.ndarray, syntax: str, plugin: str) -> Dataset:
    ds = dataset(stored, 16, SOPClassUID="1.2.840.10008.5.1.4.1.1.1.2", **SHOWN)
    ds.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    ds.BitsStored, ds.HighBit = 12, 11
    return ds


@pytest.mark.parametrize(
    "ds",
    [
        dataset(overlaid(), **SHOWN),
        compressed(overlaid(), JPEG2000Lossless, "pylibjpeg"),
        compressed(overlaid(), JPEGLSLossless, "pyjpegls"),
    ],
    ids=["native", "JPEG 2000", "JPEG-LS"],
)
def test_overlays_in_the_upper_bits_are_not_in_the_picture(ds):
    mammogram = load_mammogram(ds)
    np.testing.assert_array_equal(mammogram.pixels, load_mammogram(dataset(film(), **SHOWN)).pixels)
    assert HIGH_BIT not in mammogram.notes


def test_signed_pixels_keep_their_sign():
    stored = film(dtype="int16") - 1500
    odd = (stored.view("uint16") & 0x0FFF | 0x4000).view("int16")
    values = {"WindowCenter": 0, "WindowWidth": 4000}
    np.testing.assert_array_equal(
        load_mammogram(dataset(odd, 12, **values)).pixels, load_mammogram(dataset(stored, 12, **values)).pixels
    )


@pytest.mark.parametrize("shift", [1, 4])
def test_a_value_that_begins_above_the_lowest_bit_is_shifted(shift):
    ds = dataset(film() << shift, **SHOWN)
    ds.HighBit = 11 + shift
    mammogram = load_mammogram(ds)
    np.testing.assert_array_equal(mammogram.pixels, load_mammogram(dataset(film(), **SHOWN)).pixels)
    assert HIGH_BIT in mammogram.notes


def test_a_high_bit_that_lies_changes_nothing():
    ds = changed(dataset(film(), **SHOWN), HighBit=15)
    np.testing.assert_array_equal(load_mammogram(ds).pixels, load_mammogram(dataset(film(), **SHOWN)).pixels)


def test_values_that_need_more_bits_than_the_header_says_are_read_whole():
    stored = film() * 8
    ds = dataset(stored, 12, WindowCenter=16384, WindowWidth=32768)
    mammogram = load_mammogram(ds)
    np.testing.assert_allclose(mammogram.pixels, load_mammogram(changed(ds, BitsStored=16, HighBit=15)).pixels)
    assert MORE_BITS in mammogram.notes


@pytest.mark.parametrize("said", [8, 10])
def test_far_too_few_bits(said):
    ds = dataset(film(), 12, **SHOWN)
    mammogram = load_mammogram(changed(ds, BitsStored=said, HighBit=said - 1))
    np.testing.assert_array_equal(mammogram.pixels, load_mammogram(ds).pixels)
    assert MORE_BITS in mammogram.notes


def test_bytes_in_the_wrong_order_are_swapped():
    mammogram = load_mammogram(dataset(film().byteswap(), 12, **SHOWN))
    np.testing.assert_array_equal(mammogram.pixels, load_mammogram(dataset(film(), 12, **SHOWN)).pixels)
    assert SWAPPED in mammogram.notes
