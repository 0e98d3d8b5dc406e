"""Pixel spacing in the plane of the breast."""

import pydicom
import pytest
from pydicom.dataset import Dataset
from support.realdata import real_data

from ftmtl.mammogram.spacing import read_spacing


def test_calibrated_spacing_of_the_published_pattern():
    ds = pydicom.dcmread(real_data("mg/spacing_pattern_102.dcm"))
    assert read_spacing(ds)[:2] == ((0.25, 0.25), "calibrated")


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
    assert read_spacing(ds)[:2] == expected


def test_a_spacing_that_makes_the_image_larger_than_a_detector_is_none():
    ds = Dataset()
    ds.Rows, ds.Columns, ds.PixelSpacing = 2400, 1800, [1, 1]
    mm, source, (note,) = read_spacing(ds)
    assert (mm, source) == (None, "")
    assert "2400 mm long" in note
    ds.ImagerPixelSpacing = [0.1, 0.1]
    assert read_spacing(ds)[:2] == ((0.1, 0.1), "detector plane")
