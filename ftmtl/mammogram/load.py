"""From a DICOM image to an oriented, normalised mammogram, or the reason why it can't be analysed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ftmtl.errors import NotAnalysable
from ftmtl.findings import Box
from ftmtl.header.acquisition import HEADER_TAGS, Acquisition, read_acquisition
from ftmtl.header.frames import flattened
from ftmtl.header.reading import USUAL, Reading
from ftmtl.header.suitability import refused, remarks
from ftmtl.mammogram.appearance import NO_BREAST, appearance
from ftmtl.mammogram.bits import stored_values
from ftmtl.mammogram.breast import Breast, find_breast, stride_for
from ftmtl.mammogram.geometry import Geometry, Pixel, choose_turn
from ftmtl.mammogram.grayscale import codes
from ftmtl.mammogram.pixels import LOSSY, decode, is_lossy, read_file
from ftmtl.mammogram.spacing import read_spacing


@dataclass(frozen=True, eq=False)
class Mammogram:
    """One mammogram at full resolution, cropped to the breast and in canonical orientation.

    Attributes
    ----------
    pixels
        float32, (height, width), 0 (black) to 1 (white): bright tissue on dark background, chest wall at
        column 0, anterior to the right, superior or lateral at the top.
    acquisition
        What the header says about the image.
    rows, columns
        Size of the stored matrix.
    orientation
        Mapping between the stored matrix and ``pixels``.
    spacing_mm
        (row, column) spacing of the stored matrix in mm, or None.
    spacing_source
        What the spacing describes: ``calibrated``, ``corrected`` (for magnification), ``detector plane`` or empty.
    notes
        Sentences about what was unusual.
    window
        Center and width of the window that was used in place of the image's own grey scale, or None.
    """

    pixels: NDArray[np.float32]
    acquisition: Acquisition
    rows: int
    columns: int
    orientation: Geometry
    spacing_mm: tuple[float, float] | None = None
    spacing_source: str = ""
    notes: tuple[str, ...] = ()
    window: tuple[float, float] | None = None

    @property
    def canonical_spacing_mm(self) -> tuple[float, float] | None:
        """(row, column) spacing of ``pixels`` in mm, or None: that of the stored matrix, swapped if transposed."""
        if self.spacing_mm and self.orientation.transpose:
            return self.spacing_mm[1], self.spacing_mm[0]
        return self.spacing_mm

    def box_to_source(self, box: Box) -> Box:
        """Convert a box in ``pixels`` to a box in the stored matrix; both are (column, row, column, row), half-open."""
        return self.orientation.box_to_source(box)

    def box_from_source(self, box: Box) -> Box:
        """Convert a box in the stored matrix to a box in ``pixels``; it may extend beyond the crop."""
        return self.orientation.box_from_source(box)

    def mask_to_source(self, mask: NDArray[Pixel], column: int = 0, row: int = 0) -> tuple[NDArray[Pixel], int, int]:
        """Turn a part of a mask, whose first pixel is at `column`, `row` of ``pixels``, back to the stored matrix.

        The mask may hold probabilities.

        Returns
        -------
        tuple
            The part in stored orientation, and the column and row of its first pixel in the stored matrix.
        """
        return self.orientation.mask_to_source(mask, column, row)


def load_mammogram(source: Path | Dataset, *, voi_window: int = 0, reading: Reading = USUAL) -> Mammogram:
    """Read, decode, window, turn and crop one mammogram.

    Parameters
    ----------
    source
        A DICOM file, or a data set with pixel data.
    voi_window
        Index of the VOI LUT or window to use, where there are several.
    reading
        Which kinds of images are accepted.

    Raises
    ------
    NotAnalysable
        If the file is not DICOM, is not a mammogram that the model can read, or can't be decoded.
    OSError
        If the file can't be read; trying again may help.
    """
    if not isinstance(source, Dataset):
        _refuse(read_acquisition(read_file(Path(source), specific_tags=HEADER_TAGS, stop_before_pixels=True)), reading)
    ds = flattened(source if isinstance(source, Dataset) else read_file(Path(source)))
    acq = read_acquisition(ds)
    _refuse(acq, reading)
    stored, odd_bits = stored_values(ds, decode(ds))
    grey, breast = appearance(ds, stored, voi_window)
    geometry, turning = _geometry(acq, breast, stored.shape)
    spacing = read_spacing(ds)
    return Mammogram(
        pixels=np.ascontiguousarray(np.take(grey.table, geometry.apply(codes(stored)))),
        acquisition=acq,
        rows=stored.shape[0],
        columns=stored.shape[1],
        orientation=geometry,
        spacing_mm=spacing.mm,
        spacing_source=spacing.source,
        notes=(*remarks(acq), *odd_bits, *grey.notes, *turning, *spacing.notes, *((LOSSY,) if is_lossy(ds) else ())),
        window=grey.window,
    )


def from_array(
    pixels: NDArray[Any],
    laterality: str | None = None,
    spacing_mm: tuple[float, float] | None = None,
    *,
    view: str | None = None,
) -> Mammogram:
    """Make a mammogram from an image that is not DICOM: a data set's PNG, or a phantom.

    Parameters
    ----------
    pixels
        (rows, columns), 0 (black) to 1 (white), with bright tissue.
    laterality, view
        ``L`` or ``R``, and ``CC``, ``MLO``..., if known.
    spacing_mm
        (row, column) spacing, if known.

    Raises
    ------
    NotAnalysable
        If no breast is found.
    """
    rows, columns = pixels.shape
    stride = stride_for((rows, columns))
    breast = find_breast(pixels[::stride, ::stride], stride, (rows, columns))
    if breast is None:
        raise NotAnalysable(NO_BREAST)
    acq = Acquisition(modality="MG", laterality=laterality, view=view)
    geometry, notes = _geometry(acq, breast, (rows, columns))
    turned = np.ascontiguousarray(geometry.apply(pixels), dtype=np.float32)
    meaning = "detector plane" if spacing_mm else ""
    return Mammogram(turned, acq, rows, columns, geometry, spacing_mm, meaning, notes)


def _refuse(acq: Acquisition, reading: Reading) -> None:
    if refusal := refused(acq, reading):
        raise refusal


def _geometry(acq: Acquisition, breast: Breast, shape: tuple[int, int]) -> tuple[Geometry, tuple[str, ...]]:
    (transpose, flip_rows, flip_columns), notes = choose_turn(acq, breast.contact)
    return Geometry(shape[0], shape[1], breast.box, transpose, flip_rows, flip_columns), notes
