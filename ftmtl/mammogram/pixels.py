"""From a DICOM file to its stored values, and to the picture that a workstation displays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from ftmtl.decoding.files import ODD_VALUE, DamagedFile, read
from ftmtl.decoding.pixels import frames
from ftmtl.errors import NotAnalysable
from ftmtl.header.frames import flattened
from ftmtl.mammogram.bits import stored_values
from ftmtl.mammogram.grayscale import codes, own_grey_scale, windowed_grey_scale

LOSSY = "The image was compressed with loss."
_LOSSY_SYNTAXES = {f"1.2.840.10008.1.2.4.{n}" for n in ("50", "51", "81", "91", "203")}
_SIDES_PX = (64, 20_000)


def display_pixels(path: Path, window: tuple[float, float] | None = None) -> NDArray[np.float32]:
    """Decode and window an image as the model saw it: the whole stored matrix, neither turned nor cropped.

    Parameters
    ----------
    path
        A DICOM file.
    window
        Center and width of the window that was used in place of the image's own grey scale
        (`ftmtl.findings.ImageResult.window`).

    Returns
    -------
    ndarray
        float32, (rows, columns), 0 (black) to 1 (white).

    Raises
    ------
    NotAnalysable
        If the file is not DICOM or can't be decoded.
    """
    ds = flattened(read_file(path))
    stored, _ = stored_values(ds, decode(ds))
    grey = own_grey_scale(ds, stored) if window is None else windowed_grey_scale(ds, stored, window)
    return np.take(grey.table, codes(stored))


def read_file(path: Path, **options: Any) -> Dataset:
    """Read a DICOM file; ``options`` are passed to :func:`pydicom.dcmread`.

    Raises
    ------
    NotAnalysable
        If the file is not DICOM, or is damaged.
    OSError
        If the file can't be read; trying again may help.
    """
    try:
        return read(path, **options)
    except InvalidDicomError as error:
        raise NotAnalysable("This is not a DICOM file.") from error
    except DamagedFile as error:
        raise NotAnalysable(str(error)) from error


def decode(ds: Dataset) -> NDArray[Any]:
    """Return the decoded pixels of an image, shape (rows, columns), in the machine's byte order, with all their bits.

    Raises
    ------
    NotAnalysable
        If the data set has no pixels, has those of a colour image, or they can't be decoded.
    """
    if "PixelData" not in ds:
        raise NotAnalysable("This object has no pixel data, or they are cut short.")
    try:
        rows, columns, samples = int(ds.Rows), int(ds.Columns), int(ds.get("SamplesPerPixel", 1))
        interpretation = str(ds.PhotometricInterpretation).strip()
    except ODD_VALUE as error:
        raise NotAnalysable("The header does not describe the pixel data.") from error
    if samples != 1 or not interpretation.startswith("MONOCHROME"):
        raise NotAnalysable(f"This is a colour image ({interpretation}), not a mammogram.")
    if not all(_SIDES_PX[0] <= side <= _SIDES_PX[1] for side in (rows, columns)):
        raise NotAnalysable(f"The image is {columns} x {rows} pixels; that is not a mammogram.")
    stored, *more = frames(ds)
    if more or stored.shape != (rows, columns):
        raise NotAnalysable(f"The pixel data are not one image of {columns} x {rows}.")
    return stored


def is_lossy(ds: Dataset) -> bool:
    """Return whether an image was ever compressed with loss (PS3.3 C.7.6.1.1.5)."""
    uid = getattr(getattr(ds, "file_meta", None), "TransferSyntaxUID", "")
    try:
        said = str(ds.get("LossyImageCompression", "")).strip()
    except ODD_VALUE:
        said = ""
    return said == "01" or str(uid) in _LOSSY_SYNTAXES
