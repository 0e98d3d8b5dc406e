"""Cost of one multi-task pass, compared with three single-task networks and with torchvision's Mask R-CNN.

All networks have the same backbone, pyramid, input and number of detections. Their weights are random, so each network
finds as many boxes as it is allowed to. Times are medians over interleaved rounds in one process. Peak memory is that
of weights and forward pass, measured for each network in its own process (on a GPU, the allocator's peak).

    python benchmarks/one_pass.py [--backbone resnet18] [--device cpu] [--rounds 15]

Prints a table and the ratios. The exit status is 1 if a ratio exceeds its limit.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torchvision.models.detection import MaskRCNN

from ftmtl.network.backbone import build_backbone
from ftmtl.network.ftmtlnet import FTMTLNet
from ftmtl.network.proposals import proposal_network
from ftmtl.network.variants import NetworkConfig, variant

LIMIT_SINGLE_TASK, LIMIT_MASK_RCNN = 0.45, 1.15
SINGLE = ("detector", "segmenter", "classifier")
MASK_RCNN = "Mask R-CNN, FT-MTL-Net's proposals"
MASK_RCNN_STOCK = "Mask R-CNN, stock proposals"
NAMES = ("FT-MTL-Net", *SINGLE, MASK_RCNN, MASK_RCNN_STOCK)


def build(name: str, config: NetworkConfig, device: torch.device) -> Callable[[], object]:
    """Return a function that runs one forward pass on one image."""
    torch.manual_seed(0)
    image = torch.randn(1, 1, *config.input_size, device=device)
    if name.startswith("Mask R-CNN"):
        network = mask_rcnn(config, stock=name == MASK_RCNN_STOCK).to(device).eval()
        return lambda: network([image[0].expand(3, -1, -1)])
    tasks = {"detector": ("det",), "segmenter": ("seg",), "classifier": ("cls",)}
    plain = variant("D", config)
    if name in tasks:
        plain = replace(plain, tasks=tasks[name], transfer=())
    ours = FTMTLNet(plain).to(device).eval()
    boxes = None if "det" in plain.tasks else [given_boxes(config, device)]
    return lambda: ours.predict(image, boxes)


def given_boxes(config: NetworkConfig, device: torch.device) -> torch.Tensor:
    """Return boxes for the networks that do not detect, as many as a detector may find."""
    generator = torch.Generator().manual_seed(1)
    count, (height, width) = config.detections_per_image, config.input_size
    corners = torch.rand((count, 2), generator=generator) * torch.tensor([width - 90.0, height - 90.0])
    return torch.cat([corners, corners + 80 * torch.rand((count, 2), generator=generator) + 8], dim=1).to(device)


def mask_rcnn(config: NetworkConfig, *, stock: bool) -> MaskRCNN:
    """Return torchvision's Mask R-CNN on the same backbone and pyramid, with its own heads for two classes."""
    height, width = config.input_size
    own = proposal_network(config)
    counts = {} if stock else {"rpn_pre_nms_top_n_test": 300, "rpn_post_nms_top_n_test": 100}
    return MaskRCNN(
        build_backbone(config),
        num_classes=2,
        min_size=min(height, width),
        max_size=max(height, width),
        rpn_anchor_generator=own.anchor_generator,
        box_detections_per_img=config.detections_per_image,
        box_score_thresh=0.0,
        box_nms_thresh=config.nms_iou,
        **counts,
    )


@torch.no_grad()
def times(config: NetworkConfig, device: torch.device, rounds: int) -> dict[str, list[float]]:
    """Measure the seconds of a forward pass, with every network once per round."""
    calls = {name: build(name, config, device) for name in NAMES}
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    for number in range(rounds + 3):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if number >= 3:
                seconds[name].append(time.perf_counter() - started)
    return seconds


@torch.no_grad()
def peak_memory(name: str, config: NetworkConfig, device: torch.device) -> int:
    """Measure the peak memory, in bytes, of weights and a forward pass; run in a new process."""
    before = 0 if device.type == "cuda" else _status("VmRSS")
    call = build(name, config, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5")
    call()
    call()
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _status("VmHWM") - before


def _status(key: str) -> int:
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise SystemExit(f"one_pass: this system does not report {key}")
    return int(found.group(1)) * 1024


def report(seconds: dict[str, list[float]], memory: dict[str, int]) -> bool:
    """Print the table and the ratios; return whether all ratios are within their limits."""
    time_of = {name: statistics.median(values) for name, values in seconds.items()}
    print("| network | forward pass, ms (median) | quartiles | peak memory, MB |\n|---|---:|---|---:|")
    for name in NAMES:
        low, _, high = statistics.quantiles(seconds[name], n=4)
        print(
            f"| {name} | {1e3 * time_of[name]:.0f} | {1e3 * low:.0f} to {1e3 * high:.0f} | {memory[name] / 1e6:.0f} |"
        )
    three = sum(time_of[name] for name in SINGLE), sum(memory[name] for name in SINGLE)
    good = True
    print("\n| ratio | time | peak memory | limit |\n|---|---:|---:|---:|")
    for words, (base_time, base_memory), limit in (
        ("FT-MTL-Net / the three single-task networks", three, LIMIT_SINGLE_TASK),
        (f"FT-MTL-Net / {MASK_RCNN}", (time_of[MASK_RCNN], memory[MASK_RCNN]), LIMIT_MASK_RCNN),
        (f"FT-MTL-Net / {MASK_RCNN_STOCK}", (time_of[MASK_RCNN_STOCK], memory[MASK_RCNN_STOCK]), LIMIT_MASK_RCNN),
    ):
        ratios = time_of["FT-MTL-Net"] / base_time, memory["FT-MTL-Net"] / base_memory
        print(f"| {words} | {ratios[0]:.2f} | {ratios[1]:.2f} | {limit} |")
        good = good and max(ratios) <= limit
    return good


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--memory-of", choices=NAMES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    config, device = NetworkConfig(backbone=arguments.backbone), torch.device(arguments.device)
    if arguments.memory_of:
        print(json.dumps(peak_memory(arguments.memory_of, config, device)))
        return 0
    memory = {}
    for name in NAMES:
        command = [sys.executable, __file__, "--backbone", arguments.backbone, "--device", arguments.device]
        run = subprocess.run([*command, "--memory-of", name], check=True, capture_output=True, text=True)
        memory[name] = int(json.loads(run.stdout))
    seconds = times(config, device, arguments.rounds)
    print(f"torch {torch.__version__}, {arguments.backbone}, one image of {config.input_size}, {device}, ", end="")
    print(f"{torch.get_num_threads()} threads, {arguments.rounds} rounds\n")
    return 0 if report(seconds, memory) else 1


if __name__ == "__main__":
    sys.exit(main())
