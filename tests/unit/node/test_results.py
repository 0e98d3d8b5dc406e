"""Identity, normalised headers, packing and the summary: what results rest on, without a validator."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from ftmtl.findings import Finding, FindingType, ImageResult, LesionMask, ModelIdentity, Outcome, StudyResult
from node.domain import ResultObject
from node.errors import ResultRejected
from node.identity import derived_uid
from node.kinds import ObjectKind
from node.results.common.lesions import lesions_of
from node.results.common.naming import device_uid, series_description, series_number, tracking_uid
from node.results.common.source import read_source
from node.results.seg.frames import pack_frames
from node.results.summary import study_summary, summary

MODEL = ModelIdentity("FT-MTL-Net", "1.0", "0123456789abcdef" * 4, "op=0.5")


def header(**values: object) -> Dataset:
    """Return the least that a source may have."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Rows, ds.Columns = "1.2.1", "1.2.2", 40, 30
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def from_bytes(charset: bytes | None, name: bytes, description: bytes = b"") -> Dataset:
    """Return a data set as a modality might have written it, text and character set raw."""
    ds = header()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    elements = {0x00081030: (b"LO", description), 0x00100010: (b"PN", name)}
    if charset is not None:
        elements[0x00080005] = (b"CS", charset)
    file = BytesIO()
    ds.save_as(file, implicit_vr=False, little_endian=True)
    raw = bytearray(file.getvalue())
    for tag, (vr, value) in elements.items():
        value += b" " * (len(value) % 2)
        raw += tag.to_bytes(4)[1::-1] + tag.to_bytes(4)[:1:-1] + vr + len(value).to_bytes(2, "little") + value
    return dcmread(BytesIO(raw), force=True)


def test_derived_uid_is_legal_stable_and_keeps_borders() -> None:
    uid = derived_uid("1.2.3", "seg")
    assert uid == derived_uid("1.2.3", "seg")
    assert uid.startswith("2.25.")
    assert len(uid) <= 44
    assert len({uid, derived_uid("1.2.3s", "eg"), derived_uid("seg", "1.2.3"), derived_uid("1.2.3", "seg", "")}) == 4


def test_derived_uids_never_change() -> None:
    """Pinned: another value would make a second copy of every result in every PACS."""
    assert derived_uid("1.2.3", "seg") == "2.25.215988639318943167573884851009673739527"
    assert tracking_uid("1.2.3", MODEL, 1) == "2.25.307727466768967936184626977888516779364"


@pytest.mark.parametrize("field", ["name", "version", "weights_sha256", "configuration"])
def test_another_model_gives_another_uid(field: str) -> None:
    other = ModelIdentity(**{**vars(MODEL), field: "x"})
    assert device_uid(MODEL) != device_uid(other)
    assert tracking_uid("1.2.3", MODEL, 1) != tracking_uid("1.2.3", other, 1)
    assert series_number(ObjectKind.SR, MODEL) != series_number(ObjectKind.SR, other)
    assert series_number(ObjectKind.SR, MODEL) % 10_000 == series_number(ObjectKind.SR, other) % 10_000 == 900


def test_lesions_are_numbered_through_the_study() -> None:
    """As the images are hung, whatever the order of the results: no number stands for two lesions."""
    mask = LesionMask(np.ones((4, 4), bool), 10, 20)
    finding = Finding((10.0, 20.0, 14.0, 24.0), mask, 0.9, 0.5)
    images = [
        ImageResult(f"1.2.{n}", *place, Outcome.FINDINGS, findings=(finding, finding))
        for n, place in enumerate((("L", "MLO"), ("L", "CC"), (None, None), ("R", "CC")))
    ]
    lesions = lesions_of(StudyResult("1.2", MODEL, tuple(images)))
    assert {uid: [lesion.number for lesion in of] for uid, of in lesions.items()} == {
        "1.2.3": [1, 2],
        "1.2.1": [3, 4],
        "1.2.0": [5, 6],
        "1.2.2": [7, 8],
    }
    assert [lesion.rank for lesion in lesions["1.2.2"]] == [1, 2]
    assert [lesion.tracking_id for lesion in lesions["1.2.1"]] == ["L CC lesion 3", "L CC lesion 4"]
    assert lesions["1.2.2"][0].tracking_id == "lesion 7"
    assert lesions["1.2.2"][0].colour == lesions["1.2.3"][0].colour != lesions["1.2.1"][0].colour


def test_a_series_description_names_the_model_and_the_purpose() -> None:
    assert series_description("AI Report", MODEL) == "AI Report, FT-MTL-Net 1.0 (RESEARCH)"
    long = series_description("AI Report", replace(MODEL, name="N" * 80))
    assert len(long) == 64
    assert long.endswith("N (RESEARCH)")


