"""Which donor a transplant takes: one of about the wanted volume."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from fcdsynth.core.errors import SettingsError
from fcdsynth.masks.laws.near_volume import near_volume
from fcdsynth.masks.ways.donor import Donor


def choose_donor(
    donors: Mapping[tuple[str, int], Donor], volume_ml: float, rng: np.random.Generator
) -> tuple[str, int]:
    """Draw a donor of about a volume, see `near_volume`.

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
    volumes = [math.log(donors[name].volume_ml) for name in names]
    return names[near_volume(volumes, math.log(volume_ml), rng.random())]
