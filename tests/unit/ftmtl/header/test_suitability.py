"""Which kinds of images are analysed and which are refused, by every element in which vendors say so."""

from __future__ import annotations

import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from ftmtl.header.acquisition import Acquisition, read_acquisition
from ftmtl.header.classes import is_image
from ftmtl.header.reading import Reading
from ftmtl.header.suitability import (
    IMPLANT,
    LOW_ENERGY,
    MG_FOR_PRESENTATION,
    NO_SIDE,
    NO_VIEW,
    RULES,
    SECONDARY_CAPTURE,
    SYNTHETIC_2D,
    TOMOSYNTHESIS,
    is_synthetic,
    remarks,
    why_not_analysed,
)


def mammogram(**values: object) -> Acquisition:
    """Return what is read from the header of a left CC view with these elements changed."""
    ds = Dataset()
    ds.SOPClassUID, ds.Modality, ds.ImageType = MG_FOR_PRESENTATION, "MG", ["ORIGINAL", "PRIMARY", ""]
    ds.ImageLaterality, ds.ViewPosition, ds.PatientOrientation = "L", "CC", ["A", "R"]
    for keyword, value in values.items():
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)
    return read_acquisition(ds)


def codes(value: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", ""
    return [item]


REFUSED = [
    ({"SOPClassUID": TOMOSYNTHESIS, "NumberOfFrames": 60}, "a tomosynthesis volume"),
    ({"SOPClassUID": uid.BreastProjectionXRayImageStorageForPresentation}, "a tomosynthesis projection"),
    ({"ImageType": ["DERIVED", "PRIMARY", "TOMO_PROJ"]}, "a tomosynthesis projection or scout"),
    ({"SOPClassUID": uid.DigitalMammographyXRayImageStorageForProcessing}, "raw (For Processing)"),
    ({"PresentationIntentType": "FOR PROCESSING"}, "raw (For Processing)"),
    ({"SOPClassUID": uid.CTImageStorage}, "not a mammogram: CT Image Storage object, modality MG"),
    ({"SOPClassUID": uid.CTImageStorage, "Modality": "CT"}, "CT Image Storage object, modality CT"),
    ({"SOPClassUID": "", "Modality": ""}, "object of an unknown SOP class, modality unknown"),
    (
        {"SOPClassUID": uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage},
        "Multi-frame Grayscale Word Secondary Capture Image Storage object, modality MG",
    ),
    ({"SOPClassUID": uid.ComputedRadiographyImageStorage, "Modality": "CR"}, "Computed Radiography Image Storage"),
    (
        {"SOPClassUID": uid.ComputedRadiographyImageStorage, "ViewPosition": None},
        "does not say which breast and view",
    ),
    (
        {
            "SOPClassUID": uid.DigitalXRayImageStorageForPresentation,
            "ImageLaterality": None,
            "PatientOrientation": None,
        },
        "does not say which breast and view",
    ),
    ({"SOPClassUID": uid.DigitalXRayImageStorageForProcessing}, "raw (For Processing)"),
    ({"SOPClassUID": SECONDARY_CAPTURE, "Modality": "OT"}, "a secondary capture of modality OT"),
    ({"SOPClassUID": SECONDARY_CAPTURE, "BurnedInAnnotation": "YES"}, "burned into"),
    (
        {
            "SOPClassUID": SECONDARY_CAPTURE,
            "ImageLaterality": None,
            "ViewPosition": None,
            "PatientOrientation": None,
            "SeriesDescription": "Scanned questionnaire",
        },
        "names neither a breast nor a view",
    ),
    ({"NumberOfFrames": 2}, "2 frames"),
    ({"ImageLaterality": "B"}, "an image of both breasts (Image Laterality B)"),
    ({"ViewModifierCodeSequence": codes("399055006")}, "a spot compression view (view modifier S)"),
    ({"ViewPosition": "CC SPOT"}, "a spot compression view"),
    ({"PaddleDescription": "9CM SPOT MAG"}, "a spot compression view (Paddle Description SPOT)"),
    ({"PaddleDescription": "10CM CONTACT"}, "a spot compression view"),
    ({"SeriesDescription": "L CC Spot"}, "a spot compression view (Series Description SPOT)"),
    ({"SeriesDescription": "L_CC_CONED"}, "a spot compression view"),
    ({"StudyDescription": "Spot compression left"}, "a spot compression view (Study Description SPOT)"),
    ({"ViewPosition": "MCC"}, "a magnification view (view modifier M)"),
    ({"ProtocolName": "MAG 1.8x"}, "a magnification view (Protocol Name MAG)"),
    ({"StudyDescription": "Magnification views"}, "a magnification view"),
    ({"EstimatedRadiographicMagnificationFactor": "1.5"}, "a magnification view (Estimated Radiographic"),
    ({"DistanceSourceToDetector": "660", "DistanceSourceToPatient": "366"}, "a magnification view (Distance Source"),
    ({"ViewPosition": "CCTAN"}, "a tangential view"),
    ({"ViewCodeSequence": codes("127457009")}, "an image of a tissue specimen (the view)"),
    ({"ViewPosition": "SPECIMEN"}, "an image of a tissue specimen"),
    ({"StudyDescription": "Breast specimen radiograph"}, "an image of a tissue specimen (Study Description SPECIMEN)"),
    ({"SpecimenDescriptionSequence": [Dataset()]}, "an image of a tissue specimen"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "STEREO_MINUS"]}, "a stereotactic or biopsy image (Image Type STEREO"),
    ({"SeriesDescription": "Prefire +15"}, "a stereotactic or biopsy image"),
    ({"StudyDescription": "STEREOTACTIC BIOPSY LEFT"}, "a stereotactic or biopsy image"),
    ({"PaddleDescription": "5x6 BX"}, "a stereotactic or biopsy image"),
    ({"PositionerPrimaryAngle": "-15"}, "a stereotactic or biopsy image (Positioner Primary Angle -15)"),
    ({"PositionerSecondaryAngle": "15"}, "a stereotactic or biopsy image"),
    ({"QualityControlImage": "YES"}, "a quality control image"),
    ({"SeriesDescription": "Flat Field"}, "a quality control image (Series Description FLAT FIELD)"),
    ({"StudyDescription": "Weekly QC"}, "a quality control image"),
    ({"ImageType": ["DERIVED", "PRIMARY", "", "RECOMBINED"]}, "a recombined or subtracted contrast image"),
    ({"ImageType": ["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION"]}, "a recombined or subtracted"),
    ({"ImageType": ["DERIVED", "PRIMARY", "", "", "SUBTRACTION"]}, "a recombined or subtracted"),
    ({"SeriesDescription": "L CC CESM recombined"}, "a recombined or subtracted"),
    ({"ContrastBolusAgent": "IOHEXOL", "SeriesDescription": "L CC SUB"}, "a recombined or subtracted"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "POST_CONTRAST", "", "HIGH_ENERGY"]}, "a high-energy image"),
    ({"ContrastBolusAgent": "IOHEXOL"}, "nothing says that it is the low-energy one"),
    ({"ContrastBolusAgentSequence": codes("412372002")}, "nothing says that it is the low-energy one"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "POST_CONTRAST"]}, "nothing says that it is the low-energy one"),
]


