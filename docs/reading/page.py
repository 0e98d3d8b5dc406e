"""The page's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from node.kinds import ObjectKind
from reading.facts import (
    labels,
    marked,
    operating_points,
    outcome,
    qualification,
    shown_image,
    statuses,
    tracked,
    tracking_uids,
    words,
)
from reading.studies import Results
from reading.trees import Tree

SHOWN = "L CC"
"""The image that is shown through its presentation state."""

_HEAD = """# How results read

The results of four synthetic studies, as a radiologist and a workstation meet them. The page is written by
`python docs/reading_results.py`, which draws the studies, analyses them with the shipped weights, writes all objects,
and prints what it reads back from the files. A test keeps it true.

**Research use only. It is not a medical device, and its results must not be used for diagnosis.** Phantoms show how
results read, not how well the model does: on real mammograms expect false alarms and many missed lesions
([model.md](model.md)).

| study | what happened |
|---|---|
| [1](#1-findings) | findings on both breasts |
| [2](#2-no-findings) | all views were read, nothing was found |
| [3](#3-partly-read) | one view is of a kind that the model does not read |
| [4](#4-failed) | no image could be read |

The reports are printed item by item, in the order of the file: concept name, value, unit. Numbers from 1 on are
rounded, checksums are cut. What is repeated word for word (the algorithm, how a score is calculated, the operating
points) is printed where it stands first. UIDs are left out; where two objects have the same tracking UID, the second
one says so. [results.md](results.md) says when which object is made, the
[Conformance Statement](conformance-statement.md) lists every attribute.
"""


def page(studies: Mapping[str, Results]) -> str:
    """Return the whole page."""
    sections = (_findings, _no_findings, _partly_read, _failed)
    told = [section(results) for section, results in zip(sections, studies.values(), strict=True)]
    return "\n".join([_HEAD, *told])


def shown_state(results: Results) -> tuple[str, int]:
    """Return the SOP Instance UID of the image that is shown, and the place of its presentation state."""
    for place, state in enumerate(results.objects[ObjectKind.PR]):
        if results.names[shown_image(state)] == SHOWN:
            return shown_image(state), place
    raise ValueError(f"there is no presentation state of {SHOWN}")


def _findings(results: Results) -> str:
    sr, cad = results.only(ObjectKind.SR), results.only(ObjectKind.CAD)
    found = marked(cad)
    numbers = [finding.number for finding in found]
    required = [finding.number for finding in found if finding.intent == "Presentation Required"]
    optional = [finding.number for finding in found if finding.intent == "Presentation Optional"]
    (point,) = {finding.point for finding in found if finding.number in optional}
    places = dict.fromkeys(finding.name.split(" lesion")[0] for finding in found)
    said = [
        f"**How it ended.** Both reports have the same code: *{outcome(sr, cad)}*.",
        f"**What was read.** The last line of their impressions: *{words(cad)[-1]}*",
        f"**Which lesion.** Numbers {numbers[0]} to {numbers[-1]} run through the study, and are the same on the page, "
        f"in both reports (*{found[0].name}*) and in the presentation states. So no number stands for one lesion on CC "
        "and another on MLO; whether two marks show the same lesion is for the reader to say.",
        "**Scores** run from 0 to 100 and are not calibrated. They rank findings; none is a probability. *Lesion* says "
        "that there is one, *cancer* that it is a malignant one. A breast has the highest score of its findings. The "
        "CAD report's template has *Certainty of Finding*, in percent, for the lesion score; it is the same number.",
        f"**What a workstation shows.** Cancer scores decide: {_list(required)} are *Presentation Required*, "
        f"{_list(optional)} *Presentation Optional*, from operating point {point} on. In the CAD report a mass is a "
        "*Mammography breast density*, for want of a code for it.",
        f"**Research.** The banner of the page, the first line of each impression (*{words(sr)[0]}*), the corner of "
        f"each presentation state, and `{qualification(results.every())}` as Content Qualification of every object.",
    ]
    _, place = shown_state(results)
    state = results.objects[ObjectKind.PR][place]
    *texts, notice = labels(state)
    lines = [tracked(sr)[uid] for uid in tracking_uids(state)]
    over = [
        f"The {SHOWN} as dcmtk's `dcmp2pgm` shows it through its presentation state, in the grey scale of the state. "
        "dcmtk draws no annotations: lines and texts are drawn at the coordinates in the file, in the colour of their "
        "layer.",
        f"Texts: {_list([f'*{text}*' for text in texts])}. The numbers and scores are those of the page.",
        f"Its lines have the tracking UIDs of {_list(lines)} in the measurement report.",
        f"In the corner: *{' / '.join(notice.splitlines())}*",
        f"One state for each image with findings: {', '.join(places)}.",
    ]
    points = "\n".join(
        f"| {p.number} | {p.description.split(' Measured')[0]} | {p.false_markers:g} | {p.sensitivity:.0f} |"
        for p in operating_points(cad)
    )
    measured = "Measured" + next(operating_points(cad)).description.split(" Measured")[1]
    return f"""## 1. Findings

In the left breast a malignant mass and benign calcifications were drawn, in the right breast benign calcifications. The
model outlined each of them on both views: {len(found)} findings on {len(places)} images.

{_beside("findings", "The summary page", 60, said)}

{_beside("state", "An image through its presentation state", 45, over)}

The operating points in the CAD report, between which a reader may choose; 0 is the one to begin with. The sensitivity
is the share of malignant lesions that were found, in percent. {measured}.

| point | shows | false markers per image | lesion sensitivity |
|---|---|---|---|
{points}

{_reports(results)}
"""


def _no_findings(results: Results) -> str:
    sr, cad = results.only(ObjectKind.SR), results.only(ObjectKind.CAD)
    said = [
        f"**How it ended.** *{outcome(sr, cad)}*: of the study, of each breast and of each image.",
        f"**What was read.** *{words(cad)[-1]}* Read this line along with the code: study 3 has the same code.",
        "**No score.** Where nothing was found there is none, neither of an image nor of a breast. Nothing above the "
        "threshold is not 0, and cancer is not excluded: the page says so.",
        "**What was looked for.** The CAD report's detections name every type that the model looks for, found or not.",
        "**No more objects.** Segmentations and presentation states are made of images with findings only.",
    ]
    return f"""## 2. No findings

Nothing was drawn, and nothing was found on any of the {len(statuses(sr))} images.

{_beside("no-findings", "The summary page", 60, said)}

{_reports(results)}
"""


def _partly_read(results: Results) -> str:
    sr, cad = results.only(ObjectKind.SR), results.only(ObjectKind.CAD)
    impression, each = words(cad), statuses(sr)
    aside = next(line for line in impression if line.startswith("Left aside"))
    said = [
        f"**What was read.** Look here first: *{impression[-1]}* The left breast was seen in one view only.",
        f"**How it ended.** *{outcome(sr, cad)}*. The code is about the images that the model was to read: "
        f"*{impression[1]}* It does not say that all views are there; the line above does.",
        f"**Not attempted.** Of the {len(each)} mammograms, detections on {each.count('Succeeded')} *Succeeded*, on "
        f"{each.count('Not Attempted')} they were *Not Attempted*. The measurement report says so image by image; the "
        "CAD report leaves the spot view out of its library, and tells of it in words.",
        f"**The raw twin.** *{aside}* It is in no library and counts nowhere.",
        "**No score** of the left breast is given: it has no findings, on one image of two.",
    ]
    return f"""## 3. Partly read

The L MLO is a spot view, which the model does not read. The R CC has come twice, as it is displayed and raw. Nothing
was found on the {each.count("Succeeded")} images that were read.

{_beside("partly-read", "The summary page", 60, said)}

{_reports(results)}
"""


def _failed(results: Results) -> str:
    sr, cad = results.only(ObjectKind.SR), results.only(ObjectKind.CAD)
    impression, each = words(cad), statuses(sr)
    said = [
        f"**How it ended.** *{outcome(sr, cad)}*. The second half of the standard's code is no statement about the "
        f"breast: *{impression[1]}*",
        f"**Failed** is said of all {each.count('Failed')} images: unlike the spot view above, the model was to read "
        "them. The reason stands beside each, in both reports and on the page.",
        "**No score, no coverage.** The reports have no line of what was read, and no group of a breast.",
        "**A report all the same.** A study without any result can be told from one that never came.",
    ]
    return f"""## 4. Failed

The pixels of all {len(each)} images are cut short, as a transfer that breaks off may leave them.

{_beside("failed", "The summary page", 60, said)}

{_reports(results)}
"""


def _beside(name: str, alt: str, percent: int, sentences: Sequence[str]) -> str:
    """Return a picture, so wide in percent of the page, with sentences to its right."""
    lines = "\n".join(f"- {sentence}" for sentence in sentences)
    return f"""<table><tr><td valign="top" width="{percent}%">
<img src="reading-{name}.jpg" alt="{alt}" width="100%">
</td><td valign="top">

{lines}

</td></tr></table>"""


def _reports(results: Results) -> str:
    """Return the two reports side by side."""
    sr, cad = results.only(ObjectKind.SR), results.only(ObjectKind.CAD)
    left = Tree(sr, results.names, {}).markdown()
    known = {uid: f"that of {name} in the measurement report" for uid, name in tracked(sr).items()}
    right = Tree(cad, results.names, known).markdown()
    return f"""<table><tr><th>Measurement report (TID 1500)</th><th>Mammography CAD report (TID 4000)</th></tr>
<tr><td valign="top" width="50%">

{left}

</td><td valign="top" width="50%">

{right}

</td></tr></table>"""


def _list(numbers: Sequence[str]) -> str:
    """Return numbers in words: ``1, 3 and 4``."""
    return " and ".join(filter(None, (", ".join(numbers[:-1]), numbers[-1])))
