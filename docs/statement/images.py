"""Which images are analysed and which are refused, from the rules that decide it."""

from __future__ import annotations

from ftmtl.header.sizes import LARGEST_MM
from ftmtl.header.suitability import IMPLANT, LOW_ENERGY, RULES, SYNTHETIC_2D

ANALYSED = (
    ("Digital Mammography X-Ray Image, For Presentation", "SOP class", ""),
    ("Digitised film", "Secondary Capture, Modality MG, a side or a view named", ""),
    ("CR and DX For Presentation", "SOP class, Modality MG, side and view named", ""),
    (
        "Generated 2D images of views that the study has no full-field image of",
        "Image Type, descriptions, Breast Tomosynthesis object of one frame",
        SYNTHETIC_2D,
    ),
    ("Low-energy images of contrast-enhanced examinations", "Image Type, descriptions", LOW_ENERGY),
    ("Breasts with implants", "Breast Implant Present; implant-displaced views too", IMPLANT),
)
PIXELS = (
    ("no breast, or more than one breast or view", "the tissue that is brighter than the background"),
    ("an inverted grey scale, forms, radiographs of anything else", "air beyond the skin that is bright"),
    ("a breast that is white or without contrast in its own grey scale *and* stretched", "the breast's grey values"),
    ("pixels that are damaged, incomplete, in colour or of more than 16 bits", "the decoder"),
)


def images() -> str:
    """Return the section on kinds of images."""
    analysed = "\n".join(f"| {what} | {told_by} | {said} |" for what, told_by, said in ANALYSED)
    refused = "\n".join(f"| {rule.images} | {rule.told_by} |" for rule in RULES)
    pixels = "\n".join(f"| {what} | {told_by} |" for what, told_by in PIXELS)
    return f"""**4.2.1.5 Which images are analysed.** A reason is a sentence that names the element that tells it.

| Analysed | told by | every result says |
|---|---|---|
{analysed}

| Refused, in this order | told by |
|---|---|
{refused}

| Refused after decoding | told by |
|---|---|
{pixels}

Descriptions are Series Description, Protocol Name, View Position and Acquisition Device Processing Description; of
Study Description only what holds for a whole examination. Where elements contradict each other about side or view, the
most reliable one is believed, and every result says so. The order is Image Laterality, Laterality, Frame Laterality,
Anatomic Region, descriptions, Patient Orientation for the side; View Code, View Position, descriptions for the view.
A window with which the breast can't be seen is replaced by the image's own range, and a pixel spacing with which the
image would be longer than {LARGEST_MM:.0f} mm is not used; both are said. Bits above Bits Stored are no part of a
value, and High Bit is honoured."""