@pytest.mark.parametrize(("values", "words"), REFUSED, ids=lambda value: str(value)[:60])
def test_refused_with_the_element_that_tells(values, words):
    reason = why_not_analysed(mammogram(**values))
    assert reason is not None
    assert words in reason
    assert reason.endswith(".")


def test_hologics_volume_hidden_in_a_secondary_capture():
    ds = Dataset()
    ds.SOPClassUID, ds.Modality, ds.ImageLaterality, ds.ViewPosition = SECONDARY_CAPTURE, "MG", "L", "CC"
    ds.private_block(0x7E01, "HOLOGIC, Inc.", create=True).add_new(0x01, "LO", "data")
    assert "a tomosynthesis volume" in why_not_analysed(read_acquisition(ds))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"ViewPosition": "CCID"},
        {"ViewPosition": "XCCL", "ViewModifierCodeSequence": codes("399197002")},
        {"ImageType": ["DERIVED", "PRIMARY", ""]},
        {"SOPClassUID": SECONDARY_CAPTURE},
        {"SOPClassUID": SECONDARY_CAPTURE, "ImageLaterality": None, "PatientOrientation": "CC"},
        {"SOPClassUID": uid.ComputedRadiographyImageStorage},
        {"SOPClassUID": uid.DigitalXRayImageStorageForPresentation},
        {"EstimatedRadiographicMagnificationFactor": "1.06"},
        {"PositionerPrimaryAngle": "0"},
        {"ViewPosition": "MLO", "PatientOrientation": ["A", "F"], "PositionerPrimaryAngle": "45"},
        {"PaddleDescription": "24CM X 30CM"},
        {"StudyDescription": "Screening mammogram, spot views as needed"},
        {"StudyDescription": "DIAGNOSTIC MAMMO BILATERAL WITH SPOT AND MAG"},
        {"StudyDescription": "Mammogram follow-up after biopsy"},
        {"StudyDescription": "Screening with C-View"},
        {"AcquisitionDeviceProcessingDescription": "HIGH CONTRAST"},
        {"ContrastBolusAgent": "NONE"},
    ],
)
def test_ordinary_mammograms_are_analysed_without_a_word(values):
    acq = mammogram(**values)
    assert why_not_analysed(acq) is None
    assert not is_synthetic(acq)
    assert set(remarks(acq)) <= {NO_SIDE}


