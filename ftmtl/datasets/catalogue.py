"""Data sets by name: the text that a command or a recipe gives, and the images that it stands for."""

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
"""The data sets that there are readers for."""


@dataclass(frozen=True)
class DataSource:
    """A data set, or a part of one.

    Attributes
    ----------
    name
        One of `NAMES`.
    folder
        Where it lies; None for phantoms.
    count, seed
        How many phantoms, and the seed of the first.
    split
        ``train`` or ``test`` for the publisher's split; empty for all images.
    kinds
        Kinds of CDD-CESM's images, ``DM`` and ``CM``, empty for both; or ``dense`` for dense phantoms.
    faults
        What becomes of images whose files are missing or damaged.
    repeat
        How often training sees each of its images where it sees one of another source once.
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
            raise DatasetError(f"there is no data set {self.name!r}; known are {', '.join(NAMES)}")
        if self.split not in ("", *SPLITS):
            raise DatasetError(f"the split of {self.name} is {' or '.join(SPLITS)}, not {self.split!r}")
        if self.name == PHANTOMS and self.count < 1:
            raise DatasetError(f"phantoms need a count of at least 1, not {self.count}")
        if self.name == PHANTOMS and set(self.kinds) - {DENSE}:
            raise DatasetError(f"phantoms are ordinary ones or {DENSE}, not {', '.join(self.kinds)}")
        if self.repeat < 1:
            raise DatasetError(f"{self.name} repeats at least once, not {self.repeat} times")
        if self.name != PHANTOMS and self.folder is None:
            raise DatasetError(f"data set {self.name} needs a folder, as in {self.name}:/folder")

    @classmethod
    def parse(cls, text: str, faults: Faults = "refuse") -> DataSource:
        """Read a data set's text.

        It is ``NAME:FOLDER``, ``NAME:FOLDER#SPLIT``, ``cdd-cesm:FOLDER#DM`` or ``phantoms:COUNT[@FIRST_SEED][#dense]``.

        Raises
        ------
        DatasetError
            If the text is none of these; the message is one sentence that lists what is known.
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
        """Return the text that `parse` reads."""
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
    """List the images of a data set without decoding a pixel.

    Raises
    ------
    DatasetError
        If a table or, by `DataSource.faults`, an image is missing or damaged; if no image is left.
    """
    if source.name == PHANTOMS:
        return [*phantom_images(source.seed, source.count, dense=DENSE in source.kinds)]
    options = {"kinds": source.kinds} if source.kinds else {}
    images = _READERS[source.name](source.folder, faults=source.faults, **options)
    chosen = [image for image in images if source.split in ("", image.split)]
    if not chosen:
        raise DatasetError(f"data set {source} has no images")
    return chosen
