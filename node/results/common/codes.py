"""The coded concepts that results use (PS3.16)."""

from __future__ import annotations

from pydicom.sr.coding import Code as Code

from ftmtl.findings import FindingType

BREAST = Code("76752008", "SCT", "Breast")
BREASTS = {"L": Code("80248007", "SCT", "Left breast"), "R": Code("73056007", "SCT", "Right breast")}

ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LESION = Code("52988006", "SCT", "Lesion")
MASS = Code("4147007", "SCT", "Mass")

CALCIFICATION_CLUSTER = Code("129769006", "SCT", "Calcification Cluster")
DISTORTION = Code("129792006", "SCT", "Architectural distortion of breast")
ASYMMETRY = Code("129790003", "SCT", "Asymmetric breast tissue")

FINDING_TYPES = {
    FindingType.MASS: MASS,
    FindingType.CALCIFICATION: CALCIFICATION_CLUSTER,
    FindingType.DISTORTION: DISTORTION,
    FindingType.ASYMMETRY: ASYMMETRY,
    FindingType.LESION: LESION,
}
"""Kinds of lesions, in measurement reports and as Segmented Property Types.

CID 7159 has none for calcifications, distortions and asymmetries, but it may be extended (PS3.16 7.1.2).
"""

ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
DEVICE = Code("121007", "DCM", "Device")
REPORT = Code("126000", "DCM", "Imaging Measurement Report")
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
MAMMOGRAPHY = Code("71651007", "SCT", "Mammography")
"""The procedure where the source names none. CID 100, which has no code for it, is a suggestion (BCID, PS3.16 3.1)."""
DEVICE_OBSERVER_UID = Code("121012", "DCM", "Device Observer UID")
DEVICE_OBSERVER_NAME = Code("121013", "DCM", "Device Observer Name")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
COMMENT = Code("121106", "DCM", "Comment")
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
DERIVED_MEASUREMENTS = Code("126011", "DCM", "Derived Imaging Measurements")
FINDING = Code("121071", "DCM", "Finding")
FINDING_SITE = Code("363698007", "SCT", "Finding Site")
GEOMETRIC_PURPOSE = Code("130400", "DCM", "Geometric purpose of region")
IMAGE_REGION = Code("111030", "DCM", "Image Region")
DERIVATION = Code("121401", "DCM", "Derivation")
MAXIMUM = Code("56851009", "SCT", "Maximum")

CERTAINTY_OF_FINDING = Code("111012", "DCM", "Certainty of Finding")
AREA = Code("42798000", "SCT", "Area")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
PERCENT = Code("%", "UCUM", "Percent")
MM = Code("mm", "UCUM", "mm")
MM2 = Code("mm2", "UCUM", "mm2")

SOURCE = Code("260753009", "SCT", "Source")
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
"""What an image was made from (CID 7202)."""

SCHEME = "99FTMTL"
SCHEME_NAME = "Concepts of ftmtl-node that the standard has no code for"

LESION_SCORE = Code("LESION_SCORE", SCHEME, "Lesion score, uncalibrated")
MALIGNANCY_SCORE = Code("MALIGNANCY_SCORE", SCHEME, "Malignancy score given a lesion, uncalibrated")
CANCER_SCORE = Code("CANCER_SCORE", SCHEME, "Cancer score, uncalibrated")
"""The model's scores. The standard has codes for probabilities only, and these are none."""

RANGE_TO_100 = Code("{0:100}", "UCUM", "range: 0:100")
"""Their unit; a percentage would be taken for a probability."""

CAD_SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
ALL_SUCCEEDED_WITHOUT_FINDINGS = Code("111241", "DCM", "All algorithms succeeded; without findings")
ALL_SUCCEEDED_WITH_FINDINGS = Code("111242", "DCM", "All algorithms succeeded; with findings")
NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS = Code("111243", "DCM", "Not all algorithms succeeded; without findings")
NOT_ALL_SUCCEEDED_WITH_FINDINGS = Code("111244", "DCM", "Not all algorithms succeeded; with findings")
NONE_SUCCEEDED = Code("111245", "DCM", "No algorithms succeeded; without findings")

