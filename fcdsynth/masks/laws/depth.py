"""How strongly lesions of a size prefer the bottom of a sulcus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from fcdsynth.core.errors import SettingsError

_SD = (2.0, 0.75)
_STEEPEST = 6.0


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
        return float(np.clip(self.b0 + self.b1 * math.log(volume_ml), -_STEEPEST, _STEEPEST))


@dataclass(frozen=True, eq=False)
class Choice:
    """One seed among the ribbon voxels that it could have been.

    Args:
        rank: Depth rank of the seed.
        volume_ml: Volume of the lesion.
        ranks: Depth ranks of the patient's ribbon voxels, or of a sample of them, shape (m,).
        site: What the site law gives to each, to any scale, shape (m,).
    """

    rank: float
    volume_ml: float
    ranks: NDArray[np.float32]
    site: NDArray[np.float64]

    def log_gain(self, slope: DepthSlope) -> float:
        """Logarithm of how many times likelier the slope makes this seed than the site law alone.

        With k = b0 + b1 ln V it is k d - ln(sum of site exp(k d') / sum of site) over the
        ribbon: the site's own part of ln P(seed) does not depend on the slope.
        """
        k = slope.at(self.volume_ml)
        tilted = float(self.site @ np.exp(k * (self.ranks - self.rank)))
        return -math.log(tilted / float(self.site.sum()))


def fit_depth(choices: Sequence[Choice]) -> DepthSlope:
    """Fit the slopes as a conditional logistic (McFadden 1974), maximum a posteriori.

    The likelihood is P(seed = v) = site(v) exp((b0 + b1 ln V) d(v)) / sum over the patient's own
    ribbon, which is what drawing samples from. The prior is normal around the published slopes
    with standard deviations 2 and 0.75, so that few lesions change little.

    Args:
        choices: The seeds of the training lesions.
    """
    start = DepthSlope()
    if not choices:
        return start

    def loss(b: NDArray[np.float64]) -> float:
        slope = DepthSlope(float(b[0]), float(b[1]))
        strain = ((b[0] - start.b0) / _SD[0]) ** 2 + ((b[1] - start.b1) / _SD[1]) ** 2
        return float(strain / 2) - sum(choice.log_gain(slope) for choice in choices)

    best = optimize.minimize(loss, np.array([start.b0, start.b1]), method="Nelder-Mead",
                             options={"xatol": 1e-3, "fatol": 1e-3})  # fmt: skip
    return DepthSlope(round(float(best.x[0]), 4), round(float(best.x[1]), 4))
