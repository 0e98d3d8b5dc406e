"""SOP Class UIDs of result objects (PS3.4 B.5)."""

from __future__ import annotations

from collections.abc import Mapping

from node.domain import ObjectKind

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"
COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
MAMMOGRAPHY_CAD_SR = "1.2.840.10008.5.1.4.1.1.88.50"
PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

REPORTS = (COMPREHENSIVE_3D_SR, COMPREHENSIVE_SR)
"""Classes of measurement reports."""

CLASSES: Mapping[ObjectKind, tuple[str, ...]] = {
    ObjectKind.SEG: (SEGMENTATION,),
    ObjectKind.SEG_FRACTIONAL: (SEGMENTATION,),
    ObjectKind.SEG_LABELMAP: (LABEL_MAP_SEGMENTATION,),
    ObjectKind.SEG_OHIF: (SEGMENTATION, LABEL_MAP_SEGMENTATION),
    ObjectKind.SR: (COMPREHENSIVE_3D_SR,),
    ObjectKind.SR_COMPREHENSIVE: (COMPREHENSIVE_SR,),
    ObjectKind.SR_OHIF: (COMPREHENSIVE_3D_SR,),
    ObjectKind.CAD: (MAMMOGRAPHY_CAD_SR,),
    ObjectKind.PR: (PRESENTATION_STATE,),
    ObjectKind.SC: (SECONDARY_CAPTURE,),
}
"""What the objects of a kind may be; which of two depends on the findings."""
