"""Do the features of detection and segmentation help classification? Heads are retrained on frozen networks.

In a complete training run, the features and the heads that use them change together, and results vary more between
seeds than between fusions. Here the trained network stays fixed. Its views of the lesions are computed once, and
classification heads are trained on them that only differ in the views that they get and in the fusion. All heads but
that of the first row have the same number of parameters, and all learn from the same regions in the same order. They
are trained on phantoms and tested on the true boxes of phantoms:500@3000000.

    python benchmarks/views.py [--heads 2] [--images 600 60] [--cache .cache] WEIGHTS [WEIGHTS ...]

WEIGHTS belong to networks with all tasks, such as those of `ftmtl ablate benchmarks/ablation/phantoms.toml --variants
B+,D-detach ...`. Detection and segmentation of D-detach have never learned malignancy through a fusion. Prints a table
with the mean AUC over networks, and the differences from heads with copies of classification's own features and from
heads without transfer, with 95% intervals over the networks (Student's t).
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
from ftmtl.network.heads.classification import ClassificationHead
from ftmtl.network.losses import classification_loss
from ftmtl.network.variants import TASKS
from ftmtl.preprocess import standardise
from ftmtl.training.augment import augmented
from ftmtl.training.validation import true_boxes
from ftmtl.weights import load_weights

TRAINING, TEST = (TRAINING_SEED, 600), (3_000_000, 500)
"""First seed and number of the phantoms, as in `benchmarks/ablation/phantoms.toml` and in the model card."""
DRAWS = 3
"""Number of augmentations of each training image."""
STEPS, BATCH, RATE = 400, 64, 1e-3
OWN, FINER = "roi->cls", "roi->seg"
"""Classification's own RoI features at 7×7, and those of the same pyramid levels at segmentation's 14×14."""

Views = dict[str, Tensor]
"""Views by the names of `FTMTLNet.region_features`: float16, shape (regions, channels, s, s)."""
Scales = dict[str, tuple[Tensor, Tensor]]
"""Mean and standard deviation of each channel of the views that are standardised, by the same names."""


@dataclass(frozen=True)
class Fusion:
    """The views that are transferred to a head, and how they are combined with the features that it starts from."""

    name: str
    handed: tuple[str, ...]
    fusion: str = "concat"
    own: str = OWN
    standardised: bool = False


CONTROLS = {
    OWN: Fusion("two copies of `F_roi`", (OWN, OWN)),
    FINER: Fusion("at 14×14: two copies of `F_roi`", (FINER, FINER), own=FINER),
}
"""Heads with which others of the same size are compared."""
NOTHING = Fusion("nothing", ())
FUSIONS = (
    NOTHING,
    CONTROLS[OWN],
    Fusion("`F_det`, one copy of `F_roi`", ("det", OWN)),
    Fusion("`F_seg`, one copy of `F_roi`", ("seg", OWN)),
    Fusion("`F_det`, `F_seg`", ("det", "seg")),
    Fusion("`F_det`, `F_seg`, added", ("det", "seg"), "sum"),
    Fusion("`F_det`, `F_seg`, gated", ("det", "seg"), "gate"),
    Fusion("`F_det`, `F_seg`, all channels standardised", ("det", "seg"), standardised=True),
    CONTROLS[FINER],
    Fusion("at 14×14: `F_det`, `F_seg`", ("det", "seg"), own=FINER),
)


@dataclass(frozen=True)
class Regions:
    """A network's views of regions on lesions.

    Attributes
    ----------
    malignant
        int64, shape (regions,).
    image
        int64, shape (regions,): number of each region's image.
    """

    views: Views
    malignant: Tensor
    image: Tensor

    def of_images(self, count: int) -> Regions:
        """Return the regions of the first ``count`` images."""
        chosen = self.image < count
        if chosen.all():
            return self
        views = {name: view[chosen] for name, view in self.views.items()}
        return Regions(views, self.malignant[chosen], self.image[chosen])


def main() -> None:
    """Train and test the heads, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--heads", type=int, default=2, help="heads of each kind per network (default 2)")
    parser.add_argument(
        "--images",
        type=int,
        nargs="+",
        default=[TRAINING[1]],
        help="numbers of training phantoms, with one table each (default 600)",
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
            learned_from, rows = training.of_images(count), []
            for kind in FUSIONS:
                rows.append([measured(network, learned_from, test, kind, head) for head in range(arguments.heads)])
                cells = (path, count, kind.name, *(f"{value:.4f}" for value in rows[-1]))
                print(*cells, sep=" | ", file=sys.stderr, flush=True)
            scores[count].append(rows)
    print(f"The networks' own heads, trained along with them: {with_spread(along, '.4f')}\n")
    for count in arguments.images:
        print(table(np.array(scores[count]), count))


def loaded(path: Path) -> FTMTLNet:
    """Load a network with all tasks; exit with a message if that is not possible."""
    try:
        network = load_weights(path)[0]
    except WeightsError as error:
        sys.exit(str(error))
    if not isinstance(network, FTMTLNet) or set(network.config.tasks) != set(TASKS):
        sys.exit(f"{path} is not a single network with all tasks")
    return network


@lru_cache(maxsize=2)
def phantoms(seen: tuple[int, int], size: tuple[int, int], cache: Path | None) -> list[Sample]:
    """Load phantoms fitted to the input of a network, once for all networks with the same input size."""
    return load_samples(phantom_images(*seen), size, cache=cache)


def whole(samples: Sequence[Sample]) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
    """Yield number, image, tight boxes of the lesions, and malignancy, for images without augmentation."""
    for number, sample in enumerate(samples):
        if len(sample.masks):
            pixels = torch.from_numpy(standardise(sample.pixels.astype(np.float32)))[None]
            yield number, pixels, true_boxes(sample), torch.from_numpy(sample.malignant)


def regions(network: FTMTLNet, samples: Sequence[Sample]) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
    """Yield the same as `whole` for images augmented `DRAWS` times as in training, with boxes around the lesions."""
    for draw in range(DRAWS):
        for number, sample in enumerate(samples):
            image, target = augmented(sample, np.random.default_rng([0, draw, number]), None)
            if len(target.boxes):
                rois, matched = network.sampler.about_lesions([target])
                yield number, image, rois[0], target.malignant[matched[0]]


def see(network: FTMTLNet, images: Iterator[tuple[int, Tensor, Tensor, Tensor]]) -> Regions:
    """Compute the network's views of the boxes."""
    views: dict[str, list[Tensor]] = {}
    malignant, image = [], []
    for number, pixels, rois, labels in images:
        for name, view in network.region_features(pixels[None], [rois]).items():
            views.setdefault(name, []).append(view.half())
        malignant.append(labels)
        image.append(torch.full_like(labels, number))
    return Regions({name: torch.cat(v) for name, v in views.items()}, torch.cat(malignant), torch.cat(image))


def own(network: FTMTLNet) -> Fusion:
    """Return the fusion of the network's own head."""
    handed = tuple(OWN if source == "roi" else source for source in network.config.sources("cls"))
    return Fusion("its own head", handed, network.config.fusion)


def measured(network: FTMTLNet, training: Regions, test: Regions, kind: Fusion, seed: int) -> float:
    """Train one head on some regions and return its AUC on others."""
    torch.manual_seed(seed)
    config = network.config
    head = ClassificationHead(config.channels, len(config.types), len(kind.handed), kind.fusion)
    scales = {name: spread(training.views[name]) for name in {kind.own, *kind.handed} if kind.standardised}
    optimiser = torch.optim.AdamW(head.parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, STEPS)
    order = np.random.default_rng([seed, 1])
    for _ in range(STEPS):
        batch = torch.from_numpy(order.integers(len(training.malignant), size=BATCH))
        loss = classification_loss(decided(head, training.views, batch, kind, scales), training.malignant[batch])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 5.0)
        optimiser.step()
        schedule.step()
    return scored(head, test, kind, scales)


