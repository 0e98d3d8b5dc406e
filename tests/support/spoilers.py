"""Ways to spoil any object, and what a spoilt one is rejected for by the check before sending."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from node.errors import ResultRejected

Spoiler = Callable[[Dataset], None]
Checked = tuple[Path, Callable[[Path], None]]
"""A sound object's file, and a function that checks a copy of it."""


def faults_of(spoil: Spoiler, sound: Checked, folder: Path) -> str:
    """Spoil a copy, and return what it is rejected for."""
    path, check = sound
    check(path)
    ds = dcmread(path)
    spoil(ds)
    spoilt = folder / "spoilt.dcm"
    ds.save_as(spoilt)
    with pytest.raises(ResultRejected) as rejection:
        check(spoilt)
    return "\n".join(rejection.value.faults)


def verified(ds: Dataset) -> None:
    ds.VerificationFlag = "VERIFIED"


def other_patient(ds: Dataset) -> None:
    ds.PatientID = "SOMEBODY-ELSE"


def for_the_clinic(ds: Dataset) -> None:
    ds.ContentQualification = "PRODUCT"
