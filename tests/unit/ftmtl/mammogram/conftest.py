"""A real digital mammogram, made small."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from support.realdata import real_data


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
