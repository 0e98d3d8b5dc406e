"""What the public validators say, and what of it counts."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset


def errors(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("Error")]


def about_a_source_alone(line: str, paths: list[Path]) -> bool:
    """A source may refer to images that nobody sent us, such as its raw image."""
    return "Missing SOPInstanceUID that was referenced" in line and any(str(path) in line for path in paths)


def about_a_label_map(line: str, seg: Dataset) -> bool:
    """dciodvfy of 2026 does not count a Label Map Segmentation as a Segmentation where segments are referenced."""
    return seg.SegmentationType == "LABELMAP" and "Referenced SOP Class that is not segmentation" in line
