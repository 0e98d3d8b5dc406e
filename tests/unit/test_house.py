"""The house keeps itself in order: sizes, links, and a picture that is the folder list."""

import ast
import itertools
import re
import subprocess
from pathlib import Path

import pytest

from node.kinds import ObjectKind

ROOT = Path(__file__).parents[2]


def tracked(*patterns: str) -> list[Path]:
    """Files that git tracks, or would."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in listed if (ROOT / name).exists()]


def test_no_python_file_is_longer_than_400_lines():
    long = {path: count for path in tracked("*.py") if (count := len(path.read_text().splitlines())) > 400}
    assert not long


def test_test_modules_do_not_import_each_other():
    modules = {path.stem for path in tracked("tests/**/test_*.py")}
    for path in tracked("tests/**/*.py"):
        assert not [name for name in imported(path) if name.rpartition(".")[2] in modules], path


def imported(path: Path) -> list[str]:
    """Names of the modules that a file imports, and of what it imports from them."""
    names = []
    for statement in ast.walk(ast.parse(path.read_text())):
        if isinstance(statement, ast.Import):
            names += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            names += [statement.module or "", *(f"{statement.module}.{alias.name}" for alias in statement.names)]
    return names


def test_no_kind_of_result_object_imports_another():
    rooms = sorted(path.parent.name for path in (ROOT / "node" / "results").glob("*/build.py"))
    assert rooms == sorted({kind.row.room.rpartition(".")[2] for kind in ObjectKind})
    for room, other in itertools.permutations(rooms, 2):
        for path in (ROOT / "node" / "results" / room).glob("*.py"):
            assert not [name for name in imported(path) if name.startswith(f"node.results.{other}")], path


@pytest.mark.parametrize("page", tracked("*.md"), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_every_path_leads_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert not [link for link in links if link and not (page.parent / link).exists()]
    code = re.findall(r"`((?:node|ftmtl|workers|tests|docs|benchmarks|deploy)/[\w./-]*)`", text)
    assert not [path for path in code if not (ROOT / path).exists()]


def test_the_picture_of_the_rooms_is_the_folder_list():
    """docs/architecture.md names every room and every module that lies beside them, and none that isn't there."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    picture = page.partition("## Rooms")[2].partition("```")[2].partition("```")[0]
    for package, following in (("node", "ftmtl"), ("ftmtl", "workers")):
        drawn = picture.partition(f"\n {package}/")[2].partition(f"\n {following}/")[0]
        names = set(re.findall(r"\w+(?:/|\.py)", drawn))
        rooms = {f"{path.name}/" for path in (ROOT / package).iterdir() if any(path.glob("*.py"))}
        assert names == rooms | {path.name for path in (ROOT / package).glob("*.py")} - {"__init__.py"}
