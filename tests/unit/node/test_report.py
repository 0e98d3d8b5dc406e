"""The ledger's entries for people and for programs."""

import re

import pytest
from support.jobs import queued
from support.records import PACS, SECOND, instance, results

from node.domain import Analysed, Delivery, DeliveryState, JobState
from node.web.entries import iso_time, job_entries, job_entry

PENDING, DELIVERED, FAILED = DeliveryState.PENDING, DeliveryState.DELIVERED, DeliveryState.FAILED


@pytest.fixture
def job_id(ledger):
    return queued(ledger, [PACS, SECOND])


def test_times_are_iso_8601_utc():
    assert iso_time(0) == "1970-01-01T00:00:00.000Z"
    assert iso_time(1_700_000_000.125) == "2023-11-14T22:13:20.125Z"


def test_an_entry_before_there_are_results(ledger, job_id):
    (entry,) = job_entries(ledger)
    assert set(entry) == {
        "job_id",
        "study_uid",
        "state",
        "reason",
        "outcome",
        "remarks",
        "created",
        "updated",
        "destinations",
    }
    assert (entry["job_id"], entry["study_uid"], entry["state"]) == (job_id, instance().study_uid, "queued")
    assert entry["destinations"] == [{"name": "archive", "state": "pending"}, {"name": "second", "state": "pending"}]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["updated"])


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((PENDING, PENDING), "pending"),
        ((DELIVERED, PENDING), "pending"),
        ((DELIVERED, DELIVERED), "delivered"),
        ((DELIVERED, FAILED), "failed"),
        ((PENDING, FAILED), "failed"),
    ],
)
def test_a_destination_is_as_far_as_its_last_object(ledger, job_id, states, expected):
    ledger.deliveries.begin(job_id, ledger.jobs.claim(job_id, JobState.ANALYSING, 30), Analysed(results(), 1.2345))
    attempt = ledger.senders.claim("archive", 30)
    for uid, state in zip(("2.25.1", "2.25.2"), states, strict=True):
        ledger.deliveries.record(job_id, attempt, Delivery("archive", uid, state, 0xA700, 3, 0.0, "words"))
    entry = job_entry(ledger, ledger.jobs.get(job_id))
    assert entry["destinations"] == [{"name": "archive", "state": expected}, {"name": "second", "state": "pending"}]
    assert entry["forward_seconds"] == 1.234
    assert [i["sop_instance_uid"] for i in entry["instances"]] == [instance().sop_instance_uid]
    assert entry["objects"][0]["deliveries"][0] == {
        "destination": "archive",
        "state": states[0].value,
        "status": "0xA700",
        "attempts": 3,
        "comment": "words",
    }
    assert entry["objects"][0]["deliveries"][1]["status"] is None
