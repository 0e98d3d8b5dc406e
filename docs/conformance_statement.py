"""Writes docs/conformance-statement.md, a DICOM Conformance Statement in the form of PS3.2, from the code.

    python docs/conformance_statement.py

What is accepted and proposed is read from the Application Entities as they are set up. What is written is found by
making every kind of object of two synthetic studies by two models: a value that is the same in all is fixed, one that
is its image's is copied, the rest is made. A test keeps file and code the same.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.datadict import dictionary_description, dictionary_has_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID
from pynetdicom import sop_class

from ftmtl.findings import Finding, FindingType, ImageResult, LesionMask, ModelIdentity, Outcome, StudyResult
from ftmtl.mammogram.pixels import display_pixels
from ftmtl.phantom.dicom import write_study
from node.config import DeliverySection, NodeSection
from node.dimse.entity import ACCEPTED_SYNTAXES, RESULT_SYNTAXES, accepting_entity, sending_entity
from node.dimse.status import REFUSALS, SOP_CLASS_NOT_SUPPORTED, WARNINGS, StoreStatus, meaning
from node.identity import IMPLEMENTATION_CLASS_UID, implementation_version_name
from node.kinds import ObjectKind
from node.results.build import build_results
from node.results.common import codes
from node.results.common.content import children

FILE = Path(__file__).with_name("conformance-statement.md")

TITLES = {
    ObjectKind.SEG: "Segmentation, masks",
    ObjectKind.SEG_FRACTIONAL: "Segmentation, probabilities",
    ObjectKind.SEG_LABELMAP: "Label Map Segmentation",
    ObjectKind.SEG_OHIF: "Segmentation for OHIF",
    ObjectKind.SR: "Measurement report",
    ObjectKind.SR_COMPREHENSIVE: "Measurement report, where Comprehensive 3D SR is refused",
    ObjectKind.SR_OHIF: "Measurement report for OHIF",
    ObjectKind.CAD: "Mammography CAD report",
    ObjectKind.PR: "Presentation state",
    ObjectKind.SC: "Summary page",
}
"""Every kind of object, as its section is called."""

BASES = {
    ObjectKind.SEG_FRACTIONAL: ObjectKind.SEG,
    ObjectKind.SEG_LABELMAP: ObjectKind.SEG,
    ObjectKind.SEG_OHIF: ObjectKind.SEG,
    ObjectKind.SR_COMPREHENSIVE: ObjectKind.SR,
    ObjectKind.SR_OHIF: ObjectKind.SR,
}
"""Kinds that are told by how they differ from others."""

BULK = ("PixelData",)
TREE = "ContentSequence"


@dataclass
class Attribute:
    """An attribute of a kind of object, over all objects of that kind."""

    tag: BaseTag
    vr: str
    values: list[str] = field(default_factory=list)
    copied: bool = True
    present: int = 0
    below: dict[BaseTag, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """A study that was analysed for the sake of this document: its images, and the objects of each kind."""

    images: Sequence[Dataset]
    objects: Mapping[ObjectKind, Sequence[Dataset]]


def statement() -> str:
    """Return the whole document."""
    with tempfile.TemporaryDirectory() as folder:
        samples = [_sample(Path(folder) / str(number), number) for number in (1, 2)]
    parts = [_overview(samples), _networking(samples), _annexes(samples)]
    return "\n".join(parts)


# -- samples -------------------------------------------------------------------------------------------------------


def _sample(folder: Path, number: int) -> Sample:
    """Write a study, pretend to have found something on it, and make every kind of object."""
    written = write_study(folder, number, spacing_mm=0.9 + number / 10, lesions=[])
    paths = []
    for path, _ in written:
        ds = dcmread(path)
        ds.PatientID, ds.PatientName = f"ID{number}", f"Name^{number}"
        ds.PatientBirthDate, ds.PatientSex = f"196{number}0101", "FM"[number - 1]
        ds.AccessionNumber, ds.StudyID, ds.StudyDescription = f"A{number}", f"S{number}", f"Study {number}"
        ds.StudyDate = ds.ContentDate = f"2025010{number}"
        ds.StudyTime = ds.ContentTime = f"10000{number}"
        ds.ReferringPhysicianName, ds.Manufacturer = f"Referrer^{number}", f"Manufacturer {number}"
        ds.PatientAge, ds.InstitutionName = f"06{number}Y", f"Institution {number}"
        ds.LossyImageCompression = f"0{number - 1}"
        if number == 2:
            ds.LossyImageCompressionRatio, ds.LossyImageCompressionMethod = "5", "ISO_10918_1"
        ds.save_as(path)
        paths.append(path)
    images = [dcmread(path, stop_before_pixels=True) for path in paths]
    model = ModelIdentity("FT-MTL-Net" if number == 1 else "Other", str(number), f"{number}" * 64, f"c{number}")
    found = [_image(ds, number, findings=number) for ds in images[:-1]]
    last = images[-1]
    found.append(
        ImageResult(
            last.SOPInstanceUID, last.ImageLaterality, last.ViewPosition, Outcome.NOT_PROCESSED, f"why {number}"
        )
    )
    result = StudyResult(images[0].StudyInstanceUID, model, tuple(found))
    made = build_results(result, paths, folder / "results", tuple(ObjectKind), display=display_pixels)
    objects = {kind: [dcmread(m.path) for m in made if m.kind is kind] for kind in ObjectKind}
    return Sample(images, objects)


def _image(ds: Dataset, number: int, findings: int) -> ImageResult:
    side = 8 + number
    found = []
    for n, kind in enumerate((FindingType.MASS, FindingType.CALCIFICATION)[:findings]):
        column, row = 10 + 20 * n + number, 40 + number
        mask = LesionMask(np.ones((side, side), dtype=bool), column, row)
        probability = np.full((side, side), 100 + number, np.uint8)
        box = (float(column), float(row), float(column + side), float(row + side))
        area = float(side * side)
        found.append(Finding(box, mask, 0.9 - number / 100, 0.6 + number / 100, kind, area, side, probability))
    return ImageResult(
        ds.SOPInstanceUID,
        ds.ImageLaterality,
        ds.ViewPosition,
        Outcome.FINDINGS,
        findings=tuple(found),
        spacing_mm=(1.0, 1.0),
        spacing_source="detector plane",
    )


# -- the parts -----------------------------------------------------------------------------------------------------


def _overview(samples: Sequence[Sample]) -> str:
    made = "\n".join(
        f"| {_class(uid)} | yes | – | `{'`, `'.join(kinds)}` |" for uid, kinds in _classes(samples).items()
    )
    return f"""# DICOM Conformance Statement: ftmtl-node

