"""The coded concepts that results use (PS3.16)."""

from __future__ import annotations

from pydicom.sr.coding import Code

from ftmtl.findings import FindingType

BREAST = Code("76752008", "SCT", "Breast")
BREASTS = {"L": Code("80248007", "SCT", "Left breast"), "R": Code("73056007", "SCT", "Right breast")}

ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LESION = Code("52988006", "SCT", "Lesion")
MASS = Code("4147007", "SCT", "Mass")

SEGMENT_TYPES = {
    FindingType.MASS: MASS,
    FindingType.CALCIFICATION: LESION,
    FindingType.DISTORTION: LESION,
    FindingType.ASYMMETRY: LESION,
    FindingType.LESION: LESION,
}
"""Segmented property types; CID 7159 has none for a calcification, a distortion or an asymmetry."""

FINDING_TYPES = {
    FindingType.MASS: MASS,
    FindingType.CALCIFICATION: Code("309587003", "SCT", "Calcification of breast"),
    FindingType.DISTORTION: Code("129792006", "SCT", "Architectural distortion of breast"),
    FindingType.ASYMMETRY: Code("129790003", "SCT", "Asymmetric breast tissue"),
    FindingType.LESION: LESION,
}

ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
DEVICE = Code("121007", "DCM", "Device")
REPORT = Code("126000", "DCM", "Imaging Measurement Report")
PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
BOUNDED_BY = Code("75958009", "SCT", "Bounded by")

PROBABILITY_OF_CANCER = Code("111047", "DCM", "Probability of cancer")
CERTAINTY_OF_FINDING = Code("111012", "DCM", "Certainty of Finding")
AREA = Code("42798000", "SCT", "Area")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
PERCENT = Code("%", "UCUM", "Percent")
MM = Code("mm", "UCUM", "mm")
MM2 = Code("mm2", "UCUM", "mm2")

BENIGN = Code("30807003", "SCT", "Benign")
MALIGNANT = Code("21594007", "SCT", "Malignant")

SCHEME = "99FTMTL"
MALIGNANCY_CLASS = Code("MALIGNANCY_CLASS", SCHEME, "AI malignancy class")
"""Which side of one half the probability of malignancy lies on; the standard has no name for it."""

CAD_SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
ALL_SUCCEEDED_WITHOUT_FINDINGS = Code("111241", "DCM", "All algorithms succeeded; without findings")


def breast(laterality: str | None) -> Code:
    """Return the code of the breast that ``L`` or ``R`` names, or of a breast that nobody named."""
    return BREASTS.get(laterality or "", BREAST)
