"""How many lesions a patient has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fcdsynth.core.errors import SettingsError
from fcdsynth.masks.laws.size import FULL_TRUST_AT

MOST = 3


@dataclass(frozen=True)
class NumberLaw:
    """Shares of the patients with one, two, and three or more lesions.

    The published figures on size and site (MELD, ds004199) are of patients with one lesion, so
    the published law is one lesion each.

    Args:
        shares: The three shares; the last is of three or more, drawn as three.
        n: Number of patients it was fitted on.

    Raises:
        SettingsError: If they are not three shares that sum to 1.
    """

    shares: tuple[float, float, float] = (1.0, 0.0, 0.0)
    n: int = 0

    def __post_init__(self) -> None:
        sound = len(self.shares) == MOST and all(share >= 0 for share in self.shares)
        if not sound or not math.isclose(sum(self.shares), 1, abs_tol=1e-6):
            raise SettingsError("number", str(self.shares),
                                "three shares that sum to 1", "Mend the prior.")  # fmt: skip

    def draw(self, rng: np.random.Generator) -> int:
        """1, 2 or 3."""
        return 1 + int(np.searchsorted(np.cumsum(self.shares)[:-1], rng.random(), side="right"))


def fit_number(lesions_per_patient: Sequence[int]) -> NumberLaw:
    """Shares of the patients, shrunk to the published law by n / 20 when they are few.

    Args:
        lesions_per_patient: Number of separate outlines of each training patient, at least 1.
    """
    n = len(lesions_per_patient)
    if n == 0:
        return NumberLaw()
    weight = min(1.0, n / FULL_TRUST_AT)
    found = np.bincount(np.minimum(lesions_per_patient, MOST), minlength=MOST + 1)[1:] / n
    one, two, more = weight * found + (1 - weight) * np.array(NumberLaw().shares)
    return NumberLaw((float(one), float(two), float(more)), n)
