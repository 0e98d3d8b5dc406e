"""DIMSE statuses as data."""

import pytest

from node.dimse.status import Answer, StoreStatus, meaning


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (0x0000, Answer.STORED),
        (0xB000, Answer.WARNING),
        (0xB006, Answer.WARNING),
        (0xB007, Answer.WARNING),
        (0xA700, Answer.TRY_AGAIN),
        (0xA7FF, Answer.TRY_AGAIN),
        (0x0110, Answer.TRY_AGAIN),
        (0xA900, Answer.REFUSED),
        (0xA9FF, Answer.REFUSED),
        (0xC000, Answer.REFUSED),
        (0xCFFF, Answer.REFUSED),
        (0x0111, Answer.REFUSED),
        (0x0117, Answer.REFUSED),
        (0x0122, Answer.CLASS_REFUSED),
        (0x0124, Answer.REFUSED),
        (0x0001, Answer.REFUSED),
        (0xFE00, Answer.REFUSED),
        (0xFFFF, Answer.REFUSED),
    ],
)
def test_meaning(status, answer):
    found, words = meaning(status)
    assert found is answer
    assert bool(words) == (status != 0), "whatever is not stored is explained"


def test_what_the_node_answers_with_has_a_meaning_for_a_sender():
    assert meaning(StoreStatus.OUT_OF_RESOURCES)[0] is Answer.TRY_AGAIN
    for status in set(StoreStatus) - {0, StoreStatus.OUT_OF_RESOURCES}:
        assert meaning(status)[0] is Answer.REFUSED