CAD_REPORT = Code("111036", "DCM", "Mammography CAD Report")
LANGUAGE = Code("121049", "DCM", "Language of Content Item and Descendants")
ENGLISH = Code("en", "RFC5646", "English")

IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LATERALITY = Code("111027", "DCM", "Image Laterality")
IMAGE_VIEW = Code("111031", "DCM", "Image View")
IMAGE_VIEW_MODIFIER = Code("111032", "DCM", "Image View Modifier")
ORIENTATION_ROW = Code("111044", "DCM", "Patient Orientation Row")
ORIENTATION_COLUMN = Code("111043", "DCM", "Patient Orientation Column")
STUDY_DATE = Code("111060", "DCM", "Study Date")
STUDY_TIME = Code("111061", "DCM", "Study Time")
CONTENT_DATE = Code("111018", "DCM", "Content Date")
CONTENT_TIME = Code("111019", "DCM", "Content Time")
HORIZONTAL_SPACING = Code("111026", "DCM", "Horizontal Pixel Spacing")
VERTICAL_SPACING = Code("111066", "DCM", "Vertical Pixel Spacing")
UM = Code("um", "UCUM", "micrometer")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
MODALITY = Code("121139", "DCM", "Modality")
MG = Code("MG", "DCM", "Mammography")
TARGET_REGION = Code("123014", "DCM", "Target Region")
PIXEL_ROWS = Code("110910", "DCM", "Pixel Data Rows")
PIXEL_COLUMNS = Code("110911", "DCM", "Pixel Data Columns")
PIXELS = Code("{pixels}", "UCUM", "pixels")
SIDES = {"L": Code("7771000", "SCT", "Left"), "R": Code("24028007", "SCT", "Right")}
"""CID 244: the side of an image of the library of a measurement report; a CAD report has that of the breast."""

IMPRESSION_DESCRIPTION = Code("111033", "DCM", "Impression Description")
INDIVIDUAL_IMPRESSION = Code("111034", "DCM", "Individual Impression/Recommendation")
RENDERING_INTENT = Code("111056", "DCM", "Rendering Intent")
PRESENTATION_REQUIRED = Code("111150", "DCM", "Presentation Required: Rendering device is expected to present")
PRESENTATION_OPTIONAL = Code("111151", "DCM", "Presentation Optional: Rendering device may present")
NOT_FOR_PRESENTATION = Code("111152", "DCM", "Not for Presentation: Rendering device expected not to present")
SINGLE_IMAGE_FINDING = Code("111059", "DCM", "Single Image Finding")
TRACKING_IDENTIFIER = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
ALGORITHM_NAME = Code("111001", "DCM", "Algorithm Name")
ALGORITHM_VERSION = Code("111003", "DCM", "Algorithm Version")
ALGORITHM_MANUFACTURER = Code("122405", "DCM", "Algorithm Manufacturer")
ALGORITHM_PARAMETERS = Code("111002", "DCM", "Algorithm Parameters")
LATERALITY = Code("272741003", "SCT", "Laterality")
UNSPECIFIED_METHOD = Code("112187", "DCM", "Unspecified method of calculation")
CALCULATION_DESCRIPTION = Code("112034", "DCM", "Calculation Description")
CENTER = Code("111010", "DCM", "Center")
OUTLINE = Code("111041", "DCM", "Outline")

SUMMARY_OF_DETECTIONS = Code("111064", "DCM", "Summary of Detections")
SUMMARY_OF_ANALYSES = Code("111065", "DCM", "Summary of Analyses")
SUCCESSFUL_DETECTIONS = Code("111063", "DCM", "Successful Detections")
FAILED_DETECTIONS = Code("111025", "DCM", "Failed Detections")
DETECTION_PERFORMED = Code("111022", "DCM", "Detection Performed")
SUCCEEDED = Code("111222", "DCM", "Succeeded")
PARTIALLY_SUCCEEDED = Code("111223", "DCM", "Partially Succeeded")
FAILED = Code("111224", "DCM", "Failed")
NOT_ATTEMPTED = Code("111225", "DCM", "Not Attempted")

