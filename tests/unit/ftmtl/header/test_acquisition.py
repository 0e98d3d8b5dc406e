"""What a header says: side, view, orientation, and where its elements contradict each other."""

import re

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from support.realdata import real_data

from ftmtl.header.acquisition import HEADER_TAGS, STANDARD_VIEWS, Acquisition, read_acquisition
from ftmtl.header.suitability import MG_FOR_PRESENTATION, why_not_analysed


def header(**values: object) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.Modality = MG_FOR_PRESENTATION, "MG"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def code(value: str, meaning: str = "", **sequences: list[Dataset]) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    for keyword, items in sequences.items():
        setattr(item, keyword, items)
    return item


@pytest.mark.parametrize(
    ("name", "laterality", "view", "directions"),
    [
        ("GH133_ge_senographe_essential_RMLO_jpegll.dcm", "R", "MLO", ("P", "FL")),
        ("cbis_P_00173_LEFT_CC.dcm", "L", "CC", (None, None)),
        ("cbis_P_00173_LEFT_MLO.dcm", "L", "MLO", (None, None)),
        ("MG1_J2KI.dcm", "L", "MLO", ("A", "F")),
        ("spacing_pattern_102.dcm", "R", "CC", ("P", "L")),
    ],
)
def test_real_headers(name, laterality, view, directions):
    path = real_data(f"mg/{name}")
    acq = read_acquisition(pydicom.dcmread(path, specific_tags=HEADER_TAGS, stop_before_pixels=True))
    assert (acq.laterality, acq.view, (acq.row_direction, acq.column_direction)) == (laterality, view, directions)
    assert acq == read_acquisition(pydicom.dcmread(path))
    assert (acq.laterality, acq.view) in STANDARD_VIEWS
    assert not acq.contradictions
    refused = {"MG1_J2KI.dcm": "secondary capture of modality RG", "spacing_pattern_102.dcm": "magnification view"}
    assert re.search(refused.get(name, "^None$"), str(why_not_analysed(acq)))


def test_real_digital_mammogram_is_not_raw():
    acq = read_acquisition(pydicom.dcmread(real_data("mg/GH133_ge_senographe_essential_RMLO_jpegll.dcm")))
    assert not acq.for_processing
    assert acq.view_modifiers == ()
    assert acq.frames == 1


def frame_anatomy(side: str) -> list[Dataset]:
    anatomy, groups = Dataset(), Dataset()
    anatomy.FrameLaterality = side
    groups.FrameAnatomySequence = [anatomy]
    return [groups]


@pytest.mark.parametrize(
    ("values", "side"),
    [
        ({"ImageLaterality": "L", "Laterality": "R"}, "L"),
        ({"ImageLaterality": "", "Laterality": "R"}, "R"),
        ({"ImageLaterality": "B", "Laterality": "R", "SeriesDescription": "R CC"}, None),
        ({"SharedFunctionalGroupsSequence": frame_anatomy("R")}, "R"),
        ({"AnatomicRegionSequence": [code("80248007", "Left breast")]}, "L"),
        ({"AnatomicRegionSequence": [code("T-04020", "Right breast")]}, "R"),
        (
            {
                "AnatomicRegionSequence": [
                    code("T-04000", "Breast", AnatomicRegionModifierSequence=[code("G-A101", "Left")])
                ]
            },
            "L",
        ),
        ({"ViewPosition": "RMLO"}, "R"),
        ({"SeriesDescription": "LEFT CC"}, "L"),
        ({"SeriesDescription": "L CC, R CC"}, None),
        ({"PatientOrientation": ["A", "R"], "ViewPosition": "CC"}, "L"),
        ({"PatientOrientation": ["P", "L"], "ViewPosition": "CC"}, "R"),
        ({"PatientOrientation": ["P", "FL"], "ViewPosition": "MLO"}, "R"),
        ({"PatientOrientation": ["A", "FR"], "ViewPosition": "MLO"}, "L"),
        ({"PatientOrientation": ["A", "HL"]}, "L"),
        ({"PatientOrientation": ["A", "F"]}, None),
        ({}, None),
    ],
)
def test_laterality_from_every_source(values, side):
    assert read_acquisition(header(**values)).laterality == side


