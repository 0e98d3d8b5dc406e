"""Headers as they come: whatever a study's images lack or hold, its results are valid, and say what became of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName
from support import mg
from support.analyses import accepted, analyse, analyse_folder, of_kind, words
from support.breasts import COLUMNS, ROWS, breast
from support.every_kind import OF_THE_STUDY, REPORTS
from support.headers import AWKWARD, image_with
from support.outcomes import TOMOSYNTHESIS
from support.reader import L_SHAPE, Reader
from support.realdata import real_data
from support.validators import Run, about_a_source_alone, errors

from ftmtl.findings import Outcome
from node.kinds import ObjectKind as Kind
from node.results.common import codes
from node.results.common.content import value_of, walk
from node.results.common.source import METHOD_NOT_STATED, read_source

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def item(**values: str) -> list[Dataset]:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return [ds]


PATIENT_AND_STUDY = ("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "PatientName", "PatientID",
                     "PatientBirthDate", "PatientSex", "ReferringPhysicianName")  # fmt: skip

TRIAL = {"ClinicalTrialSponsorName": "Sponsor", "ClinicalTrialProtocolID": "P1", "ClinicalTrialSubjectID": "17"}

HEADERS: dict[str, dict[str, object]] = {
    **AWKWARD,
    "type 2 empty": {**dict.fromkeys(PATIENT_AND_STUDY, ""), "PatientOrientation": []},
    "no accession number, study ID, study date": dict.fromkeys(("AccessionNumber", "StudyID", "StudyDate")),
    "descriptions too long": dict.fromkeys(
        ("StudyDescription", "SeriesDescription", "ManufacturerModelName", "InstitutionName"), "long " * 40
    ),
    "identity removed, not said how": {"PatientIdentityRemoved": "YES"},
    "identity removed by a profile": {
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethodCodeSequence": item(
            CodeValue="113100", CodingSchemeDesignator="DCM", CodeMeaning="Basic Application Confidentiality Profile"
        ),
    },
    "dates neither kept nor changed": {"LongitudinalTemporalInformationModified": "YES"},
    "a clinical trial whose site has no name": TRIAL,
    "a clinical trial without a sponsor": {"ClinicalTrialProtocolID": "P1", "ClinicalTrialSubjectID": "17"},
    "an accession number of an unknown kind of issuer": {
        "IssuerOfAccessionNumberSequence": item(UniversalEntityID="1.2.3")
    },
    "a shutter without a radius": {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [60, 60]},
    "a shutter without vertices": {"ShutterShape": ["RECTANGULAR", "POLYGONAL"]},
    "a series of nobody's root": {"SeriesInstanceUID": "999.1.2"},
}

CUT = ("too long", "descriptions too long")
"""Headers with values that are too long for results, so that these differ from their source."""


@pytest.mark.parametrize(
    "values",
    [{"PatientID": "9" * 80}, {"PatientID": "12\\34"}, {"AccessionNumber": "A" * 17}, {"PatientName": "N" * 65}],
    ids=str,
)
def test_nothing_is_sent_under_another_identity(values: dict[str, str], tmp_path: Path) -> None:
    analysis = analyse([mg.write(image_with(values), tmp_path)], tmp_path / "out")
    assert analysis.objects == ()
    assert analysis.result.outcome is Outcome.NOT_PROCESSED
    assert "Results can't refer to this image: the " in analysis.result.reason


@pytest.mark.parametrize("name", HEADERS)
def test_every_kind_of_object_is_valid(name: str, tmp_path: Path, run_tool: Run) -> None:
    path = mg.write(image_with(HEADERS[name]), tmp_path)
    analysis = analyse([path], tmp_path / "out")
    assert [made.kind for made in analysis.objects] == list(Kind)
    accepted(analysis.objects, run_tool, [path])
    if name not in CUT:
        _, lines = run_tool("dcentvfy", path, *(made.path for made in analysis.objects))
        assert not [line for line in errors(lines) if not about_a_source_alone(line, [path])]


def test_what_is_said_of_the_patient_is_whole_or_not_there(tmp_path: Path) -> None:
    """That an identity was removed is kept, and how; a trial is kept whole, even what is empty."""
    told = read_source(image_with(HEADERS["identity removed, not said how"]))
    assert (told.PatientIdentityRemoved, told.DeidentificationMethod) == ("YES", METHOD_NOT_STATED)
    told = read_source(image_with(HEADERS["identity removed by a profile"]))
    assert told.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert "DeidentificationMethod" not in told
    told = read_source(image_with({"PatientIdentityRemoved": "YES", "DeidentificationMethod": "by hand"}))
    assert told.DeidentificationMethod == "by hand"
    assert "DeidentificationMethod" not in read_source(image_with({"PatientIdentityRemoved": "NO"}))
    told = read_source(image_with(TRIAL))
    assert {keyword: told[keyword].value for keyword in TRIAL} == TRIAL
    assert told["ClinicalTrialSiteName"].is_empty
    assert not read_source(image_with(HEADERS["a clinical trial without a sponsor"])).dir("ClinicalTrial")
    known = item(UniversalEntityID="1.2.3", LocalNamespaceEntityID="RIS")
    (issuer,) = read_source(image_with({"IssuerOfAccessionNumberSequence": known})).IssuerOfAccessionNumberSequence
    assert issuer.dir() == ["LocalNamespaceEntityID"]


NAMES = {
    "Japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "Japanese with katakana": (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    "Korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "Chinese, GB18030": ("GB18030", "Wang^XiaoDong=王^小东"),
    "Chinese, GBK": ("GBK", "Wang^XiaoDong=王^小东"),
    "Greek": ("ISO_IR 126", "Διονυσιος"),
    "Thai": ("ISO_IR 166", "สมชาย^ใจดี"),
    "Hebrew and Latin": (["ISO 2022 IR 100", "ISO 2022 IR 138"], "Grün^Zoë"),
}


@pytest.mark.parametrize(("charset", "name"), NAMES.values(), ids=NAMES.keys())
def test_names_in_any_script_survive_in_every_object(
    charset: str | list[str], name: str, tmp_path: Path, run_tool: Run
) -> None:
    path = mg.write(
        image_with({"SpecificCharacterSet": charset, "PatientName": name, "StudyDescription": name}), tmp_path
    )
    assert str(dcmread(path).PatientName) == name
    analysis = analyse([path], tmp_path / "out")
    assert [made.kind for made in analysis.objects] == list(Kind)
    for made in analysis.objects:
        ds = dcmread(made.path)
        assert str(ds.PatientName) == name, made.kind
        assert ds.StudyDescription == name, made.kind
    accepted(analysis.objects, run_tool)


def test_a_chinese_name_under_iso_2022(tmp_path: Path, run_tool: Run) -> None:
    """GB 2312 with its escape sequences (PS3.5 K.2): pydicom does not write them, and leaves them in what it reads."""
    escaped = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab"
    charset, name = ["", "ISO 2022 IR 58"], PersonName(escaped, ["iso8859", "iso_ir_58"])
    path = mg.write(image_with({"SpecificCharacterSet": charset, "PatientName": name}), tmp_path)
    assert escaped in path.read_bytes()
    analysis = analyse([path], tmp_path / "out")
    assert {str(dcmread(made.path).PatientName) for made in analysis.objects} == {"Zhang^XiaoDong=张^小东"}
    accepted(analysis.objects, run_tool)


def test_nothing_private_is_handed_on(tmp_path: Path, run_tool: Run) -> None:
    ds = image_with({})
    block = ds.private_block(0x0019, "SOMEBODY", create=True)
    block.add_new(0x01, "LO", "SECRET of a modality")
    block.add_new(0x02, "SQ", item(PatientComments="SECRET of a sequence"))
    ds.ViewCodeSequence[0].private_block(0x0019, "SOMEBODY", create=True).add_new(0x01, "UN", b"SECRET of an item")
    path = mg.write(ds, tmp_path)
    analysis = analyse([path], tmp_path / "out")
    assert b"SECRET" in path.read_bytes()
    for made in analysis.objects:
        assert b"SECRET" not in made.path.read_bytes(), made.kind
        assert not [e for e in dcmread(made.path).iterall() if e.tag.is_private], made.kind
    accepted(analysis.objects, run_tool)


def test_a_study_in_several_series(tmp_path: Path, run_tool: Run) -> None:
    """Two images of one series and one of another are one study, and each is referred to in its own."""
    series = {"2.25.21": "2.25.1", "2.25.22": "2.25.1", "2.25.23": "2.25.2"}
    changed = [image_with({"SeriesInstanceUID": of}, uid, n) for n, (uid, of) in enumerate(series.items(), start=1)]
    for ds in changed[:2]:
        ds.SeriesNumber = 1
    paths = [mg.write(ds, tmp_path) for ds in changed]
    analysis = analyse(paths, tmp_path / "out")
    assert [image.outcome for image in analysis.result.images] == [Outcome.FINDINGS] * 3
    accepted(analysis.objects, run_tool)
    _, lines = run_tool("dcentvfy", *paths, *(made.path for made in analysis.objects))
    assert not errors(lines)
    (evidence,) = dcmread(of_kind(analysis, Kind.CAD).path).CurrentRequestedProcedureEvidenceSequence
    told = {i.ReferencedSOPInstanceUID: s.SeriesInstanceUID for s in evidence.ReferencedSeriesSequence for i in
            s.ReferencedSOPSequence}  # fmt: skip
    assert told == series


def test_two_studies_at_once_are_refused_before_anything_is_looked_at(tmp_path: Path) -> None:
    """Even if what comes from the other is not an image: the wrong patient's report would give the reason for it."""
    one, other = image_with({}), image_with({"StudyInstanceUID": "2.25.11", "PatientID": "SOMEBODY-ELSE"}, "2.25.21")
    document = image_with({"StudyInstanceUID": "2.25.11", "Rows": None, "PixelData": None, "Modality": "SR"}, "2.25.22")
    path = mg.write(one, tmp_path)
    document.save_as(tmp_path / "document.dcm", enforce_file_format=True)
    for stray in (mg.write(other, tmp_path), tmp_path / "document.dcm"):
        reader = Reader()
        for paths in ([path, stray], [stray, path]):
            with pytest.raises(ValueError, match=r"instances of several studies: 2\.25\.10, 2\.25\.11"):
                analyse(paths, tmp_path / "out", reader)
        assert not reader.seen
        assert not (tmp_path / "out").exists()