@pytest.mark.parametrize(
    "values",
    [
        {"ImageType": ["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D", "", "", "", "", "150000"]},
        {"ImageType": ["DERIVED", "PRIMARY", "TOMO_2D"]},
        {"SeriesDescription": "L CC C-View"},
        {"SeriesDescription": "LCC_CVIEW"},
        {"SeriesDescription": "S-View L-CC"},
        {"SeriesDescription": "Insight 2D LCC"},
        {"SeriesDescription": "V-Preview"},
        {"SeriesDescription": "L CC Intelligent 2D"},
        {"SeriesDescription": "Synthetic 2D L CC"},
        {"ProtocolName": "Synthesized 2D"},
        {"SOPClassUID": TOMOSYNTHESIS, "NumberOfFrames": 1},
        {"SOPClassUID": TOMOSYNTHESIS, "ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]},
    ],
)
def test_generated_2d_images_are_recognised_however_a_vendor_says_so(values):
    acq = mammogram(**values)
    assert is_synthetic(acq)
    assert why_not_analysed(acq) is None
    assert SYNTHETIC_2D in remarks(acq)
    assert "a generated 2D image" in why_not_analysed(acq, Reading(synthetic_2d="refuse"))


@pytest.mark.parametrize(
    "values",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOW_ENERGY"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "POST_CONTRAST", "LOW_ENERGY"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "POST_CONTRAST", "", "LOW_ENERGY"]},
        {"ContrastBolusAgent": "IOHEXOL", "SeriesDescription": "L CC low energy"},
        {"ContrastBolusAgent": "IOHEXOL", "SeriesDescription": "L CC LE"},
        {"SeriesDescription": "CESM LOW-ENERGY L CC"},
    ],
)
def test_low_energy_images_are_analysed_and_said(values):
    acq = mammogram(**values)
    assert why_not_analysed(acq) is None
    assert LOW_ENERGY in remarks(acq)


def test_what_a_reader_has_to_know_is_said():
    acq = mammogram(BreastImplantPresent="YES", ImageLaterality=None, ViewPosition=None, PatientOrientation=None)
    assert remarks(acq) == (IMPLANT, NO_SIDE, NO_VIEW)


def test_secondary_capture_can_be_switched_off():
    acq = mammogram(SOPClassUID=SECONDARY_CAPTURE)
    assert "set to ignore" in why_not_analysed(acq, Reading(secondary_capture=False))


def test_every_rule_is_asked():
    """No rule of the table, which the Conformance Statement prints, is without an image that it refuses."""
    images = [mammogram(**values) for values, _ in REFUSED]
    images.append(mammogram(SeriesDescription="C-View"))
    refuse = Reading(synthetic_2d="refuse")
    for rule in RULES:
        assert any(rule.why(acq, refuse) for acq in images), rule.images


def test_reports_and_presentation_states_are_no_images():
    assert is_image(MG_FOR_PRESENTATION)
    assert is_image(uid.CTImageStorage)
    for other in (uid.SegmentationStorage, uid.ComprehensiveSRStorage, uid.GrayscaleSoftcopyPresentationStateStorage):
        assert not is_image(other)
