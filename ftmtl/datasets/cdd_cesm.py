"""CDD-CESM (Khaled et al. 2022): contrast-enhanced mammograms with masks, as square 8-bit pictures.

The layout is ``index.csv`` (columns id, patient, side, ``type_DM=low-energy_CM=subtracted``, view, label) beside
``images/<id>.png`` and ``masks/<id>.png``. The pictures are 512 × 512 pixels. The breast keeps its proportions and
black bars fill the square, so the chest wall is not at the edge of the picture. A right breast has its chest wall at
the right, as stored by a detector; mirrored and upside-down copies have been turned back.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from ftmtl.datasets.annotated import AnnotatedImage, Lesion
from ftmtl.datasets.files import Faults, existing, read_grey, read_table, stamp, tolerated
from ftmtl.errors import DatasetError, NotAnalysable
from ftmtl.findings import FindingType
from ftmtl.mammogram.load import Mammogram, from_array

KINDS = ("DM", "CM")
"""``DM``: low-energy image, similar to an ordinary mammogram; ``CM``: subtracted image, showing the contrast agent."""
SPECK_PX = 16
"""Regions of a mask with fewer pixels, about 2 mm across, are artefacts of drawing and scaling, not lesions."""
BAND_FILL = 0.15
"""Regions that fill less of their box than this are bands of thickened skin; all others fill 0.19 or more."""
_LABELS = {"malignant": True, "benign": False, "normal": False, "lesion_unspecified": None}
_KIND = "type_DM=low-energy_CM=subtracted"
_COLUMNS = ("id", "patient", "side", _KIND, "view", "label")


@dataclass(frozen=True, kw_only=True)
class CesmImage(AnnotatedImage):
    """One image of CDD-CESM.

    Attributes
    ----------
    path, mask
        Picture and mask; values above 0 are lesion. Normal images have no mask.
    kind
        ``DM`` or ``CM``.
    """

    path: Path
    mask: Path | None
    kind: str

    def load(self) -> tuple[Mammogram, tuple[Lesion, ...]]:
        """Decode picture and mask; each connected region of the mask with at least `SPECK_PX` pixels is a lesion.

        The masks also outline bands of thickened skin, which are not lesions in this task and are left out; see
        `BAND_FILL`. The data set has no lesion types, and all lesions of an image have its label.
        """
        picture = read_grey(self.path)
        try:
            mammogram = from_array(picture.astype(np.float32) / 255, self.laterality, view=self.view)
        except NotAnalysable as error:
            raise DatasetError(f"{self.path}: {error}") from error
        return mammogram, self._lesions(picture.shape)

    def _lesions(self, shape: tuple[int, ...]) -> tuple[Lesion, ...]:
        if self.mask is None:
            return ()
        mask = read_grey(self.mask) > 0
        if mask.shape != shape:
            raise DatasetError(f"{self.mask}: the mask is {mask.shape}, the image {self.path} is {shape}")
        pieces, count = ndimage.label(mask, np.ones((3, 3)))
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)
        kept = [piece for piece in range(1, count + 1) if sizes[piece] >= SPECK_PX]
        if not kept:
            raise DatasetError(f"{self.mask}: the mask is empty")
        lesions = [Lesion.from_mask(pieces == piece, FindingType.LESION, self.malignant) for piece in kept]
        return tuple(lesion for lesion in lesions if not _is_band(lesion))

    @property
    def fingerprint(self) -> str:
        """Content of the table, and the state of the two files."""
        return f"{self!r} {stamp([self.path, *([self.mask] if self.mask else [])])}"


def _is_band(lesion: Lesion) -> bool:
    return lesion.mask is not None and float(lesion.mask.pixels.mean()) < BAND_FILL


def read_cdd_cesm(folder: Path, *, kinds: Collection[str] = KINDS, faults: Faults = "refuse") -> list[CesmImage]:
    """List CDD-CESM.

    Parameters
    ----------
    folder
        Contains ``index.csv``, ``images`` and ``masks``.
    kinds
        Which of `KINDS` to list.

    Raises
    ------
    DatasetError
        If the table is missing or damaged, or a kind is unknown; and for missing files, depending on `faults`.
    """
    if unknown := set(kinds) - set(KINDS):
        raise DatasetError(f"CDD-CESM has images of the kinds {' and '.join(KINDS)}, not {min(unknown)!r}")
    images = []
    for row in read_table(folder / "index.csv", _COLUMNS):
        if row[_KIND] in kinds:
            with tolerated(faults):
                images.append(_image(folder, row))
    return images


def _image(folder: Path, row: dict[str, str]) -> CesmImage:
    name, label = row["id"], row["label"]
    if label not in _LABELS:
        raise DatasetError(f"{folder / 'index.csv'}: image {name} has the label {label!r}")
    return CesmImage(
        image_id=name,
        patient=row["patient"],
        laterality=row["side"],
        view=row["view"],
        malignant=_LABELS[label],
        path=existing(folder / "images" / f"{name}.png"),
        mask=None if label == "normal" else existing(folder / "masks" / f"{name}.png"),
        kind=row[_KIND],
    )
