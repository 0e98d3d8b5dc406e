"""The table of kinds: the UIDs that it writes out."""

import subprocess
import sys

import pytest
from pydicom.uid import UID

from node.kinds import KINDS, LabelMapSegmentationStorage, ObjectKind

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


def test_commands_on_the_ledger_start_without_the_imaging_libraries() -> None:
    """They would double the time that `ftmtl jobs list` takes."""
    code = "import sys, node.cli.main, node.cli.jobs; print(sorted({'pydicom', 'numpy', 'alembic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
