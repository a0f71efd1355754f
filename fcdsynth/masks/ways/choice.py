"""Which donor a transplant takes: one of about the wanted volume."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from fcdsynth.core.errors import SettingsError
from fcdsynth.masks.ways.donor import Donor

_BANDWIDTH_LN = 0.6


def choose_donor(
    donors: Mapping[tuple[str, int], Donor], volume_ml: float, rng: np.random.Generator
) -> tuple[str, int]:
    """Draw a donor with a Gaussian weight of its log volume, 0.6 wide.

    Args:
        donors: The lesions, by subject id and number.
        volume_ml: The wanted volume.
        rng: Source of randomness.

    Raises:
        SettingsError: If there is none.
    """
    if not donors:
        raise SettingsError("method", "transplant without a training lesion",
                            "training patients with lesion masks", "Use growth.")  # fmt: skip
    names = sorted(donors)
    away = np.array([math.log(donors[name].volume_ml / volume_ml) for name in names])
    log_weight = -((away / _BANDWIDTH_LN) ** 2) / 2
    cumulated = np.cumsum(np.exp(log_weight - log_weight.max()))
    return names[int(np.searchsorted(cumulated, rng.random() * cumulated[-1]))]
