"""``ftmtl analyze``: the same analysis on files, without network or queue."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.errors import InvalidDicomError

from ftmtl.errors import NotAnalysable
from ftmtl.findings import Outcome
from ftmtl.header.acquisition import read_header
from ftmtl.header.reading import USUAL, Reading
from ftmtl.mammogram.pixels import display_pixels
from ftmtl.overlay import Mark, draw
from ftmtl.predictor import Predictor
from node.charsets import DEFAULT
from node.domain import Predecessor
from node.errors import ResultRejected
from node.intake import header as intake
from node.intake.header import facts_of, identity_of
from node.kinds import DEFAULT_OBJECTS, ObjectKind
from node.results.readback import read_predecessor
from node.results.summary import study_summary, summary
from workers.analyse import Analysis, Order, analyse_study


@dataclass(frozen=True)
class FileAnalysis:
    """Analyses files and folders, study by study, and writes the results into a folder.

    Attributes
    ----------
    out
        Folder for the objects and ``summary.json``.
    kinds
        The kinds of objects to write.
    replaces
        Earlier measurement reports. The new report of a study names the earlier one of that study as its predecessor.
    weights, device
        The model and where it runs; None for the shipped weights, and for the GPU if there is one.
    pictures
        Whether to draw the findings on each image.
    reading
        Which kinds of images to analyse.
    charset
        The character set of text where none is declared, as a defined term.
    """

    out: Path
    kinds: Sequence[ObjectKind] = DEFAULT_OBJECTS
    replaces: Sequence[Path] = ()
    weights: Path | None = None
    device: str | None = None
    pictures: bool = False
    reading: Reading = USUAL
    charset: str = DEFAULT

    def run(self, paths: Sequence[Path]) -> int:
        """Analyse files and folders.

        Returns
        -------
        int
            0 if no study failed and every file that was named could be read, else 1.
        """
        studies, skipped = _studies(paths)
        for left in skipped:
            print(f"skipped: {left['path']}: {left['reason']}", file=sys.stderr)
        if not studies:
            print("ftmtl: there is no DICOM file to analyse", file=sys.stderr)
            return 1
        predecessors = {report.study_uid: report for report in map(read_predecessor, self.replaces)}
        predictor = Predictor(self.weights, device=self.device)
        self.out.mkdir(parents=True, exist_ok=True)
        entries: list[dict[str, Any]] = []
        for number, (study_uid, files) in enumerate(studies.items(), start=1):
            entry = self._study(study_uid, files, predictor, predecessors.get(study_uid))
            entries.append(entry)
            print(f"[{number}/{len(studies)}] {study_uid}: {_in_words(entry)}".rstrip())
        document: dict[str, Any] = {**summary(predictor.model, entries), "skipped": skipped}
        (self.out / "summary.json").write_text(json.dumps(document, indent=2) + "\n")
        print(f"results: {self.out}, summary: {self.out / 'summary.json'}. Research use only.")
        named = {str(path) for path in paths if not path.is_dir()}
        failed = any(entry["outcome"] == Outcome.FAILED for entry in entries)
        return 1 if failed or any(left["path"] in named for left in skipped) else 0

    def _study(
        self, study_uid: str, files: list[Path], predictor: Predictor, predecessor: Predecessor | None
    ) -> dict[str, Any]:
        """Analyse one study; return its entry in the summary, with paths relative to ``out``."""
        if len({identity_of(facts_of(intake.read_header(file), self.charset)) for file in files}) > 1:
            reason = "the images of this study name different patients: it is not analysed"
            return _failed(study_uid, reason)
        folder = self.out / _folder_name(study_uid)
        order = Order(tuple(self.kinds), self.reading, self.charset, predecessor)
        try:
            analysis = analyse_study(files, predictor, folder, order)
        except ResultRejected as error:
            return _failed(study_uid, str(error))
        if self.pictures:
            _draw(analysis, files, folder)
        entry = study_summary(analysis.result, analysis.objects)
        for made in entry["objects"]:
            made["path"] = str(Path(made["path"]).relative_to(self.out))
        return entry


def _failed(study_uid: str, reason: str) -> dict[str, Any]:
    return {"study_uid": study_uid, "outcome": Outcome.FAILED, "reason": reason, "images": [], "objects": []}


def _in_words(entry: dict[str, Any]) -> str:
    """Return how a study ended, in words: how many findings, or the outcome and its reason."""
    found = sum(len(image["findings"]) for image in entry["images"])
    count = f"{found} finding" if found == 1 else f"{found} findings"
    said = count if entry["outcome"] == Outcome.FINDINGS else entry["outcome"]
    return f"{said} {entry['reason']}".rstrip()


def _studies(paths: Sequence[Path]) -> tuple[dict[str, list[Path]], list[dict[str, str]]]:
    """Group files into studies by Study Instance UID; skipped files are listed with the reason."""
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


def _folder_name(study_uid: str) -> str:
    """Return the UID if it is valid, else its hash: no other text from a file becomes a name on disk."""
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
