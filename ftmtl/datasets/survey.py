"""A data set at a glance: counts, and pictures with the truth drawn on them for visual inspection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from ftmtl.datasets.annotated import AnnotatedImage, Lesion
from ftmtl.errors import DatasetError, NotAnalysable
from ftmtl.mammogram.load import Mammogram
from ftmtl.overlay import Mark, draw, sheet

_STATES = {True: "malignant", False: "not malignant", None: "unknown"}


def survey(images: Sequence[AnnotatedImage]) -> dict[str, Any]:
    """Count images and patients, in total and by the publisher's split, without decoding pixels.

    Returns
    -------
    dict
        ``images``, ``patients``, ``malignancy`` and ``views`` (numbers of images), and ``splits`` (the first three for
        each split).
    """
    names = sorted({image.split for image in images} - {""})
    parts = {name: [image for image in images if image.split == name] for name in names}
    views = Counter(f"{image.laterality or '?'} {image.view or '?'}" for image in images)
    return {
        **_counts(images),
        "views": dict(sorted(views.items())),
        "splits": {name: _counts(part) for name, part in parts.items()},
    }


def _counts(images: Sequence[AnnotatedImage]) -> dict[str, Any]:
    states = Counter(image.malignant for image in images)
    return {
        "images": len(images),
        "patients": len({image.patient for image in images}),
        "malignancy": {text: states[state] for state, text in _STATES.items()},
    }


def picture_sheet(images: Sequence[AnnotatedImage], count: int, seed: int, height: int = 480) -> Image.Image:
    """Draw a random selection of images with their lesions, turned and cropped as for the network.

    Parameters
    ----------
    count
        Largest number of images.
    height
        Height of each picture in pixels.

    Raises
    ------
    DatasetError
        If an image cannot be loaded.
    """
    chosen = np.random.default_rng(seed).permutation(len(images))[:count]
    return sheet([_tile(images[int(i)], height) for i in chosen], columns=min(6, max(1, len(chosen))))


def _tile(image: AnnotatedImage, height: int) -> Image.Image:
    try:
        mammogram, lesions = image.load()
    except NotAnalysable as error:
        raise DatasetError(f"{image.image_id}: {error}") from error
    title = f"{image.image_id} {image.laterality or '?'} {image.view or '?'} {_STATES[image.malignant]}"
    rows, columns = mammogram.pixels.shape
    wide = np.pad(mammogram.pixels, ((0, 0), (0, max(0, rows - columns))))  # room for the title
    return draw(wide, [_mark(mammogram, lesion, wide.shape) for lesion in lesions], title, height)


def _mark(mammogram: Mammogram, lesion: Lesion, shape: tuple[int, ...]) -> Mark:
    mask = None
    if lesion.mask is not None:
        turned = mammogram.orientation.apply(lesion.mask.paste(mammogram.rows, mammogram.columns))
        mask = np.pad(turned, ((0, 0), (0, shape[1] - turned.shape[1])))
    return Mark(mammogram.box_from_source(lesion.box), mask, f"{lesion.type} {_STATES[lesion.malignant]}")
