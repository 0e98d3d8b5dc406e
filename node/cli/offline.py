"""``ftmtl analyze``: the same analysis on files, without network or queue."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

from ftmtl.errors import NotAnalysable
from ftmtl.findings import Attempt, Outcome
from ftmtl.header.reading import USUAL, Reading
from ftmtl.mammogram.pixels import display_pixels
from ftmtl.overlay import Mark, draw
from ftmtl.predictor import Predictor
from node.charsets import DEFAULT
from node.cli.sources import Source, Sources
from node.domain import Predecessor
from node.errors import ResultRejected
from node.kinds import DEFAULT_OBJECTS, ObjectKind
from node.results.common.lesions import lesions_of
from node.results.readback import read_predecessor
from node.results.summary import study_summary, summary
from node.store.folders import replace_folder
from workers.analyse import Analysis, Order, analyse_study

log = logging.getLogger(__name__)


class StudyRefused(Exception):  # noqa: N818 - it names the study's state
    """A study that must not be reported; the message says why."""


class FirstMade:
    """When the objects of a study were first made, as far as its folder of results tells.

    Parameters
    ----------
    folders
        Where earlier results may be.
    """

    NAME = "first-made.json"

    def __init__(self, *folders: Path) -> None:
        self._times: dict[str, float] = {}
        for folder in folders:
            with suppress(OSError, ValueError, TypeError):  # there is none, or somebody has changed it
                self._times |= {
                    str(uid): float(at) for uid, at in dict(json.loads((folder / self.NAME).read_text())).items()
                }

    def of(self, uid: str) -> datetime:
        """Return when an object was first made: now, if it never was."""
        return datetime.fromtimestamp(self._times.setdefault(uid, float(int(time.time()))), UTC)

    def keep(self, folder: Path) -> None:
        """Write the times into a folder of results."""
        (folder / self.NAME).write_text(json.dumps(self._times, indent=1) + "\n")


class Status(IntEnum):
    """Exit status: how many of the images were analysed. What is left aside, and reports and the like, don't count."""

    ALL = 0
    SOME = 3
    NONE = 4


