"""The OHIF viewer itself, in a browser, on Orthanc: it draws the lesions where the images have them.

Judged by the pixels of its window (`support.screens`), not by what it says. Slow: the browser starts once for all.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from support import mg
from support.peers import Orthanc, tool, viewer_modules
from support.places import ROOT
from support.screens import Misplaced, Rectangle, burn_ring, check_filled, check_outlined, read_screen

from ftmtl.findings import Finding, ImageResult, LesionMask
from node.kinds import ObjectKind
from node.results.common.content import points_of, walk
from node.results.common.source import read_source
from node.results.seg.build import build_segmentation
from node.results.sr.ohif import build_reports_ohif

VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
PLACES = ((300, 200), (90, 130), (250, 330), (70, 400))
"""Column and row of each view's lesion."""
ROWS, COLUMNS = (600, 600, 604, 602), 450
"""Size of each view: a frame of bits has an odd number of bytes in the third, and ends within a byte in the last."""
SECOND = (1, 3)
"""Views with another lesion over the first; the segmentation of the last one is a label map."""
MAX_VALUE = 4095
STUDY, CONTROL = "2.25.10", "2.25.11"
PATIENCE_S = 400


@dataclass(frozen=True)
class View:
    """An image, its file, and the files of what was made of it."""

    name: str
    header: Dataset
    image: ImageResult
    source: Path
    seg: Path
    sr: Path

    @property
    def mask(self) -> LesionMask:
        return together(self.image.findings)

    @property
    def files(self) -> list[Path]:
        return [self.source, self.seg, self.sr]

    def series(self, path: Path) -> str:
        return str(dcmread(path).SeriesDescription)


