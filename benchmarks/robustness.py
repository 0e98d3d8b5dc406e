"""Robustness against differences between hospitals: the same images, changed in one way at a time.

Each phantom is written as a DICOM instance, changed, and read by the node's pixel chain. The changes are in pixel
spacing, stored bits, MONOCHROME1, VOI functions, lossy compression, noise, an implant, and markers. The truth stays the
same.

    python benchmarks/robustness.py [--phantoms 60] [--weights FILE] [--real FILE.dcm ...]

Prints a table for the phantoms, where each figure has its difference from the unchanged images with a 95% interval over
phantoms. Real images have no annotations. Their table shows what becomes of the highest-scoring finding of the
unchanged image: the lesion score at its place, and the overlap of its box with the original box (IoU).
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLSNearLossless
from scipy import ndimage

from ftmtl.datasets.annotated import AnnotatedImage, Lesion
from ftmtl.datasets.phantoms import PhantomImage, phantom_images
from ftmtl.evaluation.cases import ImageCase
from ftmtl.evaluation.evaluate import LOWEST_SCORE, evaluate
from ftmtl.evaluation.figures import matches, sensitivity, statistics
from ftmtl.evaluation.hits import IOU_02, iou
from ftmtl.evaluation.plots import with_interval
from ftmtl.evaluation.statistics import Statistic, paired_bootstrap
from ftmtl.findings import StudyResult
from ftmtl.mammogram.load import Mammogram, load_mammogram
from ftmtl.phantom.dicom import phantom_dataset
from ftmtl.phantom.make import Phantom, make_phantom
from ftmtl.predictor import Predictor

SEED = 4_000_000
"""First seed of the phantoms, which are neither used for training nor for the figures of the model card."""
SPACING_MM = 0.2
Change = Callable[[Dataset], Dataset]


@dataclass(frozen=True)
class Variation:
    """One way in which images differ between hospitals.

    Attributes
    ----------
    name
        Name in the table.
    change
        Takes a data set with uncompressed pixels, which it may modify, and returns the changed data set.
    spacing_mm
        Pixel spacing at which phantoms are drawn.
    marker
        Whether phantoms have a burned-in marker; None for no change.
    phantoms_only
        Whether the change cannot be applied to real images.
    """

    name: str
    change: Change = lambda ds: ds
    spacing_mm: float = SPACING_MM
    marker: bool | None = None
    phantoms_only: bool = False


def stored(ds: Dataset) -> NDArray[np.float64]:
    """Return the pixels as MONOCHROME2, where 1 is the largest value of the stored bits."""
    values = ds.pixel_array.astype(np.float64) / (2**ds.BitsStored - 1)
    return 1 - values if ds.PhotometricInterpretation == "MONOCHROME1" else values


def store(ds: Dataset, values: NDArray[np.float64], bits: int) -> Dataset:
    """Store pixels with the given number of bits, and scale windows and VOI LUTs accordingly."""
    scale = (2**bits - 1) / (2**ds.BitsStored - 1)
    for keyword in ("WindowCenter", "WindowWidth"):
        if keyword in ds:
            setattr(ds, keyword, [value * scale for value in windows(ds, keyword)])
    repadded(ds, lambda value: int(value * scale))
    if scale != 1:
        retabled(ds, np.arange(2**bits) / scale)
    ds.BitsAllocated = 8 if bits <= 8 else 16
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits - 1, 0
    pixels = np.round(np.clip(values, 0, 1) * (2**bits - 1))
    data = pixels.astype(np.uint8 if bits <= 8 else "<u2").tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OW"
    ds.PhotometricInterpretation = "MONOCHROME2"
    return ds


def windows(ds: Dataset, keyword: str) -> list[float]:
    """Return the values of Window Center or Window Width, of which there may be several."""
    given = ds[keyword].value
    return [float(value) for value in (given if isinstance(given, Sequence) else [given])]


def repadded(ds: Dataset, now: Callable[[int], int]) -> None:
    """Update the padding values."""
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        if keyword in ds:
            setattr(ds, keyword, now(ds[keyword].value))
            ds[keyword].VR = "US"


def retabled(ds: Dataset, before: NDArray[np.float64], inverse: bool = False) -> None:
    """Rebuild the VOI LUTs, given the former stored value for each new stored value (PS3.3 C.11.2)."""
    for item in ds.get("VOILUTSequence", []):
        count, first, depth = item.LUTDescriptor
        places = np.clip(np.round(before).astype(int) - first, 0, (count or 2**16) - 1)
        entries = np.asarray(item.LUTData)[places]
        entries = 2**depth - 1 - entries if inverse else entries
        item.LUTDescriptor = [len(entries) % 2**16, 0, depth]
        item.LUTData = [int(entry) for entry in entries]
        item["LUTDescriptor"].VR = item["LUTData"].VR = "US"


def bits(count: int) -> Change:
    """Store with the given number of bits."""
    return lambda ds: store(ds, stored(ds), count)


def inverted(ds: Dataset) -> Dataset:
    """Store as MONOCHROME1, where the largest value is black."""
    count = ds.BitsStored
    ds = store(ds, 1 - stored(ds), count)
    ds.PhotometricInterpretation, ds.PresentationLUTShape = "MONOCHROME1", "INVERSE"
    top = 2**count - 1
    retabled(ds, top - np.arange(top + 1.0), inverse=True)
    repadded(ds, lambda value: top - value)
    if "WindowCenter" in ds:
        ds.WindowCenter = [top - value for value in windows(ds, "WindowCenter")]
    return ds


def window(function: str, width: float = 1.0) -> Change:
    """Replace the VOI transform by a window near the middle of the range; its width is a part of the range."""

    def change(ds: Dataset) -> Dataset:
        top = 2**ds.BitsStored - 1
        ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = (
            0.45 * top if width < 1 else 0.5 * top,
            width * top,
            function,
        )
        if "VOILUTSequence" in ds:
            del ds.VOILUTSequence
        return ds

    return change


def jpeg(quality: int) -> Change:
    """Compress as baseline JPEG with 8 bits."""

    def change(ds: Dataset) -> Dataset:
        ds = bits(8)(ds)
        data = io.BytesIO()
        Image.fromarray(ds.pixel_array).save(data, "JPEG", quality=quality)
        ds.PixelData = encapsulate([data.getvalue()])
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        return ds

    return change


def compressed(syntax: str, **options: object) -> Change:
    """Compress as JPEG 2000 or JPEG-LS at full bit depth, with pydicom's encoders."""

    def change(ds: Dataset) -> Dataset:
        ds.compress(syntax, generate_instance_uid=False, **options)
        return ds

    return change


