"""Shared by the readers of data sets: reading tables and images, and handling missing or damaged files."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from ftmtl.datasets.annotated import Lesion
from ftmtl.decoding.files import ODD_VALUE, read
from ftmtl.decoding.pixels import frames
from ftmtl.errors import DatasetError, NotAnalysable
from ftmtl.findings import FindingType
from ftmtl.header.acquisition import read_acquisition
from ftmtl.mammogram.load import Mammogram, load_mammogram

log = logging.getLogger(__name__)

Faults = Literal["refuse", "skip"]
"""Handling of images with missing or damaged files: ``refuse`` raises an error, ``skip`` omits them with a warning."""


@contextmanager
def tolerated(faults: Faults) -> Iterator[None]:
    """Raise a `DatasetError` from the block, or log it and go on, depending on `faults`."""
    try:
        yield
    except DatasetError as error:
        if faults == "refuse":
            raise
        log.warning("left out: %s", error)


def existing(path: Path) -> Path:
    """Return the path of a file that exists.

    Raises
    ------
    DatasetError
        If the file does not exist.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is missing")
    return path


def stamp(paths: Iterable[Path]) -> str:
    """Return names, sizes and times of files, as a text that changes when a file changes.

    Raises
    ------
    DatasetError
        If a file is missing.
    """
    stats = [(path.name, existing(path).stat()) for path in paths]
    return " ".join(f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in stats)


def read_table(path: Path, columns: Sequence[str], delimiter: str = ",") -> list[dict[str, str]]:
    """Read a table with a header; blank lines are skipped, and white space around values is removed.

    Parameters
    ----------
    columns
        Names of required columns.

    Raises
    ------
    DatasetError
        If the table is missing, is not text or lacks a column, or a row is too short.
    """
    try:
        with existing(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter=delimiter, restkey="", restval=None)
            header = [(name or "").strip() for name in reader.fieldnames or ()]
            if lacking := [name for name in columns if name not in header]:
                raise DatasetError(f"{path} has no column {lacking[0]!r}; its columns are {', '.join(header)}")
            reader.fieldnames = header
            return [row for line in reader if (row := _stripped(line, columns, f"{path} line {reader.line_num}"))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error


def _stripped(line: dict[str, str | None], columns: Sequence[str], place: str) -> dict[str, str] | None:
    row = {key: value.strip() for key, value in line.items() if isinstance(value, str)}
    if not any(row.values()):
        return None
    if lacking := [name for name in columns if name not in row]:
        raise DatasetError(f"{place} is too short: it has no {lacking[0]!r}")
    return row


def number(text: str, place: object) -> float:
    """Parse a number in a table.

    Raises
    ------
    DatasetError
        If the text is not a finite number; the message names `place`.
    """
    try:
        value = float(text)
    except ValueError as error:
        raise DatasetError(f"{place}: {text!r} is not a number") from error
    if not np.isfinite(value):
        raise DatasetError(f"{place}: {text!r} is not a number")
    return value


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Read a picture (PNG, JPEG, PGM) as 8-bit grey values, shape (rows, columns).

    Raises
    ------
    DatasetError
        If the picture is missing or damaged.
    """
    try:
        with Image.open(existing(path)) as picture:
            return np.asarray(picture.convert("L"))
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error


def read_dicom_header(path: Path) -> Dataset:
    """Read a DICOM file without its pixels.

    Raises
    ------
    DatasetError
        If the file is missing, damaged or not DICOM.
    """
    return _read(path, stop_before_pixels=True)


def read_dicom_pixels(path: Path) -> NDArray[Any]:
    """Read the stored values of a DICOM image, shape (rows, columns).

    Raises
    ------
    DatasetError
        If the values cannot be decoded, or are not those of a single grey image.
    """
    try:
        pixels, *more = frames(_read(path))
    except NotAnalysable as error:
        raise DatasetError(f"{path}: {error}") from error
    if more or pixels.ndim != 2:
        raise DatasetError(f"{path}: the pixel data are not one grey image")
    return pixels


def read_dicom(path: Path, laterality: str | None = None, view: str | None = None) -> Mammogram:
    """Read a mammogram with the same processing as at inference.

    Parameters
    ----------
    laterality, view
        Values from the data set's table, used if the header has none.

    Raises
    ------
    DatasetError
        If the file is missing or damaged, or is not a mammogram.
    """
    ds = _read(path)
    said = read_acquisition(ds)
    if laterality and said.laterality is None:
        ds.ImageLaterality = laterality
    if view and said.view is None:
        ds.ViewPosition = view
    try:
        return load_mammogram(ds)
    except NotAnalysable as error:
        raise DatasetError(f"{path}: {error}") from error


def _read(path: Path, *, stop_before_pixels: bool = False) -> Dataset:
    try:
        return read(existing(path), stop_before_pixels=stop_before_pixels)
    except (InvalidDicomError, *ODD_VALUE, EOFError) as error:
        raise DatasetError(f"{path} is not DICOM, or is damaged: {error}") from error


def lesion_of_mask(path: Path, pixels: NDArray[np.bool_], type: FindingType, malignant: bool | None) -> Lesion:
    """Make a lesion from a mask that was read from a file; see `Lesion.from_mask`.

    Raises
    ------
    DatasetError
        If the mask is empty; the message names the file.
    """
    if not pixels.any():
        raise DatasetError(f"{path}: the mask is empty")
    return Lesion.from_mask(pixels, type, malignant)
