"""Colours of the page, other than those of findings."""

from __future__ import annotations

GROUND, FRAME, TEXT, DIM, WARNING = (14, 15, 18), (52, 54, 60), (238, 238, 238), (160, 163, 170), (255, 176, 64)
BANNER, BANNER_TEXT = (74, 50, 8), (255, 200, 84)