def noisy(part: float) -> Change:
    """Add white noise whose standard deviation is a part of the range."""

    def change(ds: Dataset) -> Dataset:
        values = stored(ds)
        noise = np.random.default_rng(0).normal(0, part, values.shape)
        return store(ds, np.where(values > 0.02, values + noise, values), ds.BitsStored)

    return change


def with_implant(ds: Dataset) -> Dataset:
    """Draw a smooth, bright dome at the chest wall, like an implant that is not displaced."""
    values = stored(ds)
    rows, columns = np.indices(values.shape)
    side = 0 if ds.get("ImageLaterality", "L") == "L" else values.shape[1]
    reach, middle = 0.30 * values.shape[1], 0.55 * values.shape[0]
    radius = np.hypot((columns - side) / reach, (rows - middle) / (0.22 * values.shape[0]))
    dome = 0.45 / (1 + np.exp(np.clip((radius - 1) * 40, -40, 40)))
    ds.BreastImplantPresent = "YES"
    return store(ds, np.where(values > 0.02, values + dome, values), ds.BitsStored)


def marked(ds: Dataset) -> Dataset:
    """Draw a lead letter L, 12 by 9 mm, into the air as close as possible to the skin.

    The phantoms' own markers are further away from the breast and are removed when the image is cropped.
    """
    values = stored(ds)
    row_mm, column_mm = map(float, ds.get("PixelSpacing") or ds.get("ImagerPixelSpacing") or (0.1, 0.1))
    height, width, thick = round(12 / row_mm), round(9 / column_mm), round(2 / column_mm)
    pieces, _ = ndimage.label(ndimage.binary_opening(values > 0.05, iterations=3))
    breast = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
    rows, columns = np.flatnonzero(breast.any(axis=1)), np.flatnonzero(breast.any(axis=0))
    skin = ndimage.distance_transform_edt(~breast)
    left = columns[0] if ds.get("ImageLaterality", "L") == "R" else columns[-1] - width
    places = [
        row for row in range(rows[0], rows[-1] - height) if skin[row : row + height, left : left + width].min() > 9
    ]
    if places:
        row = min(places, key=lambda row: skin[row : row + height, left : left + width].min())
        values[row : row + height, left : left + thick] = 1
        values[row + height - thick : row + height, left : left + width] = 1
    return store(ds, values, ds.BitsStored)


VARIATIONS = (
    Variation("none"),
    Variation("pixel spacing 0.05 mm", spacing_mm=0.05, phantoms_only=True),
    Variation("pixel spacing 0.1 mm", spacing_mm=0.1, phantoms_only=True),
    *(Variation(f"{count} bits", bits(count)) for count in (8, 10, 14, 16)),
    Variation("MONOCHROME1", inverted),
    *(Variation(f"VOI {function}", window(function)) for function in ("LINEAR", "LINEAR_EXACT", "SIGMOID")),
    Variation("VOI LINEAR, 60% of the range", window("LINEAR", 0.6)),
    *(Variation(f"JPEG baseline, quality {quality}", jpeg(quality)) for quality in (95, 75, 50)),
    *(Variation(f"JPEG 2000, 1:{ratio}", compressed(JPEG2000, j2k_cr=[ratio])) for ratio in (10, 30)),
    Variation("JPEG-LS, error up to 8", compressed(JPEGLSNearLossless, jls_error=8)),
    *(Variation(f"noise, {part:.0%} of the range", noisy(part)) for part in (0.01, 0.03)),
    Variation("an implant", with_implant),
    Variation("a lead letter beside the skin", marked),
    Variation("a marker on every image", marker=True, phantoms_only=True),
    Variation("no marker", marker=False, phantoms_only=True),
)


