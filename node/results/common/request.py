"""The order that an examination was made for, as results repeat it (PS3.3 Table 10-9, C.17.2)."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items


def repeat_request(ds: Dataset, source: Dataset) -> None:
    """Give an object the Request Attributes of the image that it was made from, if the image has any.

    Parameters
    ----------
    ds
        An object with a General Series Module; structured reports have :func:`refer_to_requests`.
    source
        Normalised header of the image.
    """
    if source.get("RequestAttributesSequence"):
        ds.RequestAttributesSequence = source.RequestAttributesSequence


def refer_to_requests(report: Dataset, source: Dataset) -> None:
    """Give a structured report a Referenced Request for each order that the header of its first image names."""
    orders = source.get("RequestAttributesSequence") or ()
    if orders:
        report.ReferencedRequestSequence = Items([_request(order, source) for order in orders])


def _request(order: Dataset, source: Dataset) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = order.get("StudyInstanceUID") or source.StudyInstanceUID
    item.ReferencedStudySequence = Items()
    item.AccessionNumber = order.get("AccessionNumber") or source.get("AccessionNumber")
    for keyword in ("PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest"):
        setattr(item, keyword, source.get(keyword))
    for keyword in ("RequestedProcedureID", "RequestedProcedureDescription"):
        setattr(item, keyword, order.get(keyword))
    item.RequestedProcedureCodeSequence = order.get("RequestedProcedureCodeSequence") or Items()
    return item
