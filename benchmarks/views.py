"""Do detection's and segmentation's features help to tell malignant from benign? Heads trained anew on frozen views.

In a whole training run the features and the heads that read them change together, and seeds differ more than fusions
do. Here a trained network stays as it is; what its tasks see of the lesions is computed once, and classification heads
are trained on it that differ only in what they are handed and how it is combined. All have the same parameters, but
for the first row's, and learn from the same regions in the same order. Trained on phantoms whose outlines are known,
they are tested on the true boxes of phantoms:500@3000000.

    python benchmarks/views.py [--heads 2] [--images 600 60] [--cache .cache] WEIGHTS [WEIGHTS ...]

WEIGHTS are of networks with all tasks, such as `ftmtl ablate benchmarks/ablation/phantoms.toml --variants B+,D-detach
...` leaves: detection and segmentation of D-detach never learned malignancy through a fusion. Prints a table: AUC, mean
over networks, and the differences from copies of classification's own features and from nothing handed over, with
their 95% intervals over the networks (Student's t).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from ftmtl.network.heads.classification import ClassificationHead
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from ftmtl.datasets.catalogue import TRAINING_SEED
from ftmtl.datasets.load import load_samples
from ftmtl.datasets.phantoms import phantom_images
from ftmtl.datasets.sample import Sample
from ftmtl.errors import WeightsError
from ftmtl.evaluation.plots import with_spread
from ftmtl.evaluation.statistics import auc
from ftmtl.network.ftmtlnet import FTMTLNet
from ftmtl.network.losses import classification_loss
from ftmtl.network.variants import TASKS
from ftmtl.preprocess import standardise
from ftmtl.training.augment import augmented
from ftmtl.training.validation import true_boxes
from ftmtl.weights import load_weights

TRAINING, TEST = (TRAINING_SEED, 600), (3_000_000, 500)
"""First seed and number of the phantoms: those of `benchmarks/ablation/phantoms.toml`, and of the model's page."""
DRAWS = 3
"""How often each training image is augmented."""
STEPS, BATCH, RATE = 400, 64, 1e-3
OWN, FINER = "roi->cls", "roi->seg"
"""Classification's own RoI features, 7×7; and the same levels of the pyramid at segmentation's 14×14."""

Views = dict[str, Tensor]
"""By the names of `FTMTLNet.region_features`: float16, shape (regions, channels, s, s)."""
Scales = dict[str, tuple[Tensor, Tensor]]
"""By the same names, for the views that are standardised: mean and standard deviation of each channel."""


@dataclass(frozen=True)
class Fusion:
    """What a head is handed beside the features it starts from, and how they are combined."""

    name: str
    handed: tuple[str, ...]
    fusion: str = "concat"
    own: str = OWN
    standardised: bool = False


CONTROLS = {
    OWN: Fusion("`F_roi` twice more", (OWN, OWN)),
    FINER: Fusion("at 14×14: `F_roi` twice more", (FINER, FINER), own=FINER),
}
"""What others of the same size are compared with."""
NOTHING = Fusion("nothing", ())
FUSIONS = (
    NOTHING,
    CONTROLS[OWN],
    Fusion("`F_det`, `F_roi` once more", ("det", OWN)),
    Fusion("`F_seg`, `F_roi` once more", ("seg", OWN)),
    Fusion("`F_det`, `F_seg`", ("det", "seg")),
    Fusion("`F_det`, `F_seg`, added", ("det", "seg"), "sum"),
    Fusion("`F_det`, `F_seg`, gated", ("det", "seg"), "gate"),
    Fusion("`F_det`, `F_seg`, all channels standardised", ("det", "seg"), standardised=True),
    CONTROLS[FINER],
    Fusion("at 14×14: `F_det`, `F_seg`", ("det", "seg"), own=FINER),
)


@dataclass(frozen=True)
class Regions:
    """Lesions as a network sees them.

    Attributes
    ----------
    malignant
        int64, shape (regions,).
    image
        int64, shape (regions,): the number of the image each lies on.
    """

    views: Views
    malignant: Tensor
    image: Tensor


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--heads", type=int, default=2, help="heads of each kind a network (default 2)")
    parser.add_argument(
        "--images", type=int, nargs="+", default=[TRAINING[1]], help="phantoms learned from, a table each (default 600)"
    )
    parser.add_argument("--cache", type=Path, help="folder for prepared phantoms")
    arguments = parser.parse_args()
    torch.use_deterministic_algorithms(True, warn_only=True)
    scores: dict[int, list[list[list[float]]]] = {count: [] for count in arguments.images}
    along: list[float] = []
    for path in arguments.weights:
        network = loaded(path)
        learned, tested = (phantoms(seen, network.config.input_size, arguments.cache) for seen in (TRAINING, TEST))
        training, test = see(network, regions(network, learned)), see(network, whole(tested))
        along.append(scored(network.classification, test, own(network), {}))
        print(path, "its own head", f"{along[-1]:.4f}", sep=" | ", file=sys.stderr, flush=True)
        for count in arguments.images:
            few, rows = training.image < count, []
            for kind in FUSIONS:
                rows.append([measured(network, training, few, test, kind, head) for head in range(arguments.heads)])
                cells = (path, count, kind.name, *(f"{value:.4f}" for value in rows[-1]))
                print(*cells, sep=" | ", file=sys.stderr, flush=True)
            scores[count].append(rows)
    print(f"The networks' own heads, trained along with them: {with_spread(along, '.4f')}\n")
    for count in arguments.images:
        print(table(np.array(scores[count]), count))


