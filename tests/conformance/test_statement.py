"""The Conformance Statement says what the code does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from support.objects import items
from support.outcomes import POINTS, measured, two_views
from support.places import ROOT

from ftmtl.findings import FindingType
from node.kinds import ObjectKind
from node.results.cad.build import build_cad_report
from node.results.cad.rendering import rendering
from node.results.common import codes
from node.results.common.content import value_of, walk

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


def section(text: str, heading: str) -> str:
    """Return a section of the statement, up to the next one."""
    return re.split(r"\n(?:#+ |\*\*\d)", text.partition(heading)[2])[0]


def rows(text: str) -> list[list[str]]:
    """Return the cells of all rows of tables."""
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("| ")
    ]


def test_it_says_of_structured_reports_what_a_creator_has_to(text: str, tmp_path: Path) -> None:
    """PS3.4 O.4.1: what they may refer to, value types, relationship types, and when there is a new one."""
    said = section(text, "**4.2.2.4 Structured reports**")
    headers, result = two_views(tmp_path)
    found = list(walk(build_cad_report(headers, measured(result))))
    (told,) = (cells for cells in rows(said) if cells[0] == "`cad`")
    assert set(told[1].split(", ")) == {item.type for item in found if item.type} | {"CONTAINER"}
    named = {re.sub(r" \(.*\)", "", relation) for relation in told[2].split(", ")}
    assert named == {item.ds.RelationshipType for item in found}
    assert "SELECTED FROM (by reference)" in told[2]
    assert {cells[0] for cells in rows(said)[1:]} == {
        "`sr`",
        "`sr-comprehensive`",
        "`sr-ohif`",
        "`cad`",
        "`cad-density`",
    }
    for words in ("new SOP Instance UID if anything in it differs", "Segmentation", "no Query/Retrieve"):
        assert words in said


def test_it_says_of_cad_reports_what_a_creator_has_to(text: str, tmp_path: Path) -> None:
    """PS3.4 O.4.1.1: detections, analyses, optional items, what is optional or not for presentation, and what to do."""
    said = section(text, "**4.2.2.5 Mammography CAD SR**")
    headers, result = two_views(tmp_path)
    result = measured(result)
    ds = build_cad_report(headers, result)
    coded = [value_of(item) for item in items(ds, codes.SINGLE_IMAGE_FINDING)]
    named = dict(cells for cells in rows(said) if len(cells) == 2)
    for kind, code in zip(FindingType, coded, strict=True):
        name = "lesions of unknown kind" if kind is FindingType.LESION else kind.value.replace("_", " ")
        assert named[name].startswith(f"({code}, SCT,"), kind
    (analyses,) = items(ds, codes.SUMMARY_OF_ANALYSES)
    assert f"*Analyses* (CID 6043). None: Summary of Analyses is always ({value_of(analyses)}, DCM" in said
    cuts = [cells for cells in rows(said) if "cut" in cells[0]]
    for score, cells in zip((POINTS[0].threshold, POINTS[-1].threshold, 0.0), cuts, strict=True):
        shown = rendering(score, result.model)
        assert cells[1].startswith(f"({shown.intent.value}, DCM,")
        assert cells[2].startswith("always") is (shown.point is not None)
    for words in ("*Optional Content Items.*", "TID 4023", "*When to render what is optional.*", "operating point k"):
        assert words in said
