"""Whole studies, analysed by a reader in the network's place, and what the validators say of the results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from highdicom.seg import segread
from highdicom.sr import srread
from pydicom import dcmread

from node.cli import offline
from node.domain import ResultObject
from node.kinds import ObjectKind as Kind
from node.results.common.content import value_of, walk
from support.every_kind import CADS, REPORTS
from support.reader import Reader
from support.validators import Run, errors
from workers.analyse import Analysis, Order, analyse_study


def analyse(paths: Sequence[Path], folder: Path, reader: Reader | None = None) -> Analysis:
    """Analyse a study and write all kinds of objects."""
    return analyse_study(paths, reader or Reader(), folder, Order(tuple(Kind)))


def analyse_folder(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, kinds: Sequence[Kind] = tuple(Kind)
) -> tuple[int, dict[str, object]]:
    """Analyse a folder as ``ftmtl analyze`` does; return its status and its summary."""
    monkeypatch.setattr(offline, "Predictor", lambda *args, **options: Reader())
    status = offline.FileAnalysis(out, kinds=kinds, pictures=True).run([folder])
    return status, json.loads((out / "summary.json").read_text())


def of_kind(analysis: Analysis, kind: Kind) -> ResultObject:
    """Return the only object of a kind."""
    (made,) = (made for made in analysis.objects if made.kind is kind)
    return made


def words(path: Path) -> str:
    """Return all that a report says in words, or a page in its image comments."""
    ds = dcmread(path)
    return "\n".join([value_of(i.ds) for i in walk(ds) if i.type == "TEXT"] or [ds.get("ImageComments", "")])


def accepted(objects: Sequence[ResultObject], run_tool: Run, sources: Sequence[Path] = ()) -> None:
    """Assert that dciodvfy, dsrdump and highdicom accept objects, apart from UIDs repeated from their sources."""
    given = {str(e.value) for path in sources for e in dcmread(path, stop_before_pixels=True) if e.VR == "UI"}

    def accept(made: ResultObject) -> None:
        status, lines = run_tool("dciodvfy", "-new", made.path)
        assert not [line for line in errors(lines) if not _about_a_given_uid(line, given)], made.kind
        assert status == 0 or errors(lines), made.kind
        if made.kind in REPORTS:
            assert srread(made.path).content is not None
        elif made.kind in (Kind.SEG, Kind.SEG_FRACTIONAL, Kind.SEG_LABELMAP):
            assert len(segread(made.path).segment_numbers) == 1

    with ThreadPoolExecutor() as pool:
        list(pool.map(accept, objects))
    reports = [made.path for made in objects if made.kind in (*REPORTS, *CADS)]
    status, lines = run_tool("dsrdump", *reports)
    assert status == 0, lines


def _about_a_given_uid(line: str, given: set[str]) -> bool:
    """Tell whether a source's UID is under a root that nobody owns; its results have to repeat it."""
    return "Illegal root for UID" in line and line.rpartition("<")[2].rstrip(">") in given
