"""Choose among training lesions one of about a volume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_BANDWIDTH_LN = 0.6
_LEAST = 1e-9


def near_volume(
    ln_volumes: Sequence[float], ln_wanted: float, share: float,
    weights: Sequence[float] | None = None,
) -> int:  # fmt: skip
    """Index of a lesion, by a Gaussian weight of its log volume, 0.6 wide.

    Args:
        ln_volumes: Logarithms of the lesions' volumes in ml, at least one.
        ln_wanted: That of the wanted volume.
        share: Where in the cumulated weights the choice falls, in [0, 1).
        weights: What each weighs besides, positive; all alike by default.
    """
    away = np.asarray(ln_volumes, dtype=float) - ln_wanted
    log_weight = -((away / _BANDWIDTH_LN) ** 2) / 2
    if weights is not None:
        log_weight = log_weight + np.log(np.maximum(weights, _LEAST))
    cumulated = np.cumsum(np.exp(log_weight - log_weight.max()))
    return int(np.searchsorted(cumulated, share * cumulated[-1]))
