"""Where the real images are that tests use; never part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.places import ROOT

DATA = Path(os.environ.get("FTMTL_TEST_DATA") or ROOT / ".." / "shared" / "data").resolve()


def real_data(name: str) -> Path:
    """Return a real file by its path under the data folder, such as ``mg/x.dcm``; skip the test where it is absent."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"real data {name} is absent (set FTMTL_TEST_DATA to the folder that holds it)")
    return path


def edge_files() -> list[Path]:
    """Return the published DICOM files, none of which is a mammogram."""
    return sorted(real_data("edge").rglob("*.dcm"))
