"""Data sets by name: from the text in a command or a recipe to a list of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ftmtl.datasets.annotated import AnnotatedImage
from ftmtl.datasets.cbis_ddsm import read_cbis_ddsm
from ftmtl.datasets.cdd_cesm import KINDS, read_cdd_cesm
from ftmtl.datasets.files import Faults
from ftmtl.datasets.inbreast import read_inbreast
from ftmtl.datasets.mias import read_mias
from ftmtl.datasets.phantoms import DENSE, TRAINING_SEED, phantom_images
from ftmtl.datasets.vindr_mammo import read_vindr_mammo
from ftmtl.errors import DatasetError

PHANTOMS = "phantoms"
SPLITS = ("train", "test")
_READERS: Mapping[str, Callable[..., Sequence[AnnotatedImage]]] = {
    "inbreast": read_inbreast,
    "cbis-ddsm": read_cbis_ddsm,
    "vindr-mammo": read_vindr_mammo,
    "cdd-cesm": read_cdd_cesm,
    "mias": read_mias,
}
NAMES = (PHANTOMS, *_READERS)
"""All data sets that can be read."""


@dataclass(frozen=True)
class DataSource:
    """A data set, or a part of one.

    Attributes
    ----------
    name
        One of `NAMES`.
    folder
        Folder of the data set; None for phantoms.
    count, seed
        Number of phantoms, and the seed of the first.
    split
        ``train`` or ``test`` for the publisher's split; empty for all images.
    kinds
        For CDD-CESM, the kinds of images, ``DM`` or ``CM``, empty for both; for phantoms, ``dense`` for dense breasts.
    faults
        How images whose files are missing or damaged are handled.
    repeat
        Weight in training: how often each image is seen, compared with an image of a source with repeat 1.
    """

    name: str
    folder: Path | None = None
    count: int = 0
    seed: int = TRAINING_SEED
    split: str = ""
    kinds: tuple[str, ...] = ()
    faults: Faults = "refuse"
    repeat: int = 1

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise DatasetError(f"there is no data set {self.name!r}; known data sets are {', '.join(NAMES)}")
        if self.split not in ("", *SPLITS):
            raise DatasetError(f"the split of {self.name} is {' or '.join(SPLITS)}, not {self.split!r}")
        if self.name == PHANTOMS and self.count < 1:
            raise DatasetError(f"phantoms need a count of at least 1, not {self.count}")
        if self.name == PHANTOMS and set(self.kinds) - {DENSE}:
            raise DatasetError(f"the only kind of phantoms is {DENSE}, not {', '.join(self.kinds)}")
        if self.repeat < 1:
            raise DatasetError(f"the images of {self.name} repeat at least once, not {self.repeat} times")
        if self.name != PHANTOMS and self.folder is None:
            raise DatasetError(f"data set {self.name} needs a folder, as in {self.name}:/folder")

    @classmethod
    def parse(cls, text: str, faults: Faults = "refuse") -> DataSource:
        """Parse the text that names a data set.

        The forms are ``NAME:FOLDER``, ``NAME:FOLDER#SPLIT``, ``cdd-cesm:FOLDER#DM`` and
        ``phantoms:COUNT[@FIRST_SEED][#dense]``.

        Raises
        ------
        DatasetError
            If the text has none of these forms; the message is one sentence.
        """
        name, _, rest = text.partition(":")
        if name == PHANTOMS:
            rest, _, kind = rest.partition("#")
            count, seed = _phantoms(rest)
            return cls(name, count=count, seed=seed, kinds=(kind,) if kind else (), faults=faults)
        place, _, part = rest.partition("#")
        folder = Path(place).expanduser() if place else None
        if name == "cdd-cesm" and part in KINDS:
            return cls(name, folder, kinds=(part,), faults=faults)
        return cls(name, folder, split=part, faults=faults)

    def __str__(self) -> str:
        """Return the text from which `parse` makes this source."""
        part = self.split or ",".join(self.kinds)
        place = f"{self.count}@{self.seed}" if self.name == PHANTOMS else self.folder
        return f"{self.name}:{place}{'#' if part else ''}{part}"


def _phantoms(rest: str) -> tuple[int, int]:
    count, _, seed = rest.partition("@")
    try:
        return int(count), int(seed) if seed else TRAINING_SEED
    except ValueError as error:
        raise DatasetError(f"phantoms are given as phantoms:COUNT or phantoms:COUNT@SEED, not {rest!r}") from error


def list_images(source: DataSource) -> list[AnnotatedImage]:
    """List the images of a data set, without decoding pixels.

    Raises
    ------
    DatasetError
        If a table is missing or damaged, or no images are left; and for missing or damaged images, depending on
        `DataSource.faults`.
    """
    if source.name == PHANTOMS:
        return [*phantom_images(source.seed, source.count, dense=DENSE in source.kinds)]
    options = {"kinds": source.kinds} if source.kinds else {}
    images = _READERS[source.name](source.folder, faults=source.faults, **options)
    chosen = [image for image in images if source.split in ("", image.split)]
    if not chosen:
        raise DatasetError(f"data set {source} has no images")
    return chosen
