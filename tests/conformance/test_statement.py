"""The Conformance Statement says what the code does."""

from __future__ import annotations

import re
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "docs" / "conformance_statement.py"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = util.spec_from_file_location("conformance_statement", FILE)
    assert spec
    assert spec.loader
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def text(generator: ModuleType) -> str:
    return str(generator.statement())


def without_the_list_of_classes(text: str) -> str:
    """Another version of the network library knows other SOP classes."""
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


def test_each_kind_has_a_section(generator: ModuleType, text: str) -> None:
    for kind, title in generator.TITLES.items():
        assert f"{title}: `{kind}`" in text