@pytest.mark.parametrize(
    ("values", "view", "modifiers"),
    [
        ({"ViewCodeSequence": [code("399162004")], "ViewPosition": "MLO"}, "CC", ()),
        ({"ViewCodeSequence": [code("R-10226")]}, "MLO", ()),
        ({"ViewCodeSequence": [code("399192008")]}, "XCCL", ()),
        ({"ViewCodeSequence": [code("nonsense")], "ViewPosition": "ML"}, "ML", ()),
        ({"ViewPosition": "LMLO"}, "MLO", ()),
        ({"ViewPosition": "LM"}, "LM", ()),
        ({"ViewPosition": "RLM"}, "LM", ()),
        ({"ViewPosition": "LMO"}, "LMO", ()),
        ({"ViewPosition": "MLOID"}, "MLO", ("ID",)),
        ({"ViewPosition": "MCC"}, "CC", ("M",)),
        ({"ViewPosition": "CC SPOT"}, "CC", ("S",)),
        ({"PatientOrientation": "MLO"}, "MLO", ()),
        ({"AcquisitionDeviceProcessingDescription": "RMLO"}, "MLO", ()),
        ({"SeriesDescription": "MG_L_CC"}, "CC", ()),
        ({"SeriesDescription": "CC and MLO"}, None, ()),
        ({"SeriesDescription": "Mammo screening"}, None, ()),
        (
            {"ViewCodeSequence": [code("399162004", ViewModifierCodeSequence=[code("399055006"), code("R-102D6")])]},
            "CC",
            ("S", "M"),
        ),
        (
            {"ViewCodeSequence": [code("399162004", ViewModifierCodeSequence=[code("1", "Something new")])]},
            "CC",
            ("Something new",),
        ),
    ],
)
def test_view_from_every_source(values, view, modifiers):
    acq = read_acquisition(header(**values))
    assert (acq.view, acq.view_modifiers) == (view, modifiers)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"ImageLaterality": "L", "Laterality": "R"},
            "Image Laterality says left, but Laterality says right; the first was believed.",
        ),
        (
            {"ImageLaterality": "L", "ViewPosition": "CC", "PatientOrientation": ["P", "L"]},
            "Image Laterality says left, but Patient Orientation is that of the right breast, or of an image that is "
            "turned round; the first was believed.",
        ),
        (
            {"ImageLaterality": "R", "SeriesDescription": "L CC", "AnatomicRegionSequence": [code("80248007")]},
            "Image Laterality says right, but Anatomic Region says left and Series Description says left; "
            "the first was believed.",
        ),
        (
            {"ViewCodeSequence": [code("399162004")], "ViewPosition": "MLO"},
            "View Code says CC, but View Position says MLO; the first was believed.",
        ),
        (
            {"ViewPosition": "CC", "PatientOrientation": ["A", "F"]},
            "The view is CC, but Patient Orientation is that of another one.",
        ),
        (
            {"ViewPosition": "MLO", "PatientOrientation": ["A", "R"]},
            "The view is MLO, but Patient Orientation is that of another one.",
        ),
    ],
)
def test_elements_that_contradict_each_other_are_named(values, said):
    assert said in read_acquisition(header(**values)).contradictions


@pytest.mark.parametrize(
    "values",
    [
        {"ImageLaterality": "L", "ViewPosition": "CC", "PatientOrientation": ["A", "R"], "SeriesDescription": "L CC"},
        {"ImageLaterality": "L", "ViewPosition": "MLO", "PatientOrientation": ["A", "FR"]},
        {"ViewCodeSequence": [code("399192008")], "ViewPosition": "CC", "PatientOrientation": ["P", "L"]},
        {"ViewPosition": "ML", "PatientOrientation": ["P", "F"], "Laterality": "R"},
        {"ViewPosition": "MLO", "PatientOrientation": ["A", "RF"], "Laterality": "L"},
    ],
)
def test_elements_that_agree_are_not(values):
    assert read_acquisition(header(**values)).contradictions == ()


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_empty_and_damaged_values_count_as_absent():
    assert read_acquisition(Dataset()) == Acquisition()
    ds = Dataset()
    garbage = b"\xff\xfe\\\x00\x01garbage\\"
    for tag in map(Tag, HEADER_TAGS):
        for vr in ("UN", "IS", "US"):
            ds[tag] = RawDataElement(tag, vr, len(garbage), garbage, 0, False, True)
            acq = read_acquisition(ds)
            assert acq.laterality is None
            assert acq.view is None
            assert acq.frames == 1
            assert why_not_analysed(acq)


def test_importing_it_stays_cheap():
    import subprocess
    import sys

    heavy = "import sys, ftmtl.header.acquisition; print([m for m in ('torch', 'scipy') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