Research use only. Not a medical device. This document is written by `python docs/conformance_statement.py` from the
code; its form is that of PS3.2.

## 1 Overview

ftmtl-node receives mammography studies, analyses them with the network FT-MTL-Net, and sends what it found back as
DICOM objects.

| SOP class | user of service (SCU) | provider of service (SCP) | |
|---|---|---|---|
| Verification | yes | yes | `ftmtl echo`, `ftmtl check` |
| Every Storage SOP class (section 4.2.1.3) | – | yes | stored; which are analysed: see there |
{made}

No Query/Retrieve, no Worklist, no Storage Commitment, no Print, no media.

## 3 Introduction

- **Audience.** Hospital staff who connect the node to a PACS, integrators, those who write software for its objects.
- **Remarks.** Conformance does not by itself mean that two systems work together: try the connection (`ftmtl check`).
- **Terms.** AE, SCU, SCP, SOP, UID, VR as in the standard; *kind* is what the configuration calls a sort of object.
- **References.** DICOM PS3: <https://www.dicomstandard.org/current>; IHE Radiology, AI Results (AIR).
"""


def _networking(samples: Sequence[Sample]) -> str:
    receiving = accepting_entity("FTMTL", NodeSection().max_associations)
    classes = _classes(samples)
    sending = sending_entity("FTMTL", list(classes))
    storage = [str(cx.abstract_syntax) for cx in receiving.supported_contexts]
    syntaxes = "\n".join(f"| {UID(s).name} | {s} |" for s in ACCEPTED_SYNTAXES)
    accepted = "\n".join(f"| {_class(uid)} | {uid} |" for uid in sorted(storage, key=_class))
    proposed = "\n".join(
        f"| {_class(uid)} | {uid} | {UID(syntax).name} {syntax} | SCU | none |"
        for uid in classes
        for syntax in RESULT_SYNTAXES
    )
    answers = "\n".join(f"| 0x{status:04X} | {_ANSWERS[status]} |" for status in StoreStatus)
    taken = "\n".join(_taken())
    fallbacks = "\n".join(
        f"| `{kind}` | {_class(_class_of(samples, kind))} | `{kind.fallback}` |" for kind in ObjectKind if kind.fallback
    )
    delivery = DeliverySection()
    return f"""## 4 Networking

