"""When a study is complete."""

import pytest
from support.records import MG_RAW, instance, job

from node.flow.assembly import AssemblyPolicy, look_again_at, why_complete

POLICY = AssemblyPolicy(quiet_s=10, deadline_s=100)
VIEWS = [("L", "CC"), ("R", "CC"), ("L", "MLO"), ("R", "MLO")]


def study(views=VIEWS, **changes):
    return [instance(n, laterality=side, view=view, **changes) for n, (side, view) in enumerate(views)]


def why(instances, *, connected=False, age=0.0, silence=0.0):
    began = job(created=1000.0 - age, last_received=1000.0 - silence)
    return why_complete(began, instances, sender_connected=connected, now=1000.0, policy=POLICY)


@pytest.mark.parametrize(("connected", "silence"), [(False, 0), (True, 2)])
def test_all_views_once_the_sender_has_closed_or_paused(connected, silence):
    assert why(study(), connected=connected, silence=silence) == "all views"
    assert why(study([*VIEWS, ("L", "ML")]), connected=connected, silence=silence) == "all views"


def test_all_views_wait_for_what_else_the_sender_brings():
    assert why(study(), connected=True, silence=1.9) is None


@pytest.mark.parametrize(
    ("views", "connected", "at"),
    [(VIEWS, True, 1002), (VIEWS[:3], False, 1010), (VIEWS[:3], True, 1090)],
)
def test_an_incomplete_study_is_looked_at_again_when_it_may_be_complete(views, connected, at):
    began = job(created=990.0, last_received=1000.0)
    assert look_again_at(began, study(views), sender_connected=connected, policy=POLICY) == at


@pytest.mark.parametrize("missing", VIEWS)
def test_three_views_wait(missing):
    assert why(study([view for view in VIEWS if view != missing]), silence=9.9) is None


def test_generated_images_wait_for_full_field_ones():
    """They are analysed only where no better image comes, so they don't complete a study."""
    generated = study(substitute=True)
    assert why(generated, silence=9.9) is None
    assert why(generated, silence=10) == "quiet"
    assert why([*generated, *study()]) == "all views"


def test_a_view_twice_is_not_two_views():
    assert why(study([("L", "CC"), ("L", "CC"), ("R", "CC"), ("R", "MLO")])) is None


def test_raw_images_are_not_the_views_that_are_waited_for():
    """Modalities send For Processing images beside those For Presentation; only the latter are analysed."""
    raw = {"sop_class_uid": MG_RAW, "refusal": "a For Processing image"}
    assert why(study(**raw)) is None
    assert why([*study(**raw), *study(VIEWS[:3])], connected=True) is None


@pytest.mark.parametrize("views", [[(None, None)], [("L", None)], [(None, "CC")], []])
def test_unknown_views_wait_for_silence(views):
    assert why(study(views * 4), silence=9.9) is None
    assert why(study(views * 4), silence=10) == "quiet"


def test_silence_counts_only_after_the_association_closed():
    assert why(study(VIEWS[:2]), connected=True, silence=50) is None
    assert why(study(VIEWS[:2]), connected=False, silence=50) == "quiet"


def test_the_deadline_ends_an_association_that_never_closes():
    assert why(study(VIEWS[:2]), connected=True, age=99) is None
    assert why(study(VIEWS[:2]), connected=True, age=100) == "deadline"