@dataclass(frozen=True)
class FileAnalysis:
    """Analyses files and folders, study by study, and writes the results into a folder.

    A study's results take the place of its earlier ones as a whole. Where its analysis fails, the earlier ones get the
    name ``UID.earlier``, so that nobody takes them for new ones.

    Attributes
    ----------
    out
        Folder for the objects and ``summary.json``.
    kinds
        The kinds of objects to write.
    replaces
        Earlier reports. The new report of a study names the earlier one of that study and kind as its predecessor.
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

    def run(self, paths: Sequence[Path]) -> Status:
        """Analyse files and folders. Whatever is wrong with a file, the others are analysed, and the summary says so.

        Raises
        ------
        FtmtlError
            If the weights or the device can't be used.
        ReportUnusable
            If one of the earlier reports can't be read.
        OSError
            If the results can't be written.
        """
        sources = Sources.find(paths, but=self.out, charset=self.charset)
        for left in sources.left_out:
            print(f"skipped: {left.path}: {left.reason}", file=sys.stderr)
        if not sources.studies:
            print("ftmtl: there is no DICOM file to analyse", file=sys.stderr)
            return Status.NONE
        predecessors: dict[str, dict[ObjectKind, Predecessor]] = {}
        for kind, report in map(read_predecessor, self.replaces):
            forms = (ObjectKind.CAD, ObjectKind.CAD_DENSITY) if kind is ObjectKind.CAD else (kind,)
            predecessors.setdefault(report.study_uid, {}).update(dict.fromkeys(forms, report))
        predictor = Predictor(self.weights, device=self.device)
        self.out.mkdir(parents=True, exist_ok=True)
        written = self.out / "summary.json"
        written.unlink(missing_ok=True)
        entries: list[dict[str, Any]] = []
        for number, (study_uid, files) in enumerate(sources.studies.items(), start=1):
            sources.leave_out_vanished(files)
            order = Order(tuple(self.kinds), self.reading, self.charset, predecessors.get(study_uid, {}))
            entry = self._study(study_uid, list(files.values()), predictor, order)
            entries.append(entry)
            print(f"[{number}/{len(sources.studies)}] {study_uid}: {_in_words(entry)}".rstrip(), flush=True)
        skipped = [{"path": str(left.path), "reason": left.reason} for left in sources.left_out]
        document = {**summary(predictor.model, entries), "skipped": skipped}
        written.write_text(json.dumps(document, indent=2) + "\n")
        print(f"results: {self.out}, summary: {written}. Research use only.")
        return _status(sources, entries)

    def _study(self, study_uid: str, files: list[Source], predictor: Predictor, order: Order) -> dict[str, Any]:
        """Analyse one study and put its results in their place; return its entry in the summary."""
        folder = self.out / _folder_name(study_uid)
        part, earlier = folder.with_name(f".{folder.name}.part"), folder.with_name(f"{folder.name}.earlier")
        shutil.rmtree(part, ignore_errors=True)  # a run was killed
        part.mkdir()
        times = FirstMade(folder, earlier)
        try:
            entry = self._analyse(files, predictor, part, replace(order, clock=times.of))
            times.keep(part)
            replace_folder(part, folder)
            shutil.rmtree(earlier, ignore_errors=True)
            return entry
        except (ResultRejected, StudyRefused) as error:
            reason = str(error)
        except Exception as error:
            reason = f"the analysis failed ({type(error).__name__})"
            log.debug("analysis failed study=%s", study_uid, exc_info=True)
        shutil.rmtree(part, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(earlier, ignore_errors=True)
            folder.rename(earlier)
            reason += f"; earlier results are in {earlier.name}"
        return {"study_uid": study_uid, "outcome": Outcome.FAILED, "reason": reason, "images": [], "objects": []}

    def _analyse(self, files: list[Source], predictor: Predictor, folder: Path, order: Order) -> dict[str, Any]:
        if len({source.identity for source in files}) > 1:
            raise StudyRefused("the images of this study name different patients: it is not analysed")
        paths = [source.path for source in files]
        analysis = analyse_study(paths, predictor, folder, order)
        if self.pictures:
            _draw(analysis, paths, folder)
        entry = study_summary(analysis.result, analysis.objects)
        for made in entry["objects"]:
            made["path"] = str(Path(_folder_name(analysis.result.study_uid)) / Path(made["path"]).name)
        return entry


def _status(sources: Sources, entries: Sequence[dict[str, Any]]) -> Status:
    told = [image for entry in entries for image in entry["images"]]
    aside = {image["sop_instance_uid"] for image in told if image["attempt"] == Attempt.NOT_APPLICABLE}
    images = {uid for files in sources.studies.values() for uid in files} - aside
    analysed = {image["sop_instance_uid"] for image in told if _was_read(image)}
    if not analysed:
        return Status.NONE
    return Status.SOME if images - analysed or any(left.counts for left in sources.left_out) else Status.ALL


def _in_words(entry: dict[str, Any]) -> str:
    """Return how a study ended, in words: how many findings, or the outcome; and what was not analysed, and why."""
    found = sum(len(image["findings"]) for image in entry["images"])
    count = f"{found} finding" if found == 1 else f"{found} findings"
    said = count if entry["outcome"] == Outcome.FINDINGS else entry["outcome"].replace("_", " ")
    if entry["outcome"] in (Outcome.NOT_PROCESSED, Outcome.FAILED):
        return f"{said}: {entry['reason']}"
    read = [entry["coverage"]] if entry["outcome"] == Outcome.PARTLY_READ else []
    refused = [image for image in entry["images"] if not _was_read(image)]
    told = [f"{_name(image)} {_became(image)}: {image['reason']}" for image in refused]
    return "; ".join([said, *read, *told])


def _became(image: dict[str, Any]) -> str:
    return "left aside" if image["attempt"] == Attempt.NOT_APPLICABLE else "not analysed"


def _was_read(image: dict[str, Any]) -> bool:
    return image["outcome"] in (Outcome.FINDINGS, Outcome.NO_FINDINGS)


def _name(image: dict[str, Any]) -> str:
    return " ".join(filter(None, (image["laterality"], image["view"]))) or image["sop_instance_uid"]


def _folder_name(study_uid: str) -> str:
    """Return the UID if it is valid, else its hash: no other text from a file becomes a name on disk."""
    if re.fullmatch(r"[0-9][0-9.]{0,63}", study_uid) and ".." not in study_uid:
        return study_uid
    return hashlib.sha256(study_uid.encode()).hexdigest()


def _draw(analysis: Analysis, files: list[Path], folder: Path) -> None:
    stems, lesions = Counter(path.stem for path in files), lesions_of(analysis.result)
    for path, image in zip(files, analysis.result.images, strict=True):
        name = path.stem if stems[path.stem] == 1 else image.sop_instance_uid
        try:
            pixels = display_pixels(path, image.window)
        except NotAnalysable:
            continue
        marks = [
            Mark(
                lesion.finding.box,
                lesion.finding.mask.paste(*pixels.shape),
                f"{lesion.number}: lesion {100 * lesion.finding.lesion_score:.0f}, "
                f"cancer {100 * lesion.finding.cancer_score:.0f}",
            )
            for lesion in lesions[image.sop_instance_uid]
        ]
        draw(pixels, marks, f"{image.laterality or ''} {image.view or ''}").save(folder / f"{name}.png")
