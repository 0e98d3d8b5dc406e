"""The Conformance Statement says what the code does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import pytest
from support.places import ROOT

from node.kinds import ObjectKind

FILE = ROOT / "docs" / "conformance_statement.py"


@pytest.fixture(scope="module")
def generator() -> Iterator[ModuleType]:
    """The script, imported as Python runs it: with its own folder at the head of the path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FILE.parent)
        yield import_module(FILE.stem)


@pytest.fixture(scope="module")
def text(generator: ModuleType) -> str:
    return str(generator.statement())


def without_the_list_of_classes(text: str) -> str:
    """Leave out the list of classes: another version of the network library knows other ones."""
    return re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)


def test_the_file_is_what_the_code_says(generator: ModuleType, text: str) -> None:
    written = generator.FILE.read_text()
    assert without_the_list_of_classes(written) == without_the_list_of_classes(text), (
        "run `python docs/conformance_statement.py`"
    )


def test_it_knows_what_is_fixed_copied_and_made(text: str) -> None:
    assert "| Content Qualification | (0018,9004) | CS | fixed: `RESEARCH` |" in text
    assert "| Patient's Name | (0010,0010) | PN | copied |" in text
    assert "| Rows | (0028,0010) | US | copied |" in text
    assert "| High Bit | (0028,0102) | US | fixed: `0` |" in text
    assert "| SOP Instance UID | (0008,0018) | UI | made |" in text
    assert "| Verification Flag | (0040,A493) | CS | fixed: `UNVERIFIED` |" in text
    assert "has concept mod" in text


def test_each_kind_has_a_section(text: str) -> None:
    for kind in ObjectKind:
        assert f"{kind.row.title}: `{kind}`" in text