def test_the_command_keeps_studies_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    for n in range(4):
        study, patient = f"2.25.1{n % 2}", f"PATIENT-{n % 2}"
        mg.write(image_with({"StudyInstanceUID": study, "PatientID": patient}, f"2.25.2{n}"), tmp_path / "in")
    status, summary = analyse_folder(tmp_path / "in", tmp_path / "out", monkeypatch)
    assert status == 0
    assert len(summary["studies"]) == 2
    for study in summary["studies"]:
        number = study["study_uid"][-1]
        assert [image["sop_instance_uid"] for image in study["images"]] == [
            f"2.25.2{number}",
            f"2.25.2{int(number) + 2}",
        ]
        for made in study["objects"]:
            ds = dcmread(tmp_path / "out" / made["path"])
            assert (ds.StudyInstanceUID, ds.PatientID) == (study["study_uid"], f"PATIENT-{number}")


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a mammogram"])
def test_tomosynthesis_is_not_processed_and_everything_says_so(beside: bool, tmp_path: Path, run_tool: Run) -> None:
    paths = [mg.write(mg.tomosynthesis(), tmp_path)] + [mg.write(image_with({}), tmp_path)] * beside
    assert not errors(run_tool("dciodvfy", "-new", paths[0])[1])
    reader = Reader()
    analysis = analyse(paths, tmp_path / "out", reader)
    volume = analysis.result.images[0]
    assert (volume.outcome, volume.reason, volume.view) == (Outcome.NOT_PROCESSED, TOMOSYNTHESIS, "MLO")
    assert len(reader.seen) == beside
    assert [made.kind for made in analysis.objects] == (list(Kind) if beside else OF_THE_STUDY)
    aside = "Left aside, as the model does not read it: 1 image." if beside else "L MLO not attempted:"
    for kind, said in {
        Kind.SR: f"{aside} {TOMOSYNTHESIS}",
        Kind.SR_COMPREHENSIVE: f"{aside} {TOMOSYNTHESIS}",
        Kind.CAD: f"{aside} {TOMOSYNTHESIS}",
        Kind.SC: f"L MLO {'left aside' if beside else 'not analysed'}: {TOMOSYNTHESIS}",
    }.items():
        assert said in words(of_kind(analysis, kind).path), kind
    accepted(analysis.objects, run_tool)
    _, lines = run_tool("dcentvfy", *paths, *(made.path for made in analysis.objects))
    assert not errors(lines)