@torch.no_grad()
def scored(head: ClassificationHead, test: Regions, kind: Fusion, scales: Scales) -> float:
    """Return the AUC of a head."""
    parts = torch.arange(len(test.malignant)).split(BATCH)
    logits = torch.cat([decided(head, test.views, part, kind, scales) for part in parts])
    return auc((logits[:, 1] - logits[:, 0]).numpy(), test.malignant.numpy() == 1)


def decided(head: ClassificationHead, views: Views, chosen: Tensor, kind: Fusion, scales: Scales) -> Tensor:
    """Return a head's logits of benign and malignant, shape (regions, 2)."""
    maps = {}
    for name in {kind.own, *kind.handed}:
        maps[name] = views[name][chosen].float()
        if name in scales:
            middle, deviation = scales[name]
            maps[name] = (maps[name] - middle) / deviation
    logits: Tensor = head(head.view(maps[kind.own]), [maps[name] for name in kind.handed])[0]
    return logits


def spread(view: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel, shape (1, channels, 1, 1)."""
    some = view[::8].float()
    return some.mean((0, 2, 3), keepdim=True), some.std((0, 2, 3), keepdim=True) + 1e-3


def table(scores: NDArray[np.float64], count: int) -> str:
    """Format AUCs, shape (networks, fusions, heads), as means over networks and differences from the controls."""
    each = scores.mean(axis=2)
    lines = [
        f"| features handed to classification, heads trained on {count} phantoms | AUC, true boxes | minus copies "
        "| minus nothing |",
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
    """Format the mean of the networks' differences with its 95% interval."""
    if len(gaps) < 2:
        return f"{gaps.mean():+.4f}"
    half = stats.t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps))
    return f"{gaps.mean():+.4f} ({gaps.mean() - half:+.4f} to {gaps.mean() + half:+.4f})"


if __name__ == "__main__":
    main()
