"""Where the real images lie that tests use; never part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("FTMTL_TEST_DATA") or Path(__file__).parents[2] / ".." / "shared" / "data").resolve()


def real_data(name: str) -> Path:
    """Return a real file by its path under the data folder, such as ``mg/x.dcm``; skip the test where it is absent."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"real data {name} is absent (set FTMTL_TEST_DATA to the folder that holds it)")
    return path