### 4.1 Implementation model

```
 modality, PACS ──C-STORE──► receiving AE ──► spool and ledger ──► analysis ──► sending AE ──C-STORE──► PACS
```

The **receiving AE** stores what it is sent, and answers 0x0000 when the instance is on the disk and in the ledger.
When a study is complete (both breasts' CC and MLO are there, or the association is closed and nothing came for a
while), it is analysed.
The **sending AE** then opens an association to each destination and sends it the kinds of objects that it is configured
to get, segmentations before the reports that refer to them.

### 4.2 AE specifications

#### 4.2.1 Receiving AE

**4.2.1.1 Associations.** Title: configured (`FTMTL`). Maximum PDU: {receiving.maximum_pdu_size} bytes. At most
{receiving.maximum_associations} associations at a time (configurable).
Asynchronous operations window: not negotiated; one operation at a time.
DIMSE timeout: {receiving.dimse_timeout:.0f} s.
Implementation Class UID {receiving.implementation_class_uid},
Version Name {receiving.implementation_version_name}. The AE never opens an association.

**4.2.1.2 Acceptance.** Without configured peers, only from this machine. With peers: an AE title that is not among
them is rejected at the association; a title from an address that is not its own is answered with 0x0124.

**4.2.1.3 Presentation contexts.** Verification and every Storage SOP class of the table, as SCP, with no extended
negotiation, in any of these transfer syntaxes; of those that a sender offers the first in this order is accepted:

| Transfer syntax | UID |
|---|---|
{syntaxes}

<details><summary>SOP classes</summary>

| SOP class | UID |
|---|---|
{accepted}

</details>

**4.2.1.4 Conformance to the Storage service.** Level 2 (full): the data set is kept as it came, to the byte; it is not
decoded, coerced or changed. Analysed are Digital Mammography X-Ray Images For Presentation, and Secondary
Capture images with Modality MG unless that is switched off; a study with mammograms that can't be analysed gets a
report that says so; all else is stored only. Instances are never deleted by the node and can't be retrieved from it.

| Status | when |
|---|---|
{answers}

A refusal carries an Error Comment (0000,0902). Nothing is answered with a warning.

#### 4.2.2 Sending AE

**4.2.2.1 Associations.** Title: that of the receiving AE. Maximum PDU received: {sending.maximum_pdu_size} bytes.
One association a destination and study at a time. Implementation Class UID and Version Name
as above. The AE accepts none.

**4.2.2.2 Initiation.** Two presentation contexts for each SOP class that is to be sent, one a transfer syntax. Where
both are accepted, {UID(RESULT_SYNTAXES[0]).name} is used:

| SOP class | UID | Transfer syntax | Role | Extended negotiation |
|---|---|---|---|---|
{proposed}

**4.2.2.3 Conformance to the Storage service.** Each object is sent until it is answered:

| Status | what follows |
|---|---|
{taken}
| none: no association, no answer | tried again |

*Tried again*: after {delivery.first_retry_s:.0f} s, then after pauses that double up to
{delivery.longest_retry_s:.0f} s, for {delivery.give_up_after_s / 86400:.0f} days (configurable).
An object that was answered with 0x0000 is never sent again.

A SOP class whose context is rejected, or that is answered with 0x{SOP_CLASS_NOT_SUPPORTED:04X}, is replaced
by what says the same:

| refused | SOP class | sent instead |
|---|---|---|
{fallbacks}

### 4.3 Network interfaces

TCP/IP over whatever the operating system offers, IPv4 and IPv6. Host names of destinations are looked up each time.

### 4.4 Configuration

One TOML file, explained line by line in [deploy/node.toml](../deploy/node.toml): AE title, address and port (11112),
peers with title and address, destinations with title, address, port, kinds of objects and profile; pauses as above.

## 5 Media interchange

None. `ftmtl analyze` reads and writes DICOM files (PS3.10) without a DICOMDIR.

## 6 Character sets