def loaded(path: Path) -> FTMTLNet:
    """A network with all tasks, from its weights; ends the program if there is none."""
    try:
        network = load_weights(path)[0]
    except WeightsError as error:
        sys.exit(str(error))
    if not isinstance(network, FTMTLNet) or set(network.config.tasks) != set(TASKS):
        sys.exit(f"{path}: one network that has all tasks is needed")
    return network


@lru_cache(maxsize=2)
def phantoms(seen: tuple[int, int], size: tuple[int, int], cache: Path | None) -> list[Sample]:
    """Phantoms, fitted to a network's input; drawn or read once for all networks of one size."""
    return load_samples(phantom_images(*seen), size, cache=cache)


def whole(samples: Sequence[Sample]) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
    """Each image as it is and its lesions' tight boxes: number, image, boxes, malignancy."""
    for number, sample in enumerate(samples):
        if len(sample.masks):
            pixels = torch.from_numpy(standardise(sample.pixels.astype(np.float32)))[None]
            yield number, pixels, true_boxes(sample), torch.from_numpy(sample.malignant)


def regions(network: FTMTLNet, samples: Sequence[Sample]) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
    """Each image augmented as in training, `DRAWS` times, and boxes about its lesions, as `whole`."""
    for draw in range(DRAWS):
        for number, sample in enumerate(samples):
            image, target = augmented(sample, np.random.default_rng([0, draw, number]), None)
            if len(target.boxes):
                rois, matched = network.sampler.about_lesions([target])
                yield number, image, rois[0], target.malignant[matched[0]]


def see(network: FTMTLNet, images: Iterator[tuple[int, Tensor, Tensor, Tensor]]) -> Regions:
    """What the network's tasks see of the boxes."""
    views: dict[str, list[Tensor]] = {}
    malignant, image = [], []
    for number, pixels, rois, labels in images:
        for name, view in network.region_features(pixels[None], [rois]).items():
            views.setdefault(name, []).append(view.half())
        malignant.append(labels)
        image.append(torch.full_like(labels, number))
    return Regions({name: torch.cat(v) for name, v in views.items()}, torch.cat(malignant), torch.cat(image))


def own(network: FTMTLNet) -> Fusion:
    """What the network's own head is handed."""
    handed = tuple(OWN if source == "roi" else source for source in network.config.sources("cls"))
    return Fusion("its own head", handed, network.config.fusion)


def measured(network: FTMTLNet, training: Regions, chosen: Tensor, test: Regions, kind: Fusion, seed: int) -> float:
    """Train one head on the chosen regions; returns its AUC on the others."""
    torch.manual_seed(seed)
    config = network.config
    head = ClassificationHead(config.channels, len(config.types), len(kind.handed), kind.fusion)
    scales = {name: spread(training.views[name][chosen]) for name in {kind.own, *kind.handed} if kind.standardised}
    optimiser = torch.optim.AdamW(head.parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, STEPS)
    order = np.random.default_rng([seed, 1])
    places = torch.where(chosen)[0]
    for _ in range(STEPS):
        batch = places[torch.from_numpy(order.integers(len(places), size=BATCH))]
        loss = classification_loss(decided(head, training.views, batch, kind, scales), training.malignant[batch])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 5.0)
        optimiser.step()
        schedule.step()
    return scored(head, test, kind, scales)


@torch.no_grad()
def scored(head: ClassificationHead, test: Regions, kind: Fusion, scales: Scales) -> float:
    """AUC of a head."""
    parts = torch.arange(len(test.malignant)).split(BATCH)
    logits = torch.cat([decided(head, test.views, part, kind, scales) for part in parts])
    return auc((logits[:, 1] - logits[:, 0]).numpy(), test.malignant.numpy() == 1)


def decided(head: ClassificationHead, views: Views, chosen: Tensor, kind: Fusion, scales: Scales) -> Tensor:
    """A head's logits of benign and malignant, shape (regions, 2)."""
    maps = {}
    for name in {kind.own, *kind.handed}:
        maps[name] = views[name][chosen].float()
        if name in scales:
            middle, deviation = scales[name]
            maps[name] = (maps[name] - middle) / deviation
    logits: Tensor = head(head.view(maps[kind.own]), [maps[name] for name in kind.handed])[0]
    return logits


def spread(view: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, shape (1, channels, 1, 1)."""
    some = view[::8].float()
    return some.mean((0, 2, 3), keepdim=True), some.std((0, 2, 3), keepdim=True) + 1e-3


def table(scores: NDArray[np.float64], count: int) -> str:
    """AUC over networks, and differences from the controls, of shape (networks, fusions, heads)."""
    each = scores.mean(axis=2)
    lines = [
        f"| learned from {count} phantoms, handed to classification | AUC, true boxes | less copies | less nothing |",
        "|---|---|---|---|",
    ]
    for number, kind in enumerate(FUSIONS):
        values, control = each[:, number], CONTROLS[kind.own]
        cells = [with_spread(values, ".4f")]
        for other in (control, NOTHING):
            compared = kind is not other and kind.own == other.own
            cells.append(difference(values - each[:, FUSIONS.index(other)]) if compared else "")
        lines.append(f"| {kind.name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def difference(gaps: NDArray[np.float64]) -> str:
    """Mean of the networks' differences, with its 95% interval."""
    if len(gaps) < 2:
        return f"{gaps.mean():+.4f}"
    half = stats.t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps))
    return f"{gaps.mean():+.4f} ({gaps.mean() - half:+.4f} to {gaps.mean() + half:+.4f})"


if __name__ == "__main__":
    main()
