"""``ftmtl analyze``: the same analysis on files, without network or queue."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydicom.errors import InvalidDicomError

from ftmtl.acquisition import read_header
from ftmtl.errors import NotAnalysable, WeightsError
from ftmtl.findings import Outcome
from ftmtl.mammogram.pixels import display_pixels
from ftmtl.overlay import Mark, draw
from ftmtl.predictor import Predictor
from node.errors import ReportUnusable, ResultRejected
from node.kinds import DEFAULT_OBJECTS, ObjectKind
from node.results.readback import read_predecessor
from node.results.summary import study_summary, summary
from workers.analyse import Analysis, analyse_study


def analyse_paths(
    paths: Sequence[Path],
    out: Path,
    *,
    kinds: Sequence[ObjectKind] = DEFAULT_OBJECTS,
    replaces: Sequence[Path] = (),
    weights: Path | None,
    device: str | None,
    pictures: bool,
    secondary_capture: bool,
) -> int:
    """Analyse files and folders, study by study; write objects and ``summary.json`` into ``out``.

    Parameters
    ----------
    kinds
        Which objects are written.
    replaces
        Earlier measurement reports; a study's new report names the one of this study as its predecessor.

    Returns
    -------
    int
        0 if every study came to an end and every named file could be read, else 1.
    """
    studies, skipped = _studies(paths)
    for left in skipped:
        print(f"left out: {left['path']}: {left['reason']}", file=sys.stderr)
    if not studies:
        print("ftmtl: there is no DICOM file to analyse", file=sys.stderr)
        return 1
    try:
        predecessors = {report.study_uid: report for report in map(read_predecessor, replaces)}
        predictor = Predictor(weights, device=device)
    except (WeightsError, ReportUnusable) as error:
        print(f"ftmtl: {error}", file=sys.stderr)
        return 1
    out.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    for number, (study_uid, files) in enumerate(studies.items(), start=1):
        analyse = partial(
            analyse_study,
            files,
            predictor,
            out / _folder_name(study_uid),
            kinds,
            secondary_capture=secondary_capture,
            predecessor=predecessors.get(study_uid),
        )
        entry = _analyse(study_uid, files, analyse, out, pictures)
        entries.append(entry)
        found = sum(len(image["findings"]) for image in entry["images"])
        count = f"{found} finding" if found == 1 else f"{found} findings"
        said = count if entry["outcome"] == Outcome.FINDINGS else entry["outcome"]
        print(f"[{number}/{len(studies)}] {study_uid}: {said} {entry['reason']}".rstrip())
    document: dict[str, Any] = {**summary(predictor.model, entries), "skipped": skipped}
    (out / "summary.json").write_text(json.dumps(document, indent=2) + "\n")
    print(f"results: {out}, summary: {out / 'summary.json'}. Research use only.")
    named = {str(path) for path in paths if not path.is_dir()}
    failed = any(entry["outcome"] == Outcome.FAILED for entry in entries)
    return 1 if failed or any(left["path"] in named for left in skipped) else 0


def _studies(paths: Sequence[Path]) -> tuple[dict[str, list[Path]], list[dict[str, str]]]:
    """Sort files into studies, by Study Instance UID; what is no DICOM or comes twice is told apart."""
    studies: dict[str, dict[str, Path]] = defaultdict(dict)
    skipped: list[dict[str, str]] = []
    for path in paths:
        if not path.exists():
            skipped.append({"path": str(path), "reason": "there is no such file"})
            continue
        for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            try:
                header = read_header(file)
            except (InvalidDicomError, OSError, EOFError) as error:
                reason = "not DICOM" if isinstance(error, InvalidDicomError) else f"cannot be read: {error}"
                skipped.append({"path": str(file), "reason": reason})
                continue
            if not header.study_instance_uid or not header.sop_instance_uid:
                skipped.append({"path": str(file), "reason": "DICOM, but without Study or SOP Instance UID"})
            elif header.sop_instance_uid in studies[header.study_instance_uid]:
                skipped.append({"path": str(file), "reason": "the same instance again"})
            else:
                studies[header.study_instance_uid][header.sop_instance_uid] = file
    return {uid: list(files.values()) for uid, files in studies.items()}, skipped


def _analyse(
    study_uid: str, files: list[Path], analyse: Callable[[], Analysis], out: Path, pictures: bool
) -> dict[str, Any]:
    """Analyse one study; its entry of the summary, with paths relative to ``out``."""
    try:
        analysis = analyse()
    except ResultRejected as error:
        return {"study_uid": study_uid, "outcome": Outcome.FAILED, "reason": str(error), "images": [], "objects": []}
    if pictures:
        _draw(analysis, files, out / _folder_name(study_uid))
    entry = study_summary(analysis.result, analysis.objects)
    for made in entry["objects"]:
        made["path"] = str(Path(made["path"]).relative_to(out))
    return entry


def _folder_name(study_uid: str) -> str:
    """The UID where it is one; a name on disk never comes from what else a file may hold there."""
    if re.fullmatch(r"[0-9][0-9.]{0,63}", study_uid) and ".." not in study_uid:
        return study_uid
    return hashlib.sha256(study_uid.encode()).hexdigest()


def _draw(analysis: Analysis, files: list[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path, image in zip(files, analysis.result.images, strict=True):
        try:
            pixels = display_pixels(path)
        except NotAnalysable:
            continue
        marks = [
            Mark(
                f.box,
                f.mask.paste(*pixels.shape),
                f"lesion {f.lesion_probability:.0%}, cancer {f.cancer_probability:.0%}",
            )
            for f in image.findings
        ]
        draw(pixels, marks, f"{image.laterality or ''} {image.view or ''}").save(folder / f"{path.stem}.png")
