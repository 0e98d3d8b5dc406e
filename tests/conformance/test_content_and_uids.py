"""Other content has another SOP Instance UID, the same content the same (PS3.4 O.3).

A PACS that drops what it already has would else keep the wrong one. Each input is changed by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from support import mg
from support.clocks import noon

from ftmtl.findings import Attempt, FindingType, ImageResult, LesionMask, OperatingPoint, Outcome, StudyResult
from node.domain import Predecessor
from node.kinds import ObjectKind as Kind
from node.results.build import build_results

KINDS = tuple(Kind)
OF_AN_IMAGE = {Kind.SEG, Kind.SEG_FRACTIONAL, Kind.SEG_LABELMAP, Kind.SEG_OHIF, Kind.SR_OHIF, Kind.PR}
REPORTS = {Kind.SR, Kind.SR_COMPREHENSIVE, Kind.CAD}
EVERYTHING = set(KINDS)

CREATION = {
    "InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime", "PresentationCreationDate",
    "PresentationCreationTime", "ContributionDateTime",
}  # fmt: skip
PATIENT = {"PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyDescription"}
UIDS = {"SOPInstanceUID", "SeriesInstanceUID", "ReferencedSOPInstanceUID"}


class Input(NamedTuple):
    """What objects are made of: a header to be changed, a result, and what is asked for."""

    header: Dataset
    result: StudyResult
    predecessors: dict[Kind, Predecessor]


Change = Callable[[Input], Input]


def usual() -> Input:
    """Return a right breast with a mass and a cluster, and a left one on which nothing was found."""
    header = mg.mg_header("R", "CC", uid="2.25.22")
    found = replace(mg.finding(), type=FindingType.MASS), mg.finding(52, 66, (30, 30))
    image = ImageResult(
        "2.25.22", "R", "CC", Outcome.FINDINGS, findings=found, spacing_mm=(0.1, 0.1), spacing_source="detector plane"
    )
    points = (OperatingPoint(0.5, 0.4, 0.05), OperatingPoint(0.2, 0.6, 0.1), OperatingPoint(0.0, 0.8, 0.3))
    model = replace(
        mg.MODEL,
        manufacturer="Somebody",
        looks_for=(FindingType.MASS,),
        operating_points=points,
        measured_on="phantoms",
    )
    other = ImageResult("2.25.23", "L", "CC", Outcome.NO_FINDINGS)
    return Input(header, replace(mg.study_result([image, other]), model=model), {})


def of_the_header(**values: object) -> Change:
    def change(given: Input) -> Input:
        for keyword, value in values.items():
            setattr(given.header, keyword, value)
        return given

    return change


def of_the_image(**values: object) -> Change:
    def change(given: Input) -> Input:
        image, other = given.result.images
        return given._replace(result=replace(given.result, images=(replace(image, **values), other)))

    return change


def of_a_finding(**values: object) -> Change:
    def change(given: Input) -> Input:
        first, second = given.result.images[0].findings
        return of_the_image(findings=(replace(first, **values), second))(given)

    return change


def of_the_model(**values: object) -> Change:
    def change(given: Input) -> Input:
        return given._replace(result=replace(given.result, model=replace(given.result.model, **values)))

    return change


def of_the_other_image(**values: object) -> Change:
    def change(given: Input) -> Input:
        image, other = given.result.images
        return given._replace(result=replace(given.result, images=(image, replace(other, **values))))

    return change


def order(given: Input) -> Input:
    """Let the image name the order that it was made for."""
    item = Dataset()
    item.RequestedProcedureID, item.RequestedProcedureDescription = "RP1", "Mammography"
    given.header.RequestAttributesSequence = Items([item])
    return given


def left_side(given: Input) -> Input:
    """Let header and result say of the image that it is of the left breast."""
    given.header.ImageLaterality, given.header.PatientOrientation = "L", ["A", "R"]
    return of_the_image(laterality="L")(given)


def replaced(kind: Kind) -> Change:
    def change(given: Input) -> Input:
        older = Predecessor(given.result.study_uid, "2.25.900", "1.2.840.10008.5.1.4.1.1.88.34", "2.25.901")
        return given._replace(predecessors={kind: older})

    return change


def finding_before(given: Input) -> Input:
    """Find something on the image that is hung first; so what is on the second one gets higher numbers."""
    return of_the_other_image(laterality="R", view="AC", outcome=Outcome.FINDINGS, findings=(mg.finding(),))(given)


SMALLER = LesionMask(np.ones((5, 5), dtype=bool), 41, 61)

CHANGES: dict[str, tuple[Change, set[Kind]]] = {
    "side": (left_side, EVERYTHING),
    "view": (of_the_image(view="MLO"), EVERYTHING),
    "orientation": (of_the_header(PatientOrientation=["A", "R"]), EVERYTHING - {Kind.SR_OHIF}),
    "detector spacing": (of_the_header(ImagerPixelSpacing=[0.2, 0.2]), REPORTS | {Kind.PR}),
    "spacing that was used": (of_the_image(spacing_mm=(0.2, 0.2)), {Kind.SEG_OHIF, Kind.SR}),
    "meaning of the spacing": (of_the_image(spacing_source="calibrated"), {Kind.SR, Kind.SC}),
    "window of the header": (of_the_header(WindowCenter=900, WindowWidth=700), {Kind.PR}),
    "window that was used": (of_the_image(window=(1000.0, 500.0)), {Kind.PR}),
    "polarity": (of_the_header(PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE"), {Kind.PR}),
    "note": (of_the_image(notes=("A note.",)), EVERYTHING),
    "failure": (of_the_other_image(outcome=Outcome.FAILED, reason="Out of memory."), REPORTS | {Kind.SC}),
    "reason": (of_the_other_image(outcome=Outcome.NOT_PROCESSED, reason="It is a spot view."), REPORTS | {Kind.SC}),
    "attempt": (
        of_the_other_image(outcome=Outcome.NOT_PROCESSED, reason="A spot view.", attempt=Attempt.NOT_MADE),
        REPORTS | {Kind.SC},
    ),
    "lesion score": (of_a_finding(lesion_score=0.5), EVERYTHING - {Kind.SEG, Kind.SEG_FRACTIONAL, Kind.SEG_OHIF}),
    "malignancy score": (of_a_finding(malignancy_score=0.1), {*REPORTS, Kind.SR_OHIF, Kind.PR, Kind.SC}),
    "type": (of_a_finding(type=FindingType.DISTORTION), EVERYTHING - {Kind.PR}),
    "mask": (of_a_finding(mask=SMALLER), EVERYTHING),
    "size": (of_a_finding(long_axis_mm=9.0), {Kind.SR, Kind.SC}),
    "number in the study": (finding_before, EVERYTHING),
    "version of the image": (of_the_image(version="0123456789abcdef"), EVERYTHING),
    "name of the model": (of_the_model(name="Another"), EVERYTHING),
    "version of the model": (of_the_model(version="9"), EVERYTHING),
    "weights": (of_the_model(weights_sha256="cd34" * 16), EVERYTHING),
    "configuration": (of_the_model(configuration="op=0.1"), EVERYTHING),
    "manufacturer of the model": (of_the_model(manufacturer="Another"), {Kind.SEG, Kind.SR}),
    "what it looks for": (of_the_model(looks_for=(FindingType.MASS, FindingType.CALCIFICATION)), {Kind.CAD}),
    "operating points": (
        of_the_model(
            operating_points=(
                OperatingPoint(0.9, 0.4, 0.05),
                OperatingPoint(0.8, 0.6, 0.1),
                OperatingPoint(0, 0.8, 0.3),
            )
        ),
        {Kind.CAD},
    ),
    "predecessor of the report": (replaced(Kind.SR), {Kind.SR, Kind.SR_COMPREHENSIVE}),
    "predecessor of the CAD report": (replaced(Kind.CAD), {Kind.CAD}),
    "order": (order, EVERYTHING),
    "time zone": (of_the_header(TimezoneOffsetFromUTC="+0200"), EVERYTHING),
    "lossy compression": (
        of_the_header(
            LossyImageCompression="01", LossyImageCompressionRatio=10, LossyImageCompressionMethod="ISO_10918_1"
        ),
        {Kind.SEG, Kind.SC},
    ),
}
"""What is changed, and kinds whose content must differ; of others it may."""

OF_THE_PATIENT: dict[str, Change] = {
    "name": of_the_header(PatientName="Roe^Jane"),
    "Patient ID": of_the_header(PatientID="P2"),
    "birth date": of_the_header(PatientBirthDate="19500101"),
    "accession number": of_the_header(AccessionNumber="A2"),
    "study description": of_the_header(StudyDescription="Screening"),
}


def write(given: Input, folder: Path) -> dict[Kind, list[Path]]:
    folder.mkdir()
    second = mg.mg_header("L", "CC", uid="2.25.23", number=2)
    for keyword in (*PATIENT, "TimezoneOffsetFromUTC"):
        if keyword in given.header:
            second[keyword] = given.header[keyword]
    sources = [mg.write(header, folder) for header in (given.header, second)]
    made = build_results(
        given.result,
        sources,
        folder / "out",
        KINDS,
        display=lambda path, window: np.zeros((400, 300), dtype=np.float32),
        predecessors=given.predecessors,
        clock=noon,
    )
    paths: dict[Kind, list[Path]] = {}
    for one in made:
        paths.setdefault(one.kind, []).append(one.path)
    return paths


def content_of(path: Path, but: set[str] = frozenset()) -> list[str]:
    """Return all that an object says, apart from its own UIDs, those that refer to others like it, and ``but``."""

    def told(ds: Dataset, depth: int) -> Iterator[str]:
        for element in ds:
            if element.keyword in UIDS | but:
                continue
            if element.VR == "SQ":
                for item in element.value:
                    yield f"{depth} {element.tag}"
                    yield from told(item, depth + 1)
            else:
                yield f"{depth} {element.tag} {element.value!r}"

    return list(told(dcmread(path), 0))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, list[Path]]:
    return write(usual(), tmp_path_factory.mktemp("usual") / "study")


@pytest.mark.parametrize("name", CHANGES)
def test_other_content_has_another_uid(name: str, first: dict[Kind, list[Path]], tmp_path: Path) -> None:
    change, affected = CHANGES[name]
    second = write(change(usual()), tmp_path / "study")
    assert first.keys() == second.keys() == EVERYTHING
    for kind in KINDS:
        one, two = first[kind][0], second[kind][-1]
        differs = content_of(one) != content_of(two)
        assert kind not in affected or differs or name == "version of the image", kind
        if differs:
            assert dcmread(one).SOPInstanceUID != dcmread(two).SOPInstanceUID, kind
            assert dcmread(one).SeriesInstanceUID != dcmread(two).SeriesInstanceUID, kind
        if kind in affected:
            assert one.name != two.name, kind


@pytest.mark.parametrize("name", OF_THE_PATIENT)
def test_another_patient_attribute_alone_is_the_same_object(
    name: str, first: dict[Kind, list[Path]], tmp_path: Path
) -> None:
    second = write(OF_THE_PATIENT[name](usual()), tmp_path / "study")
    for kind in KINDS:
        one, two = first[kind][0], second[kind][0]
        assert content_of(one) != content_of(two), kind
        assert content_of(one, but=PATIENT) == content_of(two, but=PATIENT), kind
        assert dcmread(one).SOPInstanceUID == dcmread(two).SOPInstanceUID, kind


def test_the_same_again_is_the_same_to_the_byte(first: dict[Kind, list[Path]], tmp_path: Path) -> None:
    again = write(usual(), tmp_path / "study")
    for kind in KINDS:
        assert [path.name for path in first[kind]] == [path.name for path in again[kind]]
        assert [path.read_bytes() for path in first[kind]] == [path.read_bytes() for path in again[kind]]
