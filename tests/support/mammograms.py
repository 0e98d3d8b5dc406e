"""Small mammograms as data sets: drawn, or changed copies."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from ftmtl.header.suitability import MG_FOR_PRESENTATION


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
    """Draw a breast on the left, brighter towards the chest wall and downwards; the background is 0."""
    y, x = np.mgrid[:rows, :columns]
    inside = (x / (0.6 * columns)) ** 2 + ((y - rows / 2) / (0.4 * rows)) ** 2 < 1
    return np.where(inside, 1000 + 5 * (columns - x) + 2 * y, 0).astype(dtype)


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
