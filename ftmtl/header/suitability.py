"""Whether the model reads an image, as far as its header tells: a table of rules, asked from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydicom import uid

from ftmtl.errors import NotMeant
from ftmtl.header.acquisition import Acquisition
from ftmtl.header.marks import ImageKind
from ftmtl.header.reading import USUAL, Reading
from ftmtl.outcomes import Attempt

MG_FOR_PRESENTATION = uid.DigitalMammographyXRayImageStorageForPresentation
SECONDARY_CAPTURE = uid.SecondaryCaptureImageStorage
TOMOSYNTHESIS = uid.BreastTomosynthesisImageStorage
RADIOGRAPHS = (uid.ComputedRadiographyImageStorage, uid.DigitalXRayImageStorageForPresentation)
"""Classes of general radiographs, in which some devices store mammograms."""

LOW_ENERGY = "This is a low-energy image of a contrast-enhanced examination; it was read like an ordinary mammogram."
SYNTHETIC_2D = "Generated 2D: the model was not trained on such images."
IMPLANT = "The header says that a breast implant is present; the model was not trained on implants."
NO_SIDE = "The header does not say which breast this is."
NO_VIEW = "The header does not say which view this is."
LEFT_ASIDE = "This is a generated 2D image, and the study has a full-field image of that breast and view."


@dataclass(frozen=True)
class Rule:
    """One reason for which an image is not analysed.

    Attributes
    ----------
    images
        Which images it is about, in words.
    told_by
        The elements that tell.
    why
        Returns the reason as a sentence, or None if the rule does not apply.
    attempt
        Whether these images have a part in the outcome of a study.
    other_form
        Whether they are another form of an ordinary view: where that was read, they have no part in the outcome.
    """

    images: str
    told_by: str
    why: Callable[[Acquisition, Reading], str | None]
    attempt: Attempt = Attempt.NOT_MADE
    other_form: bool = False


def why_not_analysed(acq: Acquisition, reading: Reading = USUAL) -> str | None:
    """Return why an image with this header is not analysed, or None if it can be."""
    refusal = refused(acq, reading)
    return None if refusal is None else str(refusal)


def refused(acq: Acquisition, reading: Reading = USUAL) -> NotMeant | None:
    """Return the refusal of an image with this header, by the first rule that applies; None if it can be analysed."""
    for rule in RULES:
        if reason := rule.why(acq, reading):
            return NotMeant(reason, rule.attempt, other_form=rule.other_form)
    return None


def remarks(acq: Acquisition) -> tuple[str, ...]:
    """Return sentences about what a reader has to know of an image that is analysed."""
    return tuple(_remarks(acq))


def is_synthetic(acq: Acquisition) -> bool:
    """Return whether an image was generated from tomosynthesis."""
    return acq.mark(ImageKind.SYNTHETIC_2D) is not None


def _remarks(acq: Acquisition) -> Iterator[str]:
    if is_synthetic(acq):
        yield SYNTHETIC_2D
    if acq.mark(ImageKind.LOW_ENERGY):
        yield LOW_ENERGY
    if acq.implant:
        yield IMPLANT
    if acq.laterality is None:
        yield NO_SIDE
    if acq.view is None:
        yield NO_VIEW
    yield from acq.contradictions


# --- the rules ---------------------------------------------------------------------------------------------


def _of_kind(kind: ImageKind, but: str = "") -> Callable[[Acquisition, Reading], str | None]:
    def why(acq: Acquisition, reading: Reading) -> str | None:
        mark = acq.mark(kind)
        return None if mark is None else f"This is {kind.value} ({mark.told_by}){but}."

    return why


def _raw(acq: Acquisition, reading: Reading) -> str | None:
    if acq.for_processing:
        return "This is a raw (For Processing) image; the model reads the For Presentation image only."
    return None


def _other_class(acq: Acquisition, reading: Reading) -> str | None:
    """Refuse classes that no mammogram is stored in, by their name (PS3.4 B.5)."""
    if acq.sop_class_uid in (MG_FOR_PRESENTATION, TOMOSYNTHESIS, SECONDARY_CAPTURE):
        return None
    if acq.sop_class_uid in RADIOGRAPHS and acq.modality == "MG":
        return None
    name = uid.UID(acq.sop_class_uid).name if acq.sop_class_uid else "of an unknown SOP class"
    known = f"{name} object" if acq.sop_class_uid else f"object {name}"
    return f"This is not a mammogram: {known}, modality {acq.modality or 'unknown'}."


def _radiograph(acq: Acquisition, reading: Reading) -> str | None:
    if acq.sop_class_uid in RADIOGRAPHS and not (acq.laterality and acq.view):
        return f"This is a {uid.UID(acq.sop_class_uid).name} that does not say which breast and view it shows."
    return None


def _capture(acq: Acquisition, reading: Reading) -> str | None:
    """Refuse captures that are no digitised film."""
    if acq.sop_class_uid != SECONDARY_CAPTURE:
        return None
    if acq.modality != "MG":
        return f"This is a secondary capture of modality {acq.modality or 'unknown'}, not a mammogram."
    if not reading.secondary_capture:
        return "This is a secondary capture, and this node is set to ignore those."
    if acq.burned_in:
        return "Annotations are burned into this secondary capture."
    if acq.laterality is None and acq.view is None:
        return "Nothing says that this secondary capture is a mammogram: it names neither a breast nor a view."
    return None


def _contrast(acq: Acquisition, reading: Reading) -> str | None:
    """Refuse images with contrast agent, except for the low-energy one, which looks like an ordinary mammogram."""
    for kind in (ImageKind.RECOMBINED, ImageKind.HIGH_ENERGY):
        if mark := acq.mark(kind):
            return f"This is {kind.value} ({mark.told_by}); the model reads the low-energy image only."
    mark = acq.mark(ImageKind.CONTRAST)
    if mark and not acq.mark(ImageKind.LOW_ENERGY):
        return f"This is {mark.kind.value} ({mark.told_by}), and nothing says that it is the low-energy one."
    return None


def _synthetic(acq: Acquisition, reading: Reading) -> str | None:
    mark = acq.mark(ImageKind.SYNTHETIC_2D)
    if mark and reading.synthetic_2d == "refuse":
        return f"This is {mark.kind.value} ({mark.told_by}), and this node is set to ignore those."
    return None


def _frames(acq: Acquisition, reading: Reading) -> str | None:
    if acq.frames > 1:
        return f"This image has {acq.frames} frames; the model reads single-frame mammograms only."
    return None


_WHOLE = "; the model reads whole-breast views only"
_2D = "; the model reads 2D mammograms only"

RULES = (
    Rule(
        "Tomosynthesis volumes",
        "SOP class Breast Tomosynthesis with several frames; Hologic's private volume in a Secondary Capture",
        _of_kind(ImageKind.VOLUME, _2D),
        Attempt.NOT_APPLICABLE,
    ),
    Rule(
        "Tomosynthesis projections and scouts",
        "SOP classes Breast Projection; Image Type `TOMO…`, `VOLUME`",
        _of_kind(ImageKind.PROJECTION, _2D),
        Attempt.NOT_APPLICABLE,
    ),
    Rule("Raw images", "SOP class or Presentation Intent Type For Processing", _raw, other_form=True),
    Rule("Objects of any other class", "SOP Class, Modality", _other_class, Attempt.NOT_APPLICABLE),
    Rule(
        "CR and DX images without a side or a view",
        "SOP Class; everything that names side and view",
        _radiograph,
        Attempt.NOT_APPLICABLE,
    ),
    Rule(
        "Secondary captures of another modality, with burned-in annotations, or that name neither a breast nor a view",
        "Modality, Burned In Annotation; everything that names side and view; `model.secondary_capture`",
        _capture,
        Attempt.NOT_APPLICABLE,
    ),
    Rule("Images of several frames", "Number of Frames", _frames, Attempt.NOT_APPLICABLE),
    Rule(
        "Quality control images",
        "Quality Control Image, Image Type, descriptions",
        _of_kind(ImageKind.QUALITY_CONTROL, ", not a patient's mammogram"),
        Attempt.NOT_APPLICABLE,
    ),
    Rule(
        "Tissue specimens",
        "View Code, Image Type, Specimen Description Sequence, descriptions",
        _of_kind(ImageKind.SPECIMEN),
        Attempt.NOT_APPLICABLE,
    ),
    Rule(
        "Images of both breasts",
        "Image Laterality, Laterality or Frame Laterality `B`",
        _of_kind(ImageKind.BOTH_BREASTS),
    ),
    Rule(
        "Spot views",
        "View Modifier Code, View Position, Paddle Description, descriptions",
        _of_kind(ImageKind.SPOT, _WHOLE),
    ),
    Rule(
        "Magnification views",
        "View Modifier Code, View Position, Paddle Description, descriptions; Estimated Radiographic Magnification "
        "Factor, or Distance Source to Detector by Distance Source to Patient, from 1.5",
        _of_kind(ImageKind.MAGNIFICATION, _WHOLE),
    ),
    Rule("Tangential views", "View Modifier Code, View Position, descriptions", _of_kind(ImageKind.TANGENTIAL, _WHOLE)),
    Rule(
        "Stereotactic and biopsy images",
        "Image Type, Paddle Description, descriptions; a positioner angle of 10 to 25 degrees in a cranio-caudal view",
        _of_kind(ImageKind.STEREOTACTIC),
    ),
    Rule(
        "Contrast-enhanced examinations, except for low-energy images",
        "Image Type, Contrast/Bolus Agent, descriptions",
        _contrast,
        other_form=True,
    ),
    Rule(
        'Generated 2D images, with `model.synthetic_2d = "refuse"`',
        "Image Type, descriptions (C-View, S-View, Insight 2D, V-Preview, Intelligent 2D, …), Breast Tomosynthesis "
        "objects of one frame",
        _synthetic,
        other_form=True,
    ),
)
"""From top to bottom; the first that applies gives the reason."""
