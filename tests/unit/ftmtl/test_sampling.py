"""Batches follow from the step alone, hold their share of cancer, and pass over no image."""

from __future__ import annotations

from collections import Counter

import pytest

from ftmtl.datasets.sampling import batch_indices

RARE = [i % 10 == 0 for i in range(50)]
"""Five of fifty are malignant."""


def counted(steps: int, batch: int, malignant: list[bool], share: float) -> Counter[int]:
    return Counter(i for step in range(steps) for i in batch_indices(step, batch, malignant, share, (1, 0)))


def test_a_step_gives_the_same_batch_whatever_was_asked_before() -> None:
    alone = batch_indices(37, 8, RARE, 0.25, (1, 0))
    counted(20, 8, RARE, 0.25)
    assert batch_indices(37, 8, RARE, 0.25, (1, 0)) == alone
    assert batch_indices(38, 8, RARE, 0.25, (1, 0)) != alone
    assert batch_indices(37, 8, RARE, 0.25, (2, 0)) != alone


@pytest.mark.parametrize(("batch", "share", "least"), [(8, 0.25, 2), (6, 0.25, 2), (2, 0.25, 1), (4, 1.0, 4)])
def test_every_batch_holds_its_share_of_malignant_images(batch: int, share: float, least: int) -> None:
    for step in range(60):
        chosen = batch_indices(step, batch, RARE, share, (1, 0))
        assert len(chosen) == batch
        assert sum(RARE[i] for i in chosen) >= least


def test_within_an_epoch_each_image_of_a_kind_comes_equally_often() -> None:
    seen = counted(60, 8, RARE, 0.25)  # 120 malignant places for 5 images, 360 others for 45
    assert {seen[i] for i in range(50) if RARE[i]} == {24}
    assert {seen[i] for i in range(50) if not RARE[i]} == {8}


def test_where_cancer_is_common_all_images_come_equally_often() -> None:
    common = [i % 2 == 0 for i in range(24)]
    assert set(counted(12, 6, common, 0.25).values()) == {3}


@pytest.mark.parametrize("malignant", [[False] * 5, [True] * 5, [True]])
def test_one_kind_alone(malignant: list[bool]) -> None:
    seen = counted(10, 4, malignant, 0.5)
    assert set(seen.values()) == {40 // len(malignant)}


def test_malignant_images_have_no_place_of_their_own_in_the_batch() -> None:
    """Otherwise one of two processes would get them all."""
    places = Counter(
        place for step in range(40) for place, i in enumerate(batch_indices(step, 4, RARE, 0.25, (1, 0))) if RARE[i]
    )
    assert set(places) == {0, 1, 2, 3}
