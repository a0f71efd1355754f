"""What a map may hold, and the checks that it holds what it is said to hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fcdsynth.core.errors import CohortError
from fcdsynth.core.volume import Volume

KINDS: Mapping[str, str] = {
    "probability": "lesion probability in [0, 1] in every voxel",
    "binary": "a mask: 0 and one other value",
    "labels": "whole numbers: 0 and one value per cluster",
}
LARGEST_LABEL = 32767
# Interpolation in single precision may leave [0, 1] by this much.
ROUNDING = 1e-4


def _wrong(subject_id: str, found: str, kind: str, remedy: str) -> CohortError:
    return CohortError(f"{subject_id} map", found, KINDS[kind], remedy)


def _two_valued(volume: Volume) -> bool:
    top = float(volume.array.max())
    return top > 0 and bool(((volume.array == 0) | (volume.array == top)).all())


def require_probability(subject_id: str, volume: Volume) -> None:
    """Raise unless a map holds probabilities, and not just a mask.

    Raises:
        CohortError: With the likely cause: logits, percent, labels or a mask.
    """
    low, high = float(volume.array.min()), float(volume.array.max())
    if low < -ROUNDING or high > 1 + ROUNDING:
        whole = bool((volume.array == np.rint(volume.array)).all())
        if low < 0:
            remedy = "Logits become probabilities by the sigmoid; do so before you export."
        elif whole:
            remedy = "Whole numbers: say --maps labels or --maps binary, or divide percent by 100."
        else:
            remedy = "Divide percent by 100."
        raise _wrong(subject_id, f"values from {low:g} to {high:g}", "probability", remedy)
    if _two_valued(volume):
        raise _wrong(
            subject_id, f"a binary map (0 and {high:g} alone) where scores are needed",
            "probability", "Say --maps binary, or export the probabilities.",
        )  # fmt: skip


def require_mask(subject_id: str, volume: Volume) -> None:
    """Raise unless a map holds 0 and at most one other, positive value.

    Raises:
        CohortError: With the likely cause.
    """
    low, high = float(volume.array.min()), float(volume.array.max())
    if low < 0 or (high > 0 and not _two_valued(volume)):
        whole = bool((volume.array == np.rint(volume.array)).all())
        raise _wrong(
            subject_id, f"more than two values, from {low:g} to {high:g}", "binary",
            "Say --maps labels if each cluster has its own number." if whole and low >= 0
            else "Say --maps probability, or make a mask of it; one that was resampled needs "
            "nearest neighbours.",
        )  # fmt: skip


def require_labels(subject_id: str, volume: Volume) -> None:
    """Raise unless a map holds whole numbers from 0 to 32767.

    Raises:
        CohortError: If it does not.
    """
    low, high = float(volume.array.min()), float(volume.array.max())
    if low < 0 or high > LARGEST_LABEL or (np.rint(volume.array) != volume.array).any():
        raise _wrong(
            subject_id, f"values from {low:g} to {high:g}, not all of them whole numbers from 0 "
            f"to {LARGEST_LABEL}", "labels",
            "Say --maps probability, or number the clusters from 1.",
        )  # fmt: skip
