"""One training image and its truth, in pixels of the network's input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """An image fitted to the network's input (`ftmtl.preprocess.fit`), and what is true of it.

    Attributes
    ----------
    pixels
        float16, shape (height, width), 0..1, chest wall at the left, not yet standardised.
    masks
        bool, shape (lesions, height, width).
    malignant, types
        int64, shape (lesions,); -1 where unknown. Types index `ftmtl.network.TYPES`.
    patient
        Whose image it is; splits never divide a patient.
    """

    pixels: NDArray[np.float16]
    masks: NDArray[np.bool_]
    malignant: NDArray[np.int64]
    types: NDArray[np.int64]
    patient: str
