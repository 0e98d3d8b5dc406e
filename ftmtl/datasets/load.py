"""Loading the images of a data set as samples: in parallel, and only once if there is a cache."""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np

import ftmtl.datasets.annotated
import ftmtl.datasets.files
import ftmtl.datasets.sample
import ftmtl.header.acquisition
import ftmtl.header.elements
import ftmtl.header.frames
import ftmtl.header.grayscale
import ftmtl.header.marks
import ftmtl.header.sizes
import ftmtl.header.suitability
import ftmtl.header.view_codes
import ftmtl.header.views
import ftmtl.mammogram.appearance
import ftmtl.mammogram.bits
import ftmtl.mammogram.breast
import ftmtl.mammogram.geometry
import ftmtl.mammogram.grayscale
import ftmtl.mammogram.load
import ftmtl.mammogram.pixels
import ftmtl.mammogram.spacing
import ftmtl.preprocess
from ftmtl.datasets.annotated import AnnotatedImage
from ftmtl.datasets.files import Faults
from ftmtl.datasets.sample import Sample, to_sample
from ftmtl.errors import DatasetError
from ftmtl.preprocess import INPUT_SIZE

log = logging.getLogger(__name__)

_PIXEL_CHAIN = (
    ftmtl.datasets.annotated,
    ftmtl.datasets.files,
    ftmtl.datasets.sample,
    ftmtl.header.acquisition,
    ftmtl.header.elements,
    ftmtl.header.frames,
    ftmtl.header.marks,
    ftmtl.header.grayscale,
    ftmtl.header.sizes,
    ftmtl.header.suitability,
    ftmtl.header.view_codes,
    ftmtl.header.views,
    ftmtl.mammogram.appearance,
    ftmtl.mammogram.bits,
    ftmtl.mammogram.breast,
    ftmtl.mammogram.geometry,
    ftmtl.mammogram.grayscale,
    ftmtl.mammogram.load,
    ftmtl.mammogram.pixels,
    ftmtl.mammogram.spacing,
    ftmtl.preprocess,
)
_IMAGES_A_WORKER = 16
"""Number of images from which an additional process is worth starting."""


def load_samples(
    images: Sequence[AnnotatedImage],
    size: tuple[int, int] = INPUT_SIZE,
    *,
    cache: Path | None = None,
    workers: int | None = None,
    faults: Faults = "refuse",
) -> list[Sample]:
    """Load images in the order given, and fit them to the network's input.

    Parameters
    ----------
    size
        Height and width of the network's input.
    cache
        Folder with one file per sample, created if necessary. A file is reused as long as the image, its truth, the
        size and the code that reads them are unchanged.
    workers
        Number of processes: 0 or 1 to load in this process, None for as many as processors and images warrant.
    faults
        Whether an image that cannot be loaded raises an error or is omitted with a warning; both name the file.

    Raises
    ------
    DatasetError
        If there are no images, or none could be loaded; and for images that cannot be loaded, depending on `faults`.
    """
    if not images:
        raise DatasetError("there are no images to load")
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
    if workers is None:
        workers = min(os.cpu_count() or 1, len(images) // _IMAGES_A_WORKER)
    samples = []
    for loaded in _mapped(partial(_sample_or_fault, size=size, cache=cache), images, workers):
        if isinstance(loaded, Sample):
            samples.append(loaded)
        elif faults == "refuse":
            raise loaded
        else:
            log.warning("left out: %s", loaded)
    if not samples:
        raise DatasetError(f"none of {len(images)} images could be loaded")
    return samples


def _mapped(
    work: Callable[[AnnotatedImage], Sample | DatasetError], images: Sequence[AnnotatedImage], workers: int
) -> Iterator[Sample | DatasetError]:
    if workers < 2:
        yield from map(work, images)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield from pool.map(work, images, chunksize=4)
    except BrokenProcessPool as error:
        raise DatasetError("a process that loads images died; it may have run out of memory") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _sample_or_fault(image: AnnotatedImage, size: tuple[int, int], cache: Path | None) -> Sample | DatasetError:
    try:
        if cache is None:
            return to_sample(image, size)
        path = cache / f"{_key(image, size)}.npz"
        cached = _read(path, image) if path.exists() else None
        if cached is None:
            cached = to_sample(image, size)
            _write(path, cached)
        return cached
    except DatasetError as error:
        return error


def _key(image: AnnotatedImage, size: tuple[int, int]) -> str:
    text = f"{image.fingerprint}\n{size}\n{_code(type(image))}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@cache
def _code(reader: type[AnnotatedImage]) -> str:
    """Return a digest of the code that turns a file into a sample: the pixel chain, and the reader's module."""
    files = sorted({inspect.getfile(reader), *(inspect.getfile(module) for module in _PIXEL_CHAIN)})
    return hashlib.sha256(b"\0".join(Path(file).read_bytes() for file in files)).hexdigest()


def _write(path: Path, sample: Sample) -> None:
    """Write a sample to a temporary file and rename it, so that no reader ever sees an incomplete file."""
    with NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
        np.savez_compressed(
            file,
            pixels=sample.pixels,
            masks=np.packbits(sample.masks, axis=None),
            lesions=np.array(len(sample.masks)),
            outlined=sample.outlined,
            malignant=sample.malignant,
            types=sample.types,
        )
    Path(file.name).replace(path)


def _read(path: Path, image: AnnotatedImage) -> Sample | None:
    """Read a sample; return None if the file is damaged and has to be written again."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            pixels = held["pixels"]
            shape = (int(held["lesions"]), *pixels.shape)
            masks = np.unpackbits(held["masks"], count=int(np.prod(shape))).reshape(shape).astype(bool)
            classes = held["outlined"], held["malignant"], held["types"]
        return Sample(pixels, masks, *classes, image.image_id, image.patient)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, DatasetError) as error:
        log.warning("cache file %s is damaged and will be replaced: %s", path, error)
        return None
