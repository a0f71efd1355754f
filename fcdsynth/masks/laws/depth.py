"""How strongly lesions of a size prefer the bottom of a sulcus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from fcdsynth.core.errors import SettingsError

_SD = (2.0, 0.75)


@dataclass(frozen=True)
class DepthSlope:
    """Seeds follow exp((b0 + b1 ln V) d), d the depth rank in [0, 1], V the volume in ml.

    The published values come from two points. Of small lesions (median 0.8 ml) 81 % lay at the
    bottom of a sulcus (Besson and Bernasconi 2006); with d uniform over the ribbon and "bottom"
    its deepest 40 %, a slope of 4 gives 81 %. Lesions of 20 ml cover whole gyri: slope 0.5.

    Args:
        b0: Slope at 1 ml.
        b1: Change of the slope with ln V; negative where small lesions lie deeper.

    Raises:
        SettingsError: If a value is not finite.
    """

    b0: float = 3.76
    b1: float = -1.09

    def __post_init__(self) -> None:
        if not (math.isfinite(self.b0) and math.isfinite(self.b1)):
            raise SettingsError("depth", f"b0 {self.b0}, b1 {self.b1}", "finite slopes",
                                "Mend the depth slope of the prior.")  # fmt: skip

    def at(self, volume_ml: float) -> float:
        """Slope for a lesion of a volume in ml, kept within -6 and 6."""
        return float(np.clip(self.b0 + self.b1 * math.log(volume_ml), -6, 6))


def _log_normaliser(slope: float) -> float:
    """Log of the integral of exp(slope d) over d in [0, 1]."""
    return math.log(math.expm1(slope) / slope) if abs(slope) > 1e-6 else slope / 2


def fit_depth(depth_ranks: Sequence[float], volumes_ml: Sequence[float]) -> DepthSlope:
    """Fit the slopes by maximum a posteriori around the published ones.

    The likelihood of a rank d is exp(k d) / integral of exp(k d'), k = b0 + b1 ln V, because
    ranks are uniform over a ribbon. The prior is normal around the published slopes with
    standard deviations 2 and 0.75, so that few masks change little.

    Args:
        depth_ranks: Depth rank in [0, 1] of each training lesion.
        volumes_ml: Its volume in ml.
    """
    start = DepthSlope()
    if not depth_ranks:
        return start
    ranks = np.asarray(depth_ranks, dtype=float)
    logs = np.log(np.asarray(volumes_ml, dtype=float))

    def loss(b: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        slopes = b[0] + b[1] * logs
        fit = float((slopes * ranks).sum()) - sum(_log_normaliser(float(k)) for k in slopes)
        strain = ((b[0] - start.b0) / _SD[0]) ** 2 + ((b[1] - start.b1) / _SD[1]) ** 2
        return float(strain / 2) - fit

    best = optimize.minimize(loss, np.array([start.b0, start.b1]), method="Nelder-Mead")
    return DepthSlope(float(best.x[0]), float(best.x[1]))
