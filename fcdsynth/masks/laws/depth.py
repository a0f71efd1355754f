"""Where on a subject's own ribbon seeds lie: how deep, and how near the mid-plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from fcdsynth.core.errors import SettingsError

_SD = (2.0, 0.75, 0.5, 1.0)
_STEEPEST = 6.0
_LEAST_DEPTH = 0.02
_MEDIAL_MM = 8.0


@dataclass(frozen=True)
class DepthSlope:
    """Seeds follow exp((b0 + b1 ln V) d + fundus f(d) + medial m(x)).

    d is the depth rank in [0, 1], V the volume in ml, f(d) = -ln(1.02 - d), which rises steeply
    at the very bottom of a sulcus, and m(x) = exp(-|x| / 8 mm) in MNI, which a kernel density
    too wide for the mid-plane cannot tell from its surroundings.

    The published values of b0 and b1 come from two points. Of small lesions (median 0.8 ml) 81 %
    lay at the bottom of a sulcus (Besson and Bernasconi 2006); with d uniform over the ribbon and
    "bottom" its deepest 40 %, a slope of 4 gives 81 %. Lesions of 20 ml cover whole gyri: slope
    0.5. Of the other two nothing is published, and 0 leaves them out.

    Args:
        b0: Slope at 1 ml.
        b1: Change of the slope with ln V; negative where small lesions lie deeper.
        fundus: Preference for the very bottom.
        medial: Preference for the medial wall; negative where lesions keep off it.

    Raises:
        SettingsError: If a value is not finite.
    """

    b0: float = 3.76
    b1: float = -1.09
    fundus: float = 0.0
    medial: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.b0, self.b1, self.fundus, self.medial))):
            raise SettingsError("depth", str(self), "finite slopes",
                                "Mend the depth slope of the prior.")  # fmt: skip

    def at(self, volume_ml: float) -> float:
        """Slope of d for a lesion of a volume in ml, kept within -6 and 6."""
        return float(np.clip(self.b0 + self.b1 * math.log(volume_ml), -_STEEPEST, _STEEPEST))

    def log_weights(self, volume_ml: float, places: Places) -> NDArray[np.float64]:
        """Exponent for seeds of a lesion of a volume in ml, up to a constant, shape (n,)."""
        exponent = self.at(volume_ml) * places.rank + self.fundus * places.bottom
        return exponent if places.middle is None else exponent + self.medial * places.middle


@dataclass(frozen=True, eq=False)
class Places:
    """What the slopes multiply at some ribbon voxels: the same for every lesion and slope.

    Args:
        rank: Depth ranks d, shape (n,).
        bottom: f(d) of `DepthSlope`, shape (n,).
        middle: m(x), shape (n,); None where the MNI position is unknown.
    """

    rank: NDArray[np.float64]
    bottom: NDArray[np.float64]
    middle: NDArray[np.float64] | None

    @classmethod
    def of(cls, ranks: ArrayLike, x_mm: ArrayLike | None = None) -> Places:
        """From depth ranks (n,) and MNI x in mm (n,), None where unknown."""
        rank = np.asarray(ranks, dtype=float)
        middle = None if x_mm is None else np.exp(-np.abs(np.asarray(x_mm, float)) / _MEDIAL_MM)
        return cls(rank, np.asarray(-np.log(1 + _LEAST_DEPTH - rank)), middle)


@dataclass(frozen=True, eq=False)
class Choice:
    """One seed among the ribbon voxels that it could have been.

    Args:
        rank: Depth rank of the seed.
        volume_ml: Volume of the lesion.
        ranks: Depth ranks of the patient's ribbon voxels, or of a sample of them, shape (m,).
        site: What the site law gives to each, to any scale, shape (m,).
        x_mm: MNI x of the seed; None where unknown.
        ribbon_x_mm: MNI x of the ribbon voxels, shape (m,); None where unknown.
    """

    rank: float
    volume_ml: float
    ranks: NDArray[np.float32]
    site: NDArray[np.float64]
    x_mm: float | None = None
    ribbon_x_mm: NDArray[np.floating] | None = None

    @cached_property
    def _places(self) -> tuple[Places, Places]:
        """The seed, and the ribbon."""
        return Places.of(self.rank, self.x_mm), Places.of(self.ranks, self.ribbon_x_mm)

    def log_gain(self, slope: DepthSlope) -> float:
        """Logarithm of how many times likelier the slopes make this seed than the site law alone.

        With exponent e it is e(seed) - ln(sum of site exp(e) / sum of site) over the ribbon: the
        site's own part of ln P(seed) does not depend on the slopes.
        """
        own, everywhere = self._places
        tilt = slope.log_weights(self.volume_ml, everywhere)
        own_tilt = slope.log_weights(self.volume_ml, own)
        return -math.log(float(self.site @ np.exp(tilt - own_tilt)) / float(self.site.sum()))


def fit_depth(choices: Sequence[Choice]) -> DepthSlope:
    """Fit the slopes as a conditional logistic (McFadden 1974), maximum a posteriori.

    The likelihood is P(seed = v) = site(v) exp(exponent(v)) / sum over the patient's own ribbon,
    which is what drawing samples from. The prior is normal around the published slopes with
    standard deviations 2, 0.75, 0.5 and 1, so that few lesions change little.

    Args:
        choices: The seeds of the training lesions.
    """
    start = DepthSlope()
    if not choices:
        return start
    first = np.array([start.b0, start.b1, start.fundus, start.medial])

    def loss(b: NDArray[np.float64]) -> float:
        strain = float((((b - first) / _SD) ** 2).sum() / 2)
        slope = DepthSlope(*(float(value) for value in b))
        return strain - sum(choice.log_gain(slope) for choice in choices)

    best = optimize.minimize(loss, first, method="Nelder-Mead",
                             options={"xatol": 1e-3, "fatol": 1e-3, "maxiter": 2000})  # fmt: skip
    return DepthSlope(*(round(float(value), 4) for value in best.x))
