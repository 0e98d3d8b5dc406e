"""Which kinds of images may be read: a setting that needs the standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """What may be read.

    Attributes
    ----------
    secondary_capture
        Whether Secondary Capture images with Modality MG (digitised film) are analysed.
    synthetic_2d
        What becomes of 2D images that were generated from tomosynthesis: ``analyse`` reads those of a breast and view
        of which the study has no full-field image, ``refuse`` reads none.
    """

    secondary_capture: bool = True
    synthetic_2d: str = "analyse"


USUAL = Reading()