@lru_cache(maxsize=256)
def drawn(image: PhantomImage, spacing_mm: float, marker: bool) -> Phantom:
    """Draw a phantom once for all changes."""
    return make_phantom(
        image.seed,
        laterality=image.laterality or "L",
        view=image.view or "CC",
        spacing_mm=spacing_mm,
        lesions=image.lesions,
        marker=marker,
    )


@dataclass(frozen=True, kw_only=True)
class Changed(AnnotatedImage):
    """A phantom as another hospital would send it."""

    phantom: PhantomImage
    variation: Variation

    def load(self) -> tuple[Mammogram, tuple[Lesion, ...]]:
        """Draw the phantom, write it as DICOM, change it and read it."""
        marker = self.phantom.marker if self.variation.marker is None else self.variation.marker
        image = drawn(self.phantom, self.variation.spacing_mm, marker)
        lesions = tuple(Lesion(t.box, t.type, t.malignant, t.mask) for t in image.lesions)
        return load_mammogram(self.variation.change(phantom_dataset(image))), lesions

    @property
    def fingerprint(self) -> str:
        """Not used: these images are not cached."""
        return f"{self!r}"


def main() -> None:
    """Evaluate the variations and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phantoms", type=int, default=60, help="0 for none")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--real", type=Path, nargs="*", default=[], metavar="FILE.dcm")
    arguments = parser.parse_args()
    predictor = Predictor(arguments.weights, threshold=LOWEST_SCORE)
    print(f"{predictor.model.name} {predictor.model.version}")
    if arguments.phantoms:
        phantom_table(predictor, arguments.phantoms)
    if arguments.real:
        print(f"\n| change | {' | '.join(path.stem for path in arguments.real)} |")
        print("|---" * (1 + len(arguments.real)) + "|")
        first = [found(predictor, path, VARIATIONS[0]) for path in arguments.real]
        for variation in VARIATIONS:
            if not variation.phantoms_only:
                cells = [
                    followed(found(predictor, p, variation), f) for p, f in zip(arguments.real, first, strict=True)
                ]
                print(f"| {variation.name} | {' | '.join(cells)} |", flush=True)


def phantom_table(predictor: Predictor, count: int) -> None:
    """Print the effect of each change on phantoms."""
    print(f"\n{count} phantoms from seed {SEED}, 0.2 mm, 12 bits\n")
    print("| change | sensitivity at 0.5 (IoU 0.2) | Dice, detected | AUC, true boxes | AUC end to end |")
    print("|---|---:|---:|---:|---:|")
    images = phantom_images(SEED, count)
    unchanged: list[Statistic] = []
    for variation in VARIATIONS:
        changed = [
            Changed(image_id=i.image_id, patient=i.patient, malignant=i.malignant, phantom=i, variation=variation)
            for i in images
        ]
        now = figures(evaluate(predictor, changed).cases)
        unchanged = unchanged or now
        cells = [cell(n, before, len(images)) for n, before in zip(now, unchanged, strict=True)]
        print(f"| {variation.name} | {' | '.join(cells)} |", flush=True)


def figures(cases: Sequence[ImageCase]) -> list[Statistic]:
    """Return the figures of the table as functions of image numbers."""
    table = statistics(cases)
    names = ("dice_detected", "lesion_auc_true_boxes", "lesion_auc_end_to_end")
    return [sensitivity(matches(cases, IOU_02), 0.5), *(table[name] for name in names)]


def cell(now: Statistic, before: Statistic, count: int) -> str:
    """Format a figure and, for changed images, its difference from the unchanged ones."""
    value = f"{now(np.arange(count)):.3f}"
    if now is before:
        return value
    difference = paired_bootstrap(now, before, [str(i) for i in range(count)])
    return f"{value}, {with_interval(asdict(difference), sign='+')}"


def found(predictor: Predictor, path: Path, variation: Variation) -> StudyResult:
    """Return the model's findings on a changed real image."""
    ds = dcmread(path)
    ds.decompress()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return predictor.predict("robustness", [load_mammogram(variation.change(ds))])


def followed(result: StudyResult, reference: StudyResult) -> str:
    """Format what became of the unchanged image's highest-scoring finding: its score, and the IoU of its box."""
    (now,), (before,) = result.images, reference.images
    if not before.findings or not now.findings:
        return "none"
    overlap, finding = max(((iou(f.box, before.findings[0].box), f) for f in now.findings), key=lambda pair: pair[0])
    return f"{finding.lesion_score:.2f}, IoU {overlap:.2f}" if overlap else "none"


if __name__ == "__main__":
    main()
