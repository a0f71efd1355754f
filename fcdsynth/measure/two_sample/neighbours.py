"""Density and coverage: whether a sample lies where a reference does, and whether all over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from fcdsynth.core.errors import SettingsError
from fcdsynth.measure.two_sample.samples import Pooled

NEAREST = 5


@dataclass(frozen=True, slots=True)
class Neighbours:
    """How the first sample lies about the second, the reference (Naeem et al. 2020).

    Args:
        density: Mean number of the reference's balls that hold a row of the first sample, over
            k; about 1 for the same law, lower where the first sample strays.
        coverage: Share of the reference's balls that hold at least one row of the first sample;
            about 1 - 2^-k for equal samples of the same law, lower where it leaves parts empty.
        k: The ball of a reference row reaches to its k-th nearest other one.
    """

    density: float
    coverage: float
    k: int


def neighbours(samples: Pooled, k: int = NEAREST) -> Neighbours:
    """Measure density and coverage of the first sample about the second.

    Args:
        samples: Both samples.
        k: Which neighbour sets the radius; less where the reference has fewer rows.

    Raises:
        SettingsError: If k is below 1.
    """
    if k < 1:
        raise SettingsError("k", f"{k}", "at least 1", "Change the setting.")
    rows, reference = samples.values[samples.first], samples.values[~samples.first]
    k = min(k, len(reference) - 1)
    radius = np.sort(cdist(reference, reference), axis=1)[:, k]  # place 0 is the row itself
    inside = cdist(reference, rows) <= radius[:, None]
    return Neighbours(float(inside.sum() / (k * len(rows))), float(inside.any(axis=1).mean()), k)