OPERATING_POINT = Code("111071", "DCM", "CAD Operating Point")
MAXIMUM_OPERATING_POINT = Code("111072", "DCM", "Maximum CAD Operating Point")
RECOMMENDED_OPERATING_POINT = Code("111092", "DCM", "Recommended CAD Operating Point")
OPERATING_POINT_TABLE = Code("111093", "DCM", "CAD Operating Point Table")
OPERATING_POINT_DESCRIPTION = Code("111081", "DCM", "CAD Operating Point Description")
X_CONCEPT = Code("122698", "DCM", "X-Concept")
Y_CONCEPT = Code("122699", "DCM", "Y-Concept")
FALSE_MARKERS = Code("111086", "DCM", "False Markers per Image")
LESION_SENSITIVITY = Code("111089", "DCM", "Lesion Sensitivity")
ARBITRARY_UNIT = Code("[arb'U]", "UCUM", "arbitrary unit")
NO_UNITS = Code("1", "UCUM", "no units")

DENSITY = Code("129793001", "SCT", "Mammography breast density")

# CID 6014 has no code for a mass or an asymmetry: those of CID 6017 are for Composite Features, seen on
# several images; on a single image both are densities. A lesion of unknown type is called a density, too:
# the only other candidate, "Selected region", is not a lesion.
CAD_FINDING_TYPES = {
    FindingType.MASS: DENSITY,
    FindingType.CALCIFICATION: CALCIFICATION_CLUSTER,
    FindingType.DISTORTION: DISTORTION,
    FindingType.ASYMMETRY: DENSITY,
    FindingType.LESION: DENSITY,
}
"""Single Image Findings of Mammography CAD."""

VIEWS = {
    "CC": Code("399162004", "SCT", "cranio-caudal"),
    "MLO": Code("399368009", "SCT", "medio-lateral oblique"),
    "ML": Code("399260004", "SCT", "medio-lateral"),
    "LM": Code("399352003", "SCT", "latero-medial"),
    "LMO": Code("399099002", "SCT", "latero-medial oblique"),
    "SIO": Code("399188001", "SCT", "superolateral to inferomedial oblique"),
    "ISO": Code("441555000", "SCT", "inferomedial to superolateral oblique"),
    "FB": Code("399196006", "SCT", "caudo-cranial (from below)"),
    "XCCL": Code("399192008", "SCT", "cranio-caudal exaggerated laterally"),
    "XCCM": Code("399101009", "SCT", "cranio-caudal exaggerated medially"),
    "SPECIMEN": Code("127457009", "SCT", "tissue specimen from breast"),
}
"""CID 4014 by ACR code."""

VIEW_MODIFIERS = {
    "AC": Code("441752004", "SCT", "Anterior compression"),
    "AT": Code("399011000", "SCT", "Axillary Tail"),
    "AX": Code("442580003", "SCT", "Axillary tissue"),
    "CV": Code("399161006", "SCT", "Cleavage"),
    "ID": Code("399209000", "SCT", "Implant Displaced"),
    "IMF": Code("442593008", "SCT", "Infra-mammary fold"),
    "M": Code("399163009", "SCT", "Magnification"),
    "NP": Code("442581004", "SCT", "Nipple in profile"),
    "RI": Code("414493004", "SCT", "Rolled Inferior"),
    "RL": Code("399197002", "SCT", "Rolled Lateral"),
    "RM": Code("399226006", "SCT", "Rolled Medial"),
    "RS": Code("415670009", "SCT", "Rolled Superior"),
    "S": Code("399055006", "SCT", "Spot Compression"),
    "TAN": Code("399110001", "SCT", "Tangential"),
}
"""CID 4015 by ACR code."""


def from_to(first: int, last: int) -> Code:
    """Return the unit of a number between two others; the standard writes them out (PS3.16 TID 4006, TID 4023)."""
    return Code(f"{{{first}:{last}}}", "UCUM", f"range: {first}:{last}")


def breast(laterality: str | None) -> Code:
    """Return the code of the left or right breast for ``L`` or ``R``, else of a breast without a side."""
    return BREASTS.get(laterality or "", BREAST)