Received instances may have any Specific Character Set that the standard defines, with code extensions. Objects are
written in ISO_IR 192 (UTF-8); text is translated. Text that can't be decoded is written with replacement characters.

## 7 Security

No DICOM TLS, no user identity: the AEs belong into a protected network, or behind a TLS proxy. Senders are told apart
by AE title and address. No audit trail messages; the ledger records every instance, job and answer. Logs name no
patients. Objects carry the patient's and study's attributes of the images that they were made of.
"""


_ANSWERS = {
    StoreStatus.SUCCESS: "stored and entered; also for an instance that is held already with the same content",
    StoreStatus.DUPLICATE_INSTANCE: "the UID is held with other content; the first is kept, the other lies apart",
    StoreStatus.INVALID_INSTANCE: "a UID is malformed",
    StoreStatus.PROCESSING_FAILURE: "the disk or the ledger does not do its work",
    StoreStatus.NOT_AUTHORISED: "the sender is not configured, or comes from another address",
    StoreStatus.OUT_OF_RESOURCES: "too little free disk space",
    StoreStatus.DATA_SET_MISMATCH: "SOP Class or SOP Instance UID differ between request and data set",
    StoreStatus.CANNOT_UNDERSTAND: "can't be parsed, or lacks SOP Class, SOP Instance or Study Instance UID",
}


def _taken() -> Iterator[str]:
    """What each status that a PACS may answer means, a row each."""
    after = {
        "stored": "delivered",
        "stored with a warning": "the delivery has failed: a human has to look",
        "try again": "tried again",
        "class refused": "replaced, see below",
        "refused": "the delivery has failed",
    }
    for status in (0, *WARNINGS, 0xA700, 0xA900, 0xC000, *sorted({*REFUSALS, SOP_CLASS_NOT_SUPPORTED})):
        answer, words = meaning(status)
        shown = {0xA700: "0xA7xx", 0xA900: "0xA9xx", 0xC000: "0xCxxx"}.get(status, f"0x{status:04X}")
        yield f"| {shown} {words or 'success'} | {after[answer.value]} |"


def _annexes(samples: Sequence[Sample]) -> str:
    sections = "\n".join(_section(n, kind, samples) for n, kind in enumerate(ObjectKind, start=1))
    concepts = "\n".join(f"| {code.value} | {code.scheme_designator} | {code.meaning} |" for code in _codes())
    return f"""## 8 Annexes

### 8.1 IOD contents

All objects: Explicit VR Little Endian. UIDs are made under 2.25 (PS3.5 B.2) from the images' UIDs, model, software
version and kind, so the same study and model give the same bytes under the same UIDs. File meta information:
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
VOI LUT Function, and Presentation LUT Shape or MONOCHROME1.

### 8.5 Extended, specialised and private SOP classes

None.

### 8.6 Private transfer syntaxes

None.
"""


def _section(number: int, kind: ObjectKind, samples: Sequence[Sample]) -> str:
    """One kind of object: its attributes, or what in them is unlike another kind's, and its content tree."""
    uid, rows = _class_of(samples, kind), _attributes(kind, samples)
    text = f"#### 8.1.{number} {TITLES[kind]}: `{kind}`\n\n{_class(uid)} ({uid})"
    base = BASES.get(kind)
    if base is not None:
        theirs = _attributes(base, samples)
        lost = [theirs[path][0] for path in theirs if path not in rows and path[:-1] in (*rows, ())]
        rows = {path: row for path, row in rows.items() if theirs.get(path) != row or path not in theirs}
        rows = {p: row for p, row in _attributes(kind, samples).items() if any(q[: len(p)] == p for q in rows)}
        without = f", without {', '.join(lost)}" if lost else ""
        text += f". As `{base}`{without}; and unlike it:"
    lines = [f"| {'>' * (len(p) - 1)}{name} | {tag} | {vr} | {value} |" for p, (name, tag, vr, value) in rows.items()]
    text += "\n\n| Attribute | Tag | VR | Value |\n|---|---|---|---|\n" + "\n".join(lines) + "\n"
    if kind in (ObjectKind.SR, ObjectKind.CAD):
        tree = dict.fromkeys(line for sample in samples for ds in sample.objects[kind] for line in _tree(ds))
        text += "\nIts content tree, each sort of item once:\n\n" + "\n".join(tree) + "\n"
    return text


Row = tuple[str, str, str, str]


