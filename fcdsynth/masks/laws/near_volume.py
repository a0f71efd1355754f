"""Choose among training lesions one of about a volume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_BANDWIDTH_LN = 0.6


def near_volume(ln_volumes: Sequence[float], ln_wanted: float, share: float) -> int:
    """Index of a lesion, by a Gaussian weight of its log volume, 0.6 wide.

    Args:
        ln_volumes: Logarithms of the lesions' volumes in ml, at least one.
        ln_wanted: That of the wanted volume.
        share: Where in the cumulated weights the choice falls, in [0, 1).
    """
    away = np.asarray(ln_volumes, dtype=float) - ln_wanted
    log_weight = -((away / _BANDWIDTH_LN) ** 2) / 2
    cumulated = np.cumsum(np.exp(log_weight - log_weight.max()))
    return int(np.searchsorted(cumulated, share * cumulated[-1]))
