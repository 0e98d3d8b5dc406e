"""DIMSE statuses as data."""

import pytest
from pynetdicom.status import (
    GENERAL_STATUS,
    STATUS_CANCEL,
    STATUS_FAILURE,
    STATUS_PENDING,
    STATUS_SUCCESS,
    STATUS_WARNING,
    STORAGE_SERVICE_CLASS_STATUS,
    code_to_category,
)

from node.dimse.status import STORED_BEFORE, Answer, StoreStatus, meaning


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (0x0000, Answer.STORED),
        (0x0111, Answer.STORED),
        (0x0001, Answer.WARNING),
        (0x0107, Answer.WARNING),
        (0x0116, Answer.WARNING),
        (0xB000, Answer.WARNING),
        (0xB006, Answer.WARNING),
        (0xB007, Answer.WARNING),
        (0xB123, Answer.WARNING),
        (0xA700, Answer.TRY_AGAIN),
        (0xA7FF, Answer.TRY_AGAIN),
        (0x0110, Answer.TRY_AGAIN),
        (0x0210, Answer.TRY_AGAIN),
        (0x0213, Answer.TRY_AGAIN),
        (0xFE00, Answer.TRY_AGAIN),
        (0xFF00, Answer.TRY_AGAIN),
        (0xFF01, Answer.TRY_AGAIN),
        (0xA900, Answer.REFUSED),
        (0xA9FF, Answer.REFUSED),
        (0xC000, Answer.REFUSED),
        (0xCFFF, Answer.REFUSED),
        (0x0117, Answer.REFUSED),
        (0x0124, Answer.REFUSED),
        (0x0118, Answer.CLASS_REFUSED),
        (0x0122, Answer.CLASS_REFUSED),
        (0x0002, Answer.REFUSED),
        (0xA800, Answer.REFUSED),
        (0xFFFF, Answer.REFUSED),
    ],
)
def test_meaning(status, answer):
    found, words = meaning(status)
    assert found is answer
    assert bool(words) == (status != 0), "whatever is not stored is explained"


def test_every_status_of_the_standard_is_of_the_category_that_the_library_knows():
    answers = {
        STATUS_SUCCESS: {Answer.STORED},
        STATUS_WARNING: {Answer.WARNING},
        STATUS_FAILURE: {Answer.TRY_AGAIN, Answer.REFUSED, Answer.CLASS_REFUSED},
        STATUS_CANCEL: {Answer.TRY_AGAIN},
        STATUS_PENDING: {Answer.TRY_AGAIN},
    }
    for status in {*GENERAL_STATUS, *STORAGE_SERVICE_CLASS_STATUS, 0x0001, 0xFF00, 0xFF01} - {STORED_BEFORE}:
        answer, words = meaning(status)
        assert answer in answers[code_to_category(status)], hex(status)
        assert words != "unknown status", hex(status)


def test_what_the_node_answers_with_has_a_meaning_for_a_sender():
    assert meaning(StoreStatus.OUT_OF_RESOURCES)[0] is Answer.TRY_AGAIN
    for status in set(StoreStatus) - {0, StoreStatus.OUT_OF_RESOURCES}:
        assert meaning(status)[0] is Answer.REFUSED
