"""The model as the equipment that made each kind of object."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from support import mg
from support.measurement_reports import masks, report
from support.objects import write
from support.outcomes import two_views
from support.studies import by_uid

from ftmtl.findings import StudyResult
from node.errors import ResultRejected
from node.kinds import ObjectKind
from node.results.cad.build import build_cad_report
from node.results.common.content import value_of, walk
from node.results.common.naming import device_uid
from node.results.conformance import check_object
from node.results.pr.build import build_presentation
from node.results.sc.build import build_capture
from node.results.seg.build import build_segmentation
from node.results.study import Expected


def one_of_each_kind(headers: list[Dataset], result: StudyResult) -> dict[str, Dataset]:
    """Return one result object of each kind."""
    source, image = headers[0], result.images[0]
    pixels = {str(header.SOPInstanceUID): np.zeros((header.Rows, header.Columns), np.float32) for header in headers}
    return {
        "sr": report(headers, result, {}),
        "sr-comprehensive": report(headers, result, {}, kind=ObjectKind.SR_COMPREHENSIVE),
        "cad": build_cad_report(headers, result),
        "seg": build_segmentation(source, image, result),
        "pr": build_presentation(source, image, result),
        "sc": build_capture(headers, result, pixels),
    }


def other_device(ds: Dataset) -> None:
    ds.ContributingEquipmentSequence[0].DeviceUID = "2.25.404"


def other_version(ds: Dataset) -> None:
    ds.ContributingEquipmentSequence[0].SoftwareVersions = ["0.1.0", "1.3.0"]


def other_manufacturer(ds: Dataset) -> None:
    ds.Manufacturer = "Somebody"


def more_equipment(ds: Dataset) -> None:
    ds.ContributingEquipmentSequence.append(ds.ContributingEquipmentSequence[0])


SPOILT_EQUIPMENT = (other_device, other_version, other_manufacturer, more_equipment)


@pytest.mark.parametrize("sha256", ["ab12" * 16, "cd34" * 16])
def test_every_object_names_the_model_as_its_equipment(sha256: str, tmp_path: Path) -> None:
    """IHE AIR: one processing equipment, whose Device UID is the observer's and changes with the weights."""
    headers, result = two_views(tmp_path)
    result = replace(result, model=replace(mg.MODEL, weights_sha256=sha256))
    uid = device_uid(result.model)
    assert (uid == device_uid(mg.MODEL)) is (sha256 == mg.MODEL.weights_sha256)
    check = result, by_uid(headers), masks(headers, result)
    for kind, ds in one_of_each_kind(headers, result).items():
        path = write(ds, tmp_path / kind)
        check_object(path, Expected(ObjectKind(kind), *check))
        (made_by,) = dcmread(path).ContributingEquipmentSequence
        purpose = made_by.PurposeOfReferenceCodeSequence[0]
        assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109102", "DCM")
        assert (made_by.Manufacturer, made_by.ManufacturerModelName) == ("ftmtl-node", "FT-MTL-Net")
        assert (made_by.SoftwareVersions[1], made_by.DeviceSerialNumber) == ("1.2.0", sha256[:16])
        assert made_by.DeviceUID == uid
        assert ds.ContentQualification == "RESEARCH"
        observers = [value_of(item.ds) for item in walk(ds) if item.name == "121012"]
        assert observers == [uid] * kind.startswith("sr")
        for spoil in SPOILT_EQUIPMENT:
            spoilt = dcmread(path)
            spoil(spoilt)
            with pytest.raises(ResultRejected, match=r"equipment|DeviceUID"):
                check_object(write(spoilt, tmp_path / "spoilt"), Expected(ObjectKind(kind), *check))
