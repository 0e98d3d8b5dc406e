"""When an object was made, as it is written."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import SecondaryCaptureImageStorage
from support import mg

from node.kinds import ObjectKind
from node.results.common.finish import PENDING, Origin, content_uid, finish
from node.results.common.source import read_source

MADE = datetime(2026, 12, 31, 23, 30, 0, tzinfo=UTC)


def finished(offset: str) -> Dataset:
    header = mg.mg_header()
    if offset:
        header.TimezoneOffsetFromUTC = offset
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = SecondaryCaptureImageStorage, PENDING, PENDING
    ds.file_meta = FileMetaDataset()
    finish(ds, ObjectKind.SC, Origin([read_source(header)], [], mg.MODEL), lambda uid: MADE)
    return ds


@pytest.mark.parametrize(
    ("offset", "written"),
    [
        ("+0100", "20270101003000"),
        ("-0330", "20261231200000"),
        ("+0000", "20261231233000"),
    ],
)
def test_times_are_in_the_time_zone_that_the_image_states(offset: str, written: str) -> None:
    ds = finished(offset)
    assert ds.TimezoneOffsetFromUTC == offset
    assert ds.InstanceCreationDate + ds.InstanceCreationTime == written
    assert ds.ContentDate + ds.ContentTime == written
    assert ds.ContributingEquipmentSequence[0].ContributionDateTime == written


@pytest.mark.parametrize("offset", ["", "+9999", "0100"])
def test_without_a_usable_time_zone_times_are_local_and_none_is_stated(offset: str) -> None:
    ds = finished(offset)
    assert "TimezoneOffsetFromUTC" not in ds
    assert ds.ContentDate + ds.ContentTime == f"{MADE.astimezone():%Y%m%d%H%M%S}"


def test_the_uid_is_that_of_the_content() -> None:
    ds = finished("")
    assert ds.SOPInstanceUID == content_uid(ds, ObjectKind.SC, [])
    ds.PatientName, ds.ContentDate = "Somebody^Else", "20200101"
    assert ds.SOPInstanceUID == content_uid(ds, ObjectKind.SC, [])
    ds.Laterality = "L"
    assert ds.SOPInstanceUID != content_uid(ds, ObjectKind.SC, [])
    assert content_uid(ds, ObjectKind.SC, []) != content_uid(ds, ObjectKind.PR, [])