@pytest.mark.parametrize("keyword", ["SeriesInstanceUID", "SOPInstanceUID"])
def test_an_image_that_nothing_can_refer_to_is_told_of(keyword: str, tmp_path: Path, run_tool: Run) -> None:
    """The rest of the study is analysed all the same."""
    nameless = image_with({keyword: "dccc9599087131742838cc1162a630fe"}, "2.25.21")
    nameless.save_as(tmp_path / "nameless.dcm", enforce_file_format=True)
    paths = [tmp_path / "nameless.dcm", mg.write(image_with({}), tmp_path)]
    analysis = analyse(paths, tmp_path / "out")
    first, second = analysis.result.images
    reason = f"Results can't refer to this image: source image without {keyword}."
    assert (first.outcome, first.reason, second.outcome) == (Outcome.NOT_PROCESSED, reason, Outcome.FINDINGS)
    assert [made.kind for made in analysis.objects] == list(Kind)
    for kind in OF_THE_STUDY:
        assert reason in words(of_kind(analysis, kind).path), kind
    accepted(analysis.objects, run_tool)


def test_sizes_rest_on_the_calibrated_spacing(tmp_path: Path, run_tool: Run) -> None:
    """0.25 mm by the published pattern's Pixel Spacing; at the detector it is 0.5 mm.

    The pattern does not show a breast, so one is drawn over it; nor is a whole breast magnified 1.5 times.
    """
    path = tmp_path / "pattern.dcm"
    ds = dcmread(real_data("mg/spacing_pattern_102.dcm"))
    pixels = np.zeros((ds.Rows, ds.Columns), dtype=np.uint8)
    pixels[100 : 100 + ROWS, ds.Columns - COLUMNS :] = breast()[:, ::-1] // 16
    ds.PixelData = pixels.tobytes()
    ds.EstimatedRadiographicMagnificationFactor = 1.4
    ds.save_as(path)
    analysis = analyse([path], tmp_path / "out")
    (image,) = analysis.result.images
    assert (image.outcome, image.spacing_mm, image.spacing_source) == (Outcome.FINDINGS, (0.25, 0.25), "calibrated")
    accepted(analysis.objects, run_tool)
    height, width = L_SHAPE.shape
    area, axis = L_SHAPE.sum() * 0.25**2, 0.25 * (height**2 + width**2) ** 0.5
    for kind in REPORTS:
        told = {i.name: value_of(i.ds) for i in walk(dcmread(of_kind(analysis, kind).path)) if i.type == "NUM"}
        assert (told[codes.AREA.value], told[codes.LONG_AXIS.value]) == (area, axis), kind
        assert "pixel spacing 0.25 x 0.25 mm (row x column), calibrated" in words(of_kind(analysis, kind).path)
    told = {i.name: value_of(i.ds) for i in walk(dcmread(of_kind(analysis, Kind.CAD).path)) if i.type == "NUM"}
    assert told[codes.HORIZONTAL_SPACING.value] == told[codes.VERTICAL_SPACING.value] == 500, "at the detector"
    (state,) = dcmread(of_kind(analysis, Kind.PR).path).DisplayedAreaSelectionSequence
    assert state.PresentationPixelSpacing == [0.25, 0.25]
