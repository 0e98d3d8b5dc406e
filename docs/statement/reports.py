"""What PS3.4 O.4.1 wants to be said of structured reports, and O.4.1.1 of those for mammography workstations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from ftmtl.findings import FindingType
from node.kinds import ObjectKind
from node.results.cad.rendering import FEWEST_POINTS
from node.results.cad.terms import MAPPED, finding_code
from node.results.common import codes
from node.results.common.content import walk
from statement.classes import class_name, kinds_by_class
from statement.samples import Sample

_OPTIONAL = (
    ("TID 4001", "row 2: the body of the overall impression", "always"),
    ("TID 4002", "row 5: Impression Description", "always"),
    ("TID 4002", "rows 12 to 15: cancer score of the study, and of each breast by Laterality", "with findings"),
    ("TID 4006", "row 3: CAD Operating Point, below Rendering Intent", "see below"),
    ("TID 4006", "row 4: Tracking Identifier and Tracking Unique Identifier (TID 4108)", "always"),
    ("TID 4006", "row 6: Certainty of Finding", "always: the lesion score"),
    ("TID 4006", "rows 22 to 24: cancer score", "always"),
    ("TID 4017", "row 9: CAD Operating Points (TID 4023), all rows", "see below"),
    ("TID 4019", "row 3: Algorithm Parameters", "always"),
    ("TID 4021", "Outline", "always"),
)
"""Optional rows of the templates that a CAD report has: template, row, when."""


def structured_reports(samples: Sequence[Sample]) -> str:
    """Return the section on structured reports."""
    reports = {kind: [ds for sample in samples for ds in sample.objects[kind]] for kind in ObjectKind}
    reports = {kind: objects for kind, objects in reports.items() if objects and objects[0].Modality == "SR"}
    types = "\n".join(
        f"| `{kind}` | {', '.join(_types(objects))} | {', '.join(_relations(objects))} |"
        for kind, objects in reports.items()
    )
    masks = [class_name(uid) for uid in kinds_by_class(samples) if "Segmentation" in class_name(uid)]
    found = "\n".join(f"| {_plain(kind)} | {_code(finding_code(kind, ObjectKind.CAD))} |" for kind in FindingType)
    optional = "\n".join(f"| {template} | {row} | {when} |" for template, row, when in _OPTIONAL)
    intents = [_code(code) for code in (codes.PRESENTATION_REQUIRED, codes.PRESENTATION_OPTIONAL)]
    return f"""**4.2.2.4 Structured reports** (PS3.4 O.4.1). They refer to the images of the study, of any class
that is analysed (4.2.1.5), and measurement reports to its masks: {", ".join(masks)}.

| | Value Types | Relationship Types |
|---|---|---|
{types}

A report is never changed. A new analysis makes a new one, under a new SOP Instance UID if anything in it differs: its
findings, what was read, why something was not, the images, the model, its configuration, the version of the software.
Patient and study attributes and the times of creation alone make no new one. The new report names the one that it
replaces (Predecessor Documents Sequence), in measurement reports and in CAD reports. There is no Query/Retrieve.

**4.2.2.5 Mammography CAD SR** (PS3.4 O.4.1.1), kinds `{ObjectKind.CAD}` and `{ObjectKind.CAD_DENSITY}`.

*Detections* (CID 6014). Those that the model looks for, as its weights say, in each report, whether or not anything was
found. On a single image, masses and asymmetries are densities, and so is a lesion of unknown kind:

| the model looks for | Single Image Finding, Detection Performed |
|---|---|
{found}

In `{ObjectKind.CAD_DENSITY}`, an architectural distortion is coded as a density, too. The finding's Algorithm
Parameters say "{MAPPED}", and the Impression Description says that all are.

*Analyses* (CID 6043). None: Summary of Analyses is always {_code(codes.NOT_ATTEMPTED)}.

*Images.* Image Library, evidence and detections list the mammograms that were to be read. On those that could not be,
detections failed, with the reason as Algorithm Parameters. Images of kinds that the model does not read are told of in
the Impression Description, and have no part in the outcome. If there were no others, they are listed, and Summary of
Detections is {_code(codes.NOT_ATTEMPTED)}.

*Optional Content Items.*

| Template | Content Item | |
|---|---|---|
{optional}

Not supported: Composite Features, assessment categories, recommendations, quality, breast composition, temporal change.

*Scores.* Certainty of Finding is the lesion score: the device's own certainty, from 0 to 100. The cancer score
{_code(codes.CANCER_SCORE)}, a Calculated Value (CID 6142, extended) from 0 to
100, ranks findings, breasts and studies; that of a breast or study is the largest of its findings, and there is none
without findings. Neither is calibrated, and neither is a probability. (111047, DCM, "Probability of cancer") is not
used.

*Rendering Intent and CAD Operating Point.* They follow the cancer score, if the model has at least {FEWEST_POINTS}
operating points, taken from its measured FROC curve: cuts 0 to n of the score, 0 the strictest. TID 4023 tells them,
with false markers per image and lesion sensitivity at each, and recommends 0.

| cancer score | Rendering Intent | CAD Operating Point |
|---|---|---|
| at or above cut 0 | {intents[0]} | none, which means 0 |
| below cut 0, at or above cut n | {intents[1]} | always: the first k whose cut it reaches, 1 to n |
| below cut n | {_code(codes.NOT_FOR_PRESENTATION)} | none |

A model with fewer operating points has none: then all findings are to be presented. The Individual Impression that
holds all findings is required if one of them is, else optional if one is, else not for presentation.

*When to render what is optional.* Not at first. If the reader chooses operating point k, render what is required, and
what is optional with a CAD Operating Point of k or less (PS3.17 E.4). A device that does not know operating points
should render what is required only, or all that is optional on demand. What is not for presentation should never be
rendered.
"""


def _types(objects: Sequence[Dataset]) -> list[str]:
    return sorted({"CONTAINER", *(item.type for ds in objects for item in walk(ds) if item.type)})


def _relations(objects: Sequence[Dataset]) -> Iterator[str]:
    """Yield the types of relationships, and in what way if they are by reference, too."""
    told = {(item.ds.RelationshipType, bool(item.type)) for ds in objects for item in walk(ds)}
    for name in sorted({name for name, _ in told}):
        by_value, by_reference = (name, True) in told, (name, False) in told
        yield name + (" (by value and by reference)" if by_value and by_reference else " (by reference)" * by_reference)


def _plain(kind: FindingType) -> str:
    return "lesions of unknown kind" if kind is FindingType.LESION else kind.replace("_", " ")


def _code(code: codes.Code) -> str:
    return f'({code.value}, {code.scheme_designator}, "{code.meaning}")'