def lesion(column: int, row: int, mm: float | None) -> Finding:
    """Return an ellipse without its top-left quarter: a flip, a turn or a shift shows."""
    height, width = 60, 80
    y, x = np.mgrid[:height, :width] + 0.5
    pixels = ((x - width / 2) / (width / 2)) ** 2 + ((y - height / 2) / (height / 2)) ** 2 <= 1
    pixels[: height // 2, : width // 2] = False
    found = mg.finding(column, row, (width, height), mm=mm)
    return replace(found, mask=LesionMask(pixels, column, row))


def together(findings: Sequence[Finding]) -> LesionMask:
    """Return all masks as one."""
    left, top = min(f.mask.column for f in findings), min(f.mask.row for f in findings)
    full = np.any([f.mask.paste(max(ROWS), COLUMNS) for f in findings], axis=0)
    rows, columns = np.flatnonzero(full.any(axis=1)), np.flatnonzero(full.any(axis=0))
    return LesionMask(full[top : rows[-1] + 1, left : columns[-1] + 1], left, top)


def mirrored(finding: Finding) -> Finding:
    """Return a finding with its mask flipped left-right within its box."""
    mask = finding.mask
    return replace(finding, mask=LesionMask(mask.pixels[:, ::-1], mask.column, mask.row))


def drawn(header: Dataset, mask: LesionMask) -> NDArray[np.uint16]:
    """Return a breast with a lesion in a ring; nothing but the ring is white."""
    rows, columns = header.Rows, header.Columns
    y, x = np.mgrid[:rows, :columns]
    depth = 1 - np.hypot(x / (0.85 * columns), (y - rows / 2) / (0.46 * rows))
    if header.ImageLaterality == "R":
        depth = depth[:, ::-1]
    grey = np.where(depth > 0, 500 + 1100 * np.sqrt(depth.clip(0)), 20) + 60 * np.sin(x / 9) * np.sin(y / 7)
    grey += 500 * mask.paste(rows, columns)
    pixels = grey.clip(0, MAX_VALUE // 2).astype(np.uint16)
    burn_ring(pixels, mask, MAX_VALUE)
    return pixels


def make_views(folder: Path, study: str, views: int, *, mirror: bool = False) -> list[View]:
    """Write a study of views and what OHIF gets for them; with mirrored masks for the control."""
    folder.mkdir()
    headers, images = [], []
    for n, ((side, view), (column, row)) in enumerate(list(zip(VIEWS, PLACES, strict=True))[:views]):
        ds = mg.mg_header(side, view, (ROWS[n], COLUMNS), f"{study}.{n + 1}", n + 1)
        ds.StudyInstanceUID = study
        mm = None if n == 2 else 0.1
        findings = [lesion(column, row, mm)]
        if n in SECOND:
            findings.append(replace(lesion(column + 40, row + 30, mm), lesion_score=0.95))
        ds.PixelData = drawn(ds, together(findings)).tobytes()
        headers.append(read_source(mg.write(ds, folder)))
        images.append(mg.image_result(headers[-1], list(map(mirrored, findings)) if mirror else findings, mm))
    result = mg.study_result(images, study)
    segs = {
        h.SOPInstanceUID: build_segmentation(h, i, result, n, ObjectKind.SEG_OHIF)
        for n, (h, i) in enumerate(zip(headers, images, strict=True))
    }
    reports = build_reports_ohif(headers, result, segs)
    made = []
    for header, image, (side, view) in zip(headers, images, VIEWS, strict=False):
        uid = header.SOPInstanceUID
        paths = [folder / f"{uid}.{kind}.dcm" for kind in ("seg", "sr")]
        for ds, path in zip((segs[uid], reports[uid]), paths, strict=True):
            ds.save_as(path, enforce_file_format=True)
        made.append(View(f"{side}{view}", header, image, folder / f"{uid}.dcm", *paths))
    return made


def step(name: str, view: View, kind: str) -> dict[str, Any]:
    """Return what the driver opens and takes a picture of: a report to look at, or a segmentation to work with."""
    if kind == "sr":
        return {"name": name, "series": view.series(view.sr), "hydrate": False, "outlines": len(view.image.findings)}
    return {"name": name, "series": view.series(view.seg), "hydrate": True, "outlines": 0}


@dataclass(frozen=True)
class Session:
    """What came of driving the viewer: pictures of its window, and the driver's report."""

    views: list[View]
    control: View
    pictures: Path
    report: dict[str, Any]

    def picture(self, step: str) -> tuple[Path, Rectangle]:
        """Return a step's picture, and where the viewport lies on it."""
        box = self.report["steps"][step]["viewport"]
        corner = box["x"] + box["width"], box["y"] + box["height"]
        return self.pictures / f"{step}.png", Rectangle(box["x"], box["y"], *corner)


@pytest.fixture(scope="module")
def session(dicomweb: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The viewer has shown every report and every segmentation of a study, and a mirrored one of another."""
    modules, node, chromium = viewer_modules(), tool("node"), tool("chromium")
    folder = tmp_path_factory.mktemp("ohif")
    views = make_views(folder / "study", STUDY, len(VIEWS))
    (control,) = make_views(folder / "control", CONTROL, 1, mirror=True)
    for view in (*views, control):
        dicomweb.stow(*view.files)
    steps = [step(f"{view.name}-{kind}", view, kind) for kind in ("sr", "seg") for view in views]
    mirrored_step = step("control", control, "seg")
    pictures = folder / "pictures"
    pictures.mkdir()
    plan = {
        "modules": str(modules),
        "chromium": chromium,
        "orthanc": dicomweb.http_port,
        "profile": str(folder / "profile"),
        "pictures": str(pictures),
        "studies": [{"uid": STUDY, "steps": steps}, {"uid": CONTROL, "steps": [mirrored_step]}],
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    driver = ROOT / "tests" / "ohif" / "driver.mjs"
    done = subprocess.run(
        [node, driver, folder / "plan.json"], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    if artifacts := os.environ.get("FTMTL_ARTIFACTS"):
        shutil.copytree(pictures, Path(artifacts) / "ohif", dirs_exist_ok=True)
    assert done.returncode == 0, done.stderr
    return Session(views, control, pictures, json.loads(done.stdout))


def test_neither_the_console_nor_the_network_complains(session: Session) -> None:
    assert session.report["complaints"] == []


def test_each_segmentation_fills_its_lesion(session: Session) -> None:
    encodings = []
    for view in session.views:
        screen = read_screen(*session.picture(f"{view.name}-seg"), view.mask)
        check_filled(screen, view.mask, view.header.Rows, view.header.Columns)
        assert session.report["steps"][f"{view.name}-seg"]["unopened"] == []
        encodings.append(dcmread(view.seg).SegmentationType)
    assert encodings == ["BINARY", "BINARY", "BINARY", "LABELMAP"]


def test_each_report_outlines_its_lesion_read_only(session: Session) -> None:
    for view in session.views:
        screen = read_screen(*session.picture(f"{view.name}-sr"), view.mask)
        polygons = [points_of(item.ds) for item in walk(dcmread(view.sr)) if item.type == "SCOORD"]
        assert len(polygons) == len(view.image.findings)
        for points in polygons:
            check_outlined(screen, points)
        step = session.report["steps"][f"{view.name}-sr"]
        assert step["unopened"] == ["SR"]
        assert "Cancer score, uncalibrated: 72.00 {0:100}" in "".join(step["texts"])
        with pytest.raises(Misplaced):
            check_outlined(screen, polygons[0] + np.array([25, 0]))


def test_a_mirrored_mask_is_noticed(session: Session) -> None:
    """The check can fail: on a segmentation that really is mirrored, and on a sound one for a mirrored mask."""
    truth = mirrored(session.control.image.findings[0]).mask
    rows, columns = session.control.header.Rows, session.control.header.Columns
    screen = read_screen(*session.picture("control"), truth)
    check_filled(screen, session.control.mask, rows, columns)
    with pytest.raises(Misplaced, match="off the mask"):
        check_filled(screen, truth, rows, columns)
    first = session.views[0]
    screen = read_screen(*session.picture(f"{first.name}-seg"), first.mask)
    with pytest.raises(Misplaced, match="off the mask"):
        check_filled(screen, mirrored(first.image.findings[0]).mask, rows, columns)
