"""``ftmtl demo`` ends well only if the PACS holds the results."""

from __future__ import annotations

import subprocess
from pathlib import Path

from PIL import Image
from support.peers import BIN

from ftmtl.phantom.make import Phantom


def demo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BIN / "ftmtl"), "demo", *arguments], capture_output=True, text=True, check=False)


def test_own_files_come_back_with_pictures(phantom_study: list[tuple[Path, Phantom]], tmp_path: Path) -> None:
    done = demo("--study", phantom_study[0][0].parent, "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Measurement Report" in done.stdout
    assert "Segmentation" in done.stdout
    assert "everything else" in done.stdout
    pictures = sorted(tmp_path.glob("run-*/pictures/*.png"))
    assert [path.stem for path in pictures] == ["L_CC", "L_MLO", "R_CC", "R_MLO"]
    with Image.open(pictures[0]) as picture:
        assert picture.mode == "RGB"
        assert (255, 196, 61) in set(picture.get_flattened_data()), "no box is drawn"


def test_nothing_to_analyse_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no DICOM")
    for study in (tmp_path / "in", tmp_path / "absent"):
        done = demo("--study", study, "--out", tmp_path / "out")
        assert done.returncode == 1
        assert done.stderr.startswith("FAILED: there is no")
        assert "Traceback" not in done.stderr
