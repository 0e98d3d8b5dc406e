"""The table of kinds: the UIDs that it writes out."""

import subprocess
import sys

import pytest
from pydicom.uid import UID

from node.kinds import KINDS, LabelMapSegmentationStorage, ObjectKind, fallback_for, object_kinds

NAMES = {
    ObjectKind.SEG: "SegmentationStorage",
    ObjectKind.SEG_FRACTIONAL: "SegmentationStorage",
    ObjectKind.SR: "Comprehensive3DSRStorage",
    ObjectKind.SR_OHIF: "Comprehensive3DSRStorage",
    ObjectKind.SR_COMPREHENSIVE: "ComprehensiveSRStorage",
    ObjectKind.CAD: "MammographyCADSRStorage",
    ObjectKind.CAD_DENSITY: "MammographyCADSRStorage",
    ObjectKind.PR: "GrayscaleSoftcopyPresentationStateStorage",
    ObjectKind.SC: "SecondaryCaptureImageStorage",
}


@pytest.mark.parametrize("kind", NAMES)
def test_the_sop_class_is_the_one_that_pydicom_knows(kind: ObjectKind) -> None:
    assert [UID(uid).keyword for uid in KINDS[kind].sop_classes] == [NAMES[kind]]


def test_kinds_without_a_name_in_pydicom_are_label_maps() -> None:
    others = [row.sop_classes for kind, row in KINDS.items() if kind not in NAMES]
    assert others == [
        (LabelMapSegmentationStorage,),
        (KINDS[ObjectKind.SEG].sop_classes[0], LabelMapSegmentationStorage),
    ]


def test_profile_and_mapping_replace_kinds_side_by_side() -> None:
    asked = ("seg", "sr", "cad", "sc")
    assert object_kinds(asked) == ("seg", "sr", "cad", "sc")
    assert object_kinds(asked, "ohif") == ("seg-ohif", "sr-ohif", "cad", "sc")
    assert object_kinds(asked, "", "density") == ("seg", "sr", "cad-density", "sc")
    assert object_kinds(asked, "ohif", "density") == ("seg-ohif", "sr-ohif", "cad-density", "sc")


def test_no_unmapped_report_stands_in_where_distortions_are_mapped() -> None:
    refused = ObjectKind.SR_COMPREHENSIVE
    assert fallback_for(refused, object_kinds(("seg", "sr", "cad"))) is ObjectKind.CAD
    assert fallback_for(refused, object_kinds(("seg", "sr", "cad"), "", "density")) is ObjectKind.CAD_DENSITY
    assert fallback_for(ObjectKind.CAD_DENSITY, (ObjectKind.CAD_DENSITY,)) is ObjectKind.SC
    assert fallback_for(ObjectKind.SC, (ObjectKind.SC,)) is None


def test_commands_on_the_ledger_start_without_the_imaging_libraries() -> None:
    """They would double the time that `ftmtl jobs list` takes."""
    code = "import sys, node.cli.main, node.cli.jobs; print(sorted({'pydicom', 'numpy', 'alembic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
