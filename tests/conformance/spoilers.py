"""What spoils any object, for tests of the check before sending."""

from __future__ import annotations

from pydicom.dataset import Dataset


def verified(ds: Dataset) -> None:
    ds.VerificationFlag = "VERIFIED"


def other_patient(ds: Dataset) -> None:
    ds.PatientID = "SOMEBODY-ELSE"


def for_the_clinic(ds: Dataset) -> None:
    ds.ContentQualification = "PRODUCT"
