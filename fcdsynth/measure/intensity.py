"""Prepared intensities: a robust z-score of the brain, shifted and scaled into [0, 1]."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.errors import CohortError
from fcdsynth.core.tissue import INTENSITY_MEDIAN, INTENSITY_PER_SD
from fcdsynth.core.volume import Volume

FLOOR = 0.01  # the darkest brain voxel; 0 is kept for the outside
_MAD_TO_SD = 1.4826


def normalise(volume: Volume, brain: Volume, subject: str) -> NDArray[np.float32]:
    """Bring a volume to v = 0.5 + 0.1 z inside the brain, 0 outside.

    z counts robust standard deviations (1.4826 times the median absolute deviation) from the
    median of the brain's voxels.

    Args:
        volume: Intensities on the prepared grid.
        brain: Mask on the same grid.
        subject: Who and which image it is, for messages.

    Raises:
        CohortError: If the brain has no contrast.
    """
    values = volume.array[brain.array].astype(float)
    median = float(np.median(values))
    spread = _MAD_TO_SD * float(np.median(np.abs(values - median)))
    if spread <= 1e-6 * max(abs(median), 1e-6):
        raise CohortError(
            subject, f"one intensity ({median:.3g}) in at least half of the brain",
            "an image with contrast", "Look at the image and at the brain mask.",
        )  # fmt: skip
    prepared = INTENSITY_MEDIAN + INTENSITY_PER_SD * (volume.array - median) / spread
    return np.where(brain.array, np.clip(prepared, FLOOR, 1.0), 0.0).astype(np.float32)
