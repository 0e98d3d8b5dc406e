"""What becomes of a complete study."""

import pytest
from support.records import CT, MG, MG_RAW, PACS, SECOND, instance

from node.flow.routing import route

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.mark.parametrize(
    ("sop_class", "modality"), [(MG, "MG"), (MG, ""), (MG_RAW, "MG"), (SECONDARY_CAPTURE, "MG"), (MG, "OT")]
)
def test_a_possible_mammogram_goes_to_every_destination(sop_class, modality):
    plan = route(
        [instance(1, sop_class_uid=CT, modality="CT"), instance(2, sop_class_uid=sop_class, modality=modality)],
        [PACS, SECOND],
    )
    assert plan.destinations == (PACS, SECOND)
    assert plan.reason == ""


def test_anything_else_is_not_processed_and_says_what_it_is():
    plan = route([instance(1, sop_class_uid=CT, modality="CT"), instance(2, sop_class_uid=CT, modality="")], [PACS])
    assert plan.destinations == ()
    assert "CT, no modality" in plan.reason