def test_read_source_adds_what_is_mandatory_and_leaves_the_source_alone() -> None:
    ds = header(PatientSex="U", PatientID="P1")
    before = ds.to_json()
    source = read_source(ds)
    assert ds.to_json() == before
    assert source.PatientID == "P1"
    for keyword in ("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "PatientName", "PatientBirthDate",
                    "PatientSex", "ReferringPhysicianName", "PatientOrientation"):  # fmt: skip
        assert keyword in source
        assert not source.get(keyword)


def test_read_source_drops_private_attributes_and_pixels() -> None:
    ds = header(PatientComments="a story")
    ds.private_block(0x0013, "CTP", create=True).add_new(0x10, "LO", "secret")
    ds.add_new(0x7FE00010, "OW", bytes(2400))
    source = read_source(ds)
    assert not [element for element in source if element.tag.is_private]
    assert "PixelData" not in source
    assert "PatientComments" not in source


def test_read_source_copies_who_issued_the_accession_number() -> None:
    issuer = Dataset()
    issuer.UniversalEntityID, issuer.UniversalEntityIDType = "1.2.3 ", "ISO"
    issuer.private_block(0x0013, "CTP", create=True).add_new(0x10, "LO", "secret")
    (copy,) = read_source(header(IssuerOfAccessionNumberSequence=[issuer])).IssuerOfAccessionNumberSequence
    assert (copy.UniversalEntityID, copy.UniversalEntityIDType, len(copy)) == ("1.2.3", "ISO", 2)
    assert len(issuer) == 4


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_read_source_cuts_and_blanks_what_is_illegal() -> None:
    ds = header(
        StudyID="S" * 20,
        StudyDescription="D" * 70 + "\x07",
        PatientBirthDate="00000000",
        StudyDate="2024.01.02",
        StudyTime="10:11:12",
        PatientOrientation="CC",
        PatientAge="65",
        PixelSpacing=[0, 0],
    )
    source = read_source(ds)
    assert source.StudyDescription == "D" * 64
    assert (source.StudyDate, source.StudyTime) == ("20240102", "101112")
    for keyword in ("StudyID", "PatientBirthDate", "PatientOrientation", "PatientAge", "PixelSpacing"):
        assert not source.get(keyword)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"PatientID": "A" * 79 + "1"}, "the Patient ID is too long"),
        ({"PatientID": "12\\34"}, "the Patient ID contains a backslash"),
        ({"PatientID": "12\x0034"}, "the Patient ID is too long, or contains what the standard does not allow"),
        ({"IssuerOfPatientID": "I" * 65}, "the Issuer of Patient ID is too long"),
        ({"AccessionNumber": "A" * 17}, "the Accession Number is too long"),
        ({"AccessionNumber": "A1\\B2"}, "the Accession Number contains a backslash"),
        ({"PatientName": "N" * 80 + "^G"}, "the Patient's Name is too long"),
        ({"PatientName": "A^B^C^D^E^F"}, "the Patient's Name is too long"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_an_identity_that_a_result_cannot_carry_whole_is_refused(values: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_source(header(**values))


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_spellings_of_dates_and_sexes_are_read() -> None:
    source = read_source(header(PatientBirthDate="1960-05-17", StudyDate="2024-02-29", PatientSex="FEMALE"))
    assert (source.PatientBirthDate, source.StudyDate, source.PatientSex) == ("19600517", "20240229", "F")


def test_a_spacing_that_makes_the_image_larger_than_a_detector_is_not_handed_on() -> None:
    source = read_source(header(Rows=2400, Columns=1800, PixelSpacing=[1, 1], ImagerPixelSpacing=[0.1, 0.1]))
    assert "PixelSpacing" not in source
    assert list(source.ImagerPixelSpacing) == [0.1, 0.1]


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows"])
def test_read_source_refuses_an_image_without_identity(keyword: str) -> None:
    ds = header()
    delattr(ds, keyword)
    with pytest.raises(ValueError, match=keyword):
        read_source(ds)


CHARSETS = [
    (None, b"Doe^Jane", "Doe^Jane"),
    (b"", b"Doe^Jane", "Doe^Jane"),
    (None, b"M\xfcller^J", "Müller^J"),
    (b"ISO_IR 100", b"M\xfcller^J", "Müller^J"),
    (b"ISO_IR 144", "Люкceмбypг".encode("iso8859_5"), "Люкceмбypг"),
    (b"ISO_IR 192", "王^小東".encode(), "王^小東"),
    (b"GB18030", "王^小东=Wang".encode("gb18030"), "王^小东=Wang"),
    (b"\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada^Tarou=山田^太郎"),
    (
        b"\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
        "Hong^Gildong=洪^吉洞",
    ),
    (b"ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
]


@pytest.mark.parametrize(("charset", "raw", "name"), CHARSETS)
def test_read_source_decodes_every_character_set(charset: bytes | None, raw: bytes, name: str) -> None:
    source = read_source(from_bytes(charset, raw))
    assert source.PatientName == name
    assert source.SpecificCharacterSet == "ISO_IR 192"
    file = BytesIO()
    source.save_as(file, implicit_vr=False, little_endian=True)
    assert dcmread(BytesIO(file.getvalue()), force=True).PatientName == name


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_an_unknown_character_set_or_broken_text_does_not_stop_us() -> None:
    assert read_source(from_bytes(b"KLINGON", b"Doe^J")).PatientName == "Doe^J"
    assert str(read_source(from_bytes(b"ISO_IR 192", b"D\xff^J")).PatientName).startswith("D")


def test_pack_frames_agrees_with_numpy_over_the_whole_matrix() -> None:
    rng = np.random.default_rng(7)
    rows, columns = 23, 37
    masks = [LesionMask(rng.random((5, 9)) > 0.5, int(c), int(r)) for c, r in [(0, 0), (28, 18), (11, 3)]]
    whole = np.packbits(np.array([m.paste(rows, columns) for m in masks]), bitorder="little").tobytes()
    assert pack_frames(masks, rows, columns) == whole + bytes(len(whole) % 2)


def test_the_package_is_light() -> None:
    """The listener's side may import it without paying for highdicom, and nothing in it needs torch."""
    code = (
        "import sys, node.results, node.results.summary, node.results.build;"
        "heavy = {'highdicom', 'torch'} & set(sys.modules);"
        "assert not heavy, heavy;"
        "import node.results.sr.build, node.results.seg.build, node.results.conformance;"
        "assert 'torch' not in sys.modules and 'workers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_rejection_lists_its_faults_and_survives_pickling() -> None:
    rejection = ResultRejected("SEG 1.2.3", ["one", "two"])
    assert str(rejection) == "SEG 1.2.3: one; two"
    assert pickle.loads(pickle.dumps(rejection)).faults == ("one", "two")


def test_summary_is_the_contract() -> None:
    mask = LesionMask(np.ones((4, 4), bool), 10, 20)
    found = Finding((10.0, 20.0, 14.0, 24.0), mask, 0.9, 0.5, FindingType.MASS, area_mm2=np.float32(0.16))
    images = (
        ImageResult("1.2.3", "L", "CC", Outcome.FINDINGS, findings=(found,), notes=("A note.",)),
        ImageResult("1.2.4", None, None, Outcome.NOT_PROCESSED, "not a mammogram"),
    )
    made = ResultObject("seg", "1.2.840", "2.25.1", "2.25.2", Path("out") / "2.25.1.dcm")
    document = summary(MODEL, [study_summary(StudyResult("1.2", MODEL, images), [made])])
    finding = {
        "number": 1,
        "tracking_uid": tracking_uid("1.2.3", MODEL, 1),
        "type": "mass",
        "box": [10.0, 20.0, 14.0, 24.0],
        "lesion_score": 0.9,
        "malignancy_score": 0.5,
        "cancer_score": 0.45,
        "area_mm2": pytest.approx(0.16),
        "long_axis_mm": None,
    }
    image = {"sop_instance_uid": "1.2.3", "laterality": "L", "view": "CC", "outcome": "findings",
             "attempt": "made", "reason": "", "notes": ["A note."], "score": 0.45, "findings": [finding]}  # fmt: skip
    other = {"sop_instance_uid": "1.2.4", "laterality": None, "view": None, "outcome": "not_processed",
             "attempt": "made", "reason": "not a mammogram", "notes": [], "score": None, "findings": []}  # fmt: skip
    assert json.loads(json.dumps(document)) == {
        "research_use_only": True,
        "model": {"name": "FT-MTL-Net", "version": "1.0", "weights_sha256": MODEL.weights_sha256},
        "studies": [
            {
                "study_uid": "1.2",
                "outcome": "findings",
                "reason": "",
                "coverage": "Read: L CC. Not read: right breast.",
                "score": 0.45,
                "breast_scores": {"L": 0.45},
                "images": [image, other],
                "objects": [{"kind": "seg", "sop_instance_uid": "2.25.1", "path": str(made.path)}],
            }
        ],
    }
