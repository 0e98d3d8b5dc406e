"""The colours of findings, the same on the page and in segmentations."""

from __future__ import annotations

Colour = tuple[int, int, int]

COLOURS: tuple[Colour, ...] = (
    (255, 196, 61), (72, 209, 255), (255, 120, 200), (130, 232, 120), (255, 140, 70), (186, 160, 255),
)  # fmt: skip
"""For findings 1, 2, 3... of a study; the seventh gets the first colour again."""


def colour_of(number: int) -> Colour:
    """Return the colour of a finding by its number in the study, from 1."""
    return COLOURS[(number - 1) % len(COLOURS)]