def _attributes(kind: ObjectKind, samples: Sequence[Sample]) -> dict[tuple[BaseTag, ...], Row]:
    """Return name, tag, VR and value of every attribute of a kind, by the path of tags that leads to it."""
    attributes: dict[BaseTag, Attribute] = {}
    objects = [(ds, sample.images) for sample in samples for ds in sample.objects[kind]]
    for ds, images in objects:
        _collect(ds, attributes, images)
    return dict(_rows(attributes, len(objects)))


def _collect(ds: Dataset, into: dict[BaseTag, Attribute], images: Sequence[Dataset]) -> None:
    for element in ds:
        attribute = into.setdefault(element.tag, Attribute(element.tag, element.VR))
        attribute.present += 1
        if element.VR == "SQ":
            if element.keyword != TREE:
                for item in element.value:
                    _collect(item, attribute.below, images)
            continue
        shown = "" if element.keyword in BULK else _shown(element)
        attribute.values.append(shown)
        own = {_shown(image[element.tag]) for image in images if element.tag in image}
        attribute.copied = attribute.copied and shown in own


def _shown(element: DataElement) -> str:
    if isinstance(element.value, bytes):
        return element.value.hex()
    several = element.VM > 1
    return (
        "\\".join(str(value) for value in element.value)
        if several
        else ("" if element.value is None else str(element.value))
    )


def _rows(
    attributes: Mapping[BaseTag, Attribute], objects: int, above: tuple[BaseTag, ...] = ()
) -> Iterator[tuple[tuple[BaseTag, ...], Row]]:
    for tag in sorted(attributes):
        attribute, path = attributes[tag], (*above, tag)
        sometimes = " (c)" if not above and attribute.present < objects else ""
        name = dictionary_description(tag) if dictionary_has_tag(tag) else "?"
        number = f"({tag.group:04X},{tag.element:04X})"
        yield path, (f"{name}{sometimes}", number, attribute.vr, _value(attribute))
        yield from _rows(attribute.below, objects, path)


def _value(attribute: Attribute) -> str:
    """Say where a value comes from."""
    name = dictionary_description(attribute.tag)
    if attribute.vr == "SQ":
        return "" if attribute.below else ("empty" if name != "Content Sequence" else "the content tree, below")
    if name in ("Referenced SOP Class UID", "Referenced SOP Instance UID"):
        return "of what is referred to"
    distinct = set(attribute.values)
    if len(distinct) == 1:
        (value,) = distinct
        return f"fixed: `{_escaped(value)}`" if value else ("made" if name == "Pixel Data" else "empty")
    if attribute.copied:
        return "copied"
    if len(distinct) <= 3 and len(attribute.values) > 6 and all(re.fullmatch(r"[A-Z_ ]{2,16}", v) for v in distinct):
        return "one of: " + ", ".join(f"`{value}`" for value in sorted(distinct))
    return "made"


def _escaped(value: str) -> str:
    return " ".join(value.replace("|", "\\|").split())


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


def _classes(samples: Sequence[Sample]) -> dict[str, list[str]]:
    """SOP classes that are sent, each with its kinds."""
    classes: dict[str, list[str]] = {}
    for kind in ObjectKind:
        for uid in dict.fromkeys(str(ds.SOPClassUID) for sample in samples for ds in sample.objects[kind]):
            classes.setdefault(uid, []).append(kind)
    return classes


def _class_of(samples: Sequence[Sample], kind: ObjectKind) -> str:
    return str(samples[0].objects[kind][0].SOPClassUID)


def _class(uid: str) -> str:
    """The name of a SOP class; the dictionary does not know the newest, the network library does."""
    if UID(uid).name != uid:
        return UID(uid).name.removesuffix(" Storage")
    keyword = next((name for name, value in vars(sop_class).items() if value == uid), uid)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", keyword).removesuffix(" Storage")


def _codes() -> Iterable[codes.Code]:
    """Every code of :mod:`node.results.common.codes`, once."""
    found: dict[tuple[str, str], codes.Code] = {}
    for value in vars(codes).values():
        for code in value.values() if isinstance(value, dict) else [value]:
            if isinstance(code, codes.Code):
                found[code.scheme_designator, code.value] = code
    return [found[key] for key in sorted(found)]


if __name__ == "__main__":
    FILE.write_text(statement())
    print(FILE)
