"""What a grey scale does to the breast, its polarity, and how many breasts there are."""

from __future__ import annotations

import re

import numpy as np
import pytest
from pydicom.dataset import Dataset
from support.mammograms import changed, dataset, film
from support.realdata import real_data

from ftmtl.errors import NotAnalysable
from ftmtl.header.suitability import SECONDARY_CAPTURE
from ftmtl.mammogram.appearance import INVERTED, INVERTED_PADDED, SEVERAL, appearance
from ftmtl.mammogram.load import load_mammogram
from ftmtl.mammogram.pixels import decode, read_file
from ftmtl.phantom.dicom import phantom_dataset
from ftmtl.phantom.make import make_phantom


@pytest.fixture(scope="module")
def phantom() -> Dataset:
    return phantom_dataset(make_phantom(1, laterality="L", view="CC", spacing_mm=0.4))


def lettered(stored: np.ndarray, value: int) -> np.ndarray:
    """Draw bars like letters beyond the skin."""
    copy = stored.copy()
    rows, columns = copy.shape
    for n in range(6):
        copy[rows // 20 : rows // 10, columns - 20 - 12 * n : columns - 14 - 12 * n] = value
    return copy


def inverted(ds: Dataset) -> np.ndarray:
    return 4095 - ds.pixel_array


@pytest.mark.parametrize("letters", [False, True])
@pytest.mark.parametrize(
    ("turned", "values"),
    [
        (True, {}),
        (False, {"PhotometricInterpretation": "MONOCHROME1"}),
        (False, {"PresentationLUTShape": "INVERSE"}),
        (False, {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}),
    ],
)
def test_a_wrong_polarity_is_refused(phantom, turned, values, letters):
    stored = inverted(phantom) if turned else phantom.pixel_array
    stored = lettered(stored, 0 if turned else 4095) if letters else stored
    with pytest.raises(NotAnalysable, match=INVERTED):
        load_mammogram(changed(phantom, stored.astype("uint16"), **values))


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
@pytest.mark.parametrize("view", ["CC", "MLO"])
def test_a_wrong_polarity_is_refused_where_padding_hides_the_air(seed, view):
    ds = phantom_dataset(make_phantom(seed, laterality="R", view=view, spacing_mm=0.4))
    air = int(np.median(ds.pixel_array[:, :20]))
    hidden = changed(ds, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0, PixelPaddingRangeLimit=air)
    with pytest.raises(NotAnalysable, match=INVERTED_PADDED):
        load_mammogram(hidden)
    load_mammogram(changed(hidden, PhotometricInterpretation="MONOCHROME2"))


@pytest.mark.parametrize("letters", [False, True])
def test_a_right_polarity_is_not(phantom, letters):
    stored = lettered(phantom.pixel_array, 4095) if letters else phantom.pixel_array
    load_mammogram(changed(phantom, stored))
    turned = changed(
        phantom,
        (4095 - stored).astype("uint16"),
        PhotometricInterpretation="MONOCHROME1",
        PresentationLUTShape="INVERSE",
    )
    load_mammogram(turned)


@pytest.mark.parametrize(
    ("center", "width", "words"),
    [
        (5, 10, "of the breast is white"),
        (30000, 200, "no breast can be seen"),
        (1500, 60000, "the breast has almost no contrast"),
        (3900, 300, "no breast can be seen|of the breast is black"),
    ],
)
def test_a_window_that_hides_the_breast_is_replaced_and_said(phantom, center, width, words):
    stretched = load_mammogram(changed(phantom, WindowCenter=None, WindowWidth=None))
    mammogram = load_mammogram(changed(phantom, WindowCenter=center, WindowWidth=width))
    np.testing.assert_array_equal(mammogram.pixels, stretched.pixels)
    assert mammogram.window == stretched.window
    (note,) = mammogram.notes
    assert re.search(words, note)
    assert "stretched to the image's own range" in note


def test_a_usable_window_stays(phantom):
    mammogram = load_mammogram(changed(phantom, WindowCenter=1800, WindowWidth=2500))
    assert mammogram.window is None
    assert mammogram.notes == ()


@pytest.mark.parametrize(
    "name", ["GH133_ge_senographe_essential_RMLO_jpegll", "cbis_P_00173_LEFT_CC", "cbis_P_00173_LEFT_MLO", "MG1_J2KI"]
)
def test_real_mammograms_keep_their_grey_scale(name):
    ds = read_file(real_data(f"mg/{name}.dcm"))
    grey, breast = appearance(ds, decode(ds))
    assert not any("stretched to the image's own range." in note for note in grey.notes if note.startswith("With"))
    assert not breast.several


def views(seed: int) -> dict[str, np.ndarray]:
    return {
        f"{side} {view}": make_phantom(seed, laterality=side, view=view, spacing_mm=0.8).pixels
        for side in "LR"
        for view in ("CC", "MLO")
    }


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    "rows",
    [
        [["R CC", "L CC"]],
        [["L CC", "R CC"]],
        [["R MLO", "L MLO"]],
        [["L CC"], ["L MLO"]],
        [["R CC", "L CC"], ["R MLO", "L MLO"]],
    ],
)
def test_more_than_one_breast_on_an_image_is_refused(seed, rows):
    drawn = views(seed)
    stored = np.vstack([np.hstack([drawn[name] for name in row]) for row in rows]).astype("uint16")
    ds = dataset(stored, WindowCenter=2048, WindowWidth=4096, SOPClassUID=SECONDARY_CAPTURE, ImageLaterality="L")
    with pytest.raises(NotAnalysable, match=SEVERAL):
        load_mammogram(ds)


def test_a_form_that_claims_a_side_is_refused():
    page = np.full((1000, 700), 255, "uint8")
    page[40::30, 60:600] = 0
    ds = dataset(page, 8, SOPClassUID=SECONDARY_CAPTURE, ImageLaterality="L")
    with pytest.raises(NotAnalysable, match="no mammogram"):
        load_mammogram(ds)


def test_the_side_of_a_film_is_read():
    assert load_mammogram(dataset(film(), ImageLaterality="L")).acquisition.laterality == "L"
