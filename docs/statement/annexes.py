"""Section 8 of the statement: what is in each kind of object, and which codes are in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pydicom.dataset import Dataset

from node.identity import IMPLEMENTATION_CLASS_UID, implementation_version_name
from node.kinds import ObjectKind
from node.results.common import codes
from node.results.common.content import children
from statement.attributes import attribute_rows
from statement.classes import class_name, class_of
from statement.samples import Sample


def annexes(samples: Sequence[Sample]) -> str:
    """Return section 8."""
    sections = "\n".join(_section(n, kind, samples) for n, kind in enumerate(ObjectKind, start=1))
    concepts = "\n".join(f"| {code.value} | {code.scheme_designator} | {code.meaning} |" for code in _concepts())
    return f"""## 8 Annexes

### 8.1 IOD contents

All objects: Explicit VR Little Endian. UIDs are made under 2.25 (PS3.5 B.2) from the kind and a digest of the encoded
content: everything but patient and study attributes, times of creation and the UIDs themselves. Any other content has
another SOP Instance UID, the same content the same, with the time at which it was first made. File meta information:
Implementation Class UID {IMPLEMENTATION_CLASS_UID}, Version Name {implementation_version_name()}.

*fixed*: the value is always the one given. *copied*: from the image or images that the object was made of, as far as
they have it. *made*: derived from findings, model and images. (c): not in every object of the kind.

{sections}
### 8.2 Private attributes

None are written. Private attributes of received instances are kept with them and ignored.

### 8.3 Coded terminology

Private coding scheme: {codes.SCHEME}, of which the reports carry the Coding Scheme Identification. Concepts in use:

| Code | Scheme | Meaning |
|---|---|---|
{concepts}

### 8.4 Greyscale image consistency

The node displays nothing. Pixels are read through Modality LUT, VOI LUT (first one) or window (first one) with any
VOI LUT Function, and Presentation LUT Shape or MONOCHROME1. Presentation states repeat the grey scale in which the
model saw the image.

### 8.5 Extended, specialised and private SOP classes

None.

### 8.6 Private transfer syntaxes

None.
"""


def _section(number: int, kind: ObjectKind, samples: Sequence[Sample]) -> str:
    """Return what is in one kind of object: its attributes, or how they differ from another kind's, and its tree."""
    uid, rows = class_of(samples, kind), attribute_rows(kind, samples)
    text = f"#### 8.1.{number} {kind.row.title}: `{kind}`\n\n{class_name(uid)} ({uid})"
    base = _base(kind)
    if base is not None:
        theirs = attribute_rows(base, samples)
        lost = [theirs[path][0] for path in theirs if path not in rows and path[:-1] in (*rows, ())]
        rows = {path: row for path, row in rows.items() if theirs.get(path) != row or path not in theirs}
        rows = {p: row for p, row in attribute_rows(kind, samples).items() if any(q[: len(p)] == p for q in rows)}
        without = f", without {', '.join(lost)}" if lost else ""
        text += f". As `{base}`{without}; and unlike it:"
    lines = [f"| {'>' * (len(p) - 1)}{name} | {tag} | {vr} | {value} |" for p, (name, tag, vr, value) in rows.items()]
    text += "\n\n| Attribute | Tag | VR | Value |\n|---|---|---|---|\n" + "\n".join(lines) + "\n"
    if kind in (ObjectKind.SR, ObjectKind.CAD):
        tree = dict.fromkeys(line for sample in samples for ds in sample.objects[kind] for line in _tree(ds))
        text += "\nIts content tree, each sort of item once:\n\n" + "\n".join(tree) + "\n"
    return text


def _base(kind: ObjectKind) -> ObjectKind | None:
    """Return the kind that a kind is compared with: the first of its room, or None for that one itself."""
    first = next(other for other in ObjectKind if other.row.room == kind.row.room)
    return None if first is kind else first


def _tree(ds: Dataset, depth: int = 0) -> Iterator[str]:
    """Yield a line for every sort of content item, indented."""
    if not depth:
        name = ds.ConceptNameCodeSequence[0]
        yield f"- CONTAINER: **{name.CodeMeaning}** ({name.CodeValue}, {name.CodingSchemeDesignator})"
    for item in children(ds):
        concept = item.ds.get("ConceptNameCodeSequence")
        named = (
            f" **{concept[0].CodeMeaning}** ({concept[0].CodeValue}, {concept[0].CodingSchemeDesignator})"
            if concept
            else ""
        )
        relation = item.ds.get("RelationshipType", "").lower()
        yield f"{'  ' * (depth + 1)}- {relation} {item.type or 'by reference'}:{named}".rstrip(":")
        if depth < 6:
            yield from _tree(item.ds, depth + 1)


def _concepts() -> Iterable[codes.Code]:
    """Return every code of `node.results.common.codes`, once."""
    found: dict[tuple[str, str], codes.Code] = {}
    for value in vars(codes).values():
        for code in value.values() if isinstance(value, dict) else [value]:
            if isinstance(code, codes.Code):
                found[code.scheme_designator, code.value] = code
    return [found[key] for key in sorted(found)]
