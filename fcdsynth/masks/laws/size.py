"""The size law of lesions: a truncated log-normal, fitted or published."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from fcdsynth.core.errors import SettingsError

# Median and spread from MELD's cluster sizes (1710 vertices, interquartile range 690 to 3736),
# bounds from 40 consecutive FCDs (Besson and Bernasconi 2006).
PUBLISHED_MEDIAN_ML = 2.8
PUBLISHED_SIGMA_LN = 1.25
PUBLISHED_BOUNDS_ML = (0.12, 60.0)
FULL_TRUST_AT = 20
TAIL = 0.005
_FEWEST_FOR_TEST = 5
_SIMULATIONS = 999


@dataclass(frozen=True)
class Goodness:
    """How well the log-normal with the lesions' own mean and (n - 1) SD of ln V describes them.

    Args:
        ks: Kolmogorov-Smirnov distance.
        ks_p: Share of samples simulated from that log-normal, and fitted again, that lie at
            least as far from theirs (Lilliefors 1967 by Monte Carlo).
        ad: Anderson-Darling statistic.
        ad_p: The same for it.
    """

    ks: float
    ks_p: float
    ad: float
    ad_p: float


@dataclass(frozen=True)
class SizeLaw:
    """ln V is normal, V truncated to an interval.

    Args:
        median_ml: exp of the mean of ln V, before truncation.
        sigma_ln: Standard deviation of ln V.
        lower_ml: Smallest possible volume.
        upper_ml: Largest possible volume.
        n: Number of lesions it was fitted on, 0 for the published law.
        goodness: How well a log-normal describes those lesions; None when they are too few.

    Raises:
        SettingsError: If a value is out of range.
    """

    median_ml: float = PUBLISHED_MEDIAN_ML
    sigma_ln: float = PUBLISHED_SIGMA_LN
    lower_ml: float = PUBLISHED_BOUNDS_ML[0]
    upper_ml: float = PUBLISHED_BOUNDS_ML[1]
    n: int = 0
    goodness: Goodness | None = None

    def __post_init__(self) -> None:
        if not (self.median_ml > 0 and self.sigma_ln > 0 and 0 < self.lower_ml < self.upper_ml):
            raise SettingsError(
                "size", f"median {self.median_ml} ml, sigma_ln {self.sigma_ln}, bounds "
                f"{self.lower_ml} to {self.upper_ml} ml", "positive values, lower below upper",
                "Mend the size law of the prior.",
            )  # fmt: skip
        low, high = self._mass()
        if not high - low >= 1e-6:
            raise SettingsError(
                "size", f"bounds {self.lower_ml} to {self.upper_ml} ml that hold none of the law",
                f"bounds around the median of {self.median_ml} ml", "Widen the bounds.",
            )  # fmt: skip

    def _mass(self) -> tuple[float, float]:
        ends = np.log([self.lower_ml, self.upper_ml])
        low, high = stats.norm.cdf(ends, math.log(self.median_ml), self.sigma_ln)
        return float(low), float(high)

    def quantile(self, share: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """Volumes in ml at cumulated shares in [0, 1], any shape."""
        low, high = self._mass()
        z = stats.norm.ppf(low + np.asarray(share, dtype=float) * (high - low))
        volume = self.median_ml * np.exp(self.sigma_ln * z)
        return np.asarray(np.clip(volume, self.lower_ml, self.upper_ml))

    @property
    def bounds_ml(self) -> tuple[float, float]:
        """The 0.5 and 99.5 % quantiles: what test R5 lets pass, and what is drawn."""
        low, high = self.quantile(np.array([TAIL, 1 - TAIL]))
        return float(low), float(high)

    def draw(self, rng: np.random.Generator) -> float:
        """One volume in ml, within `bounds_ml`: what R5 would refuse at every try is not drawn."""
        return float(self.quantile(TAIL + (1 - 2 * TAIL) * rng.random()))


def fit_size(volumes_ml: Sequence[float], seed: int = 0) -> SizeLaw:
    """Fit the size law by maximum likelihood, shrunk to the published law when masks are few.

    With m and s2 the mean and the (divided by n) variance of ln V, and w = min(1, n / 20), the
    law has mean w m + (1 - w) m0 and variance w s2 + (1 - w) s0^2, where m0 and s0 are the
    published values. The bounds are the published ones, widened to hold every lesion.

    Args:
        volumes_ml: Volumes of the training lesions, ml.
        seed: Seed of the simulated p-values.

    Raises:
        SettingsError: If a volume is not positive.
    """
    volumes = np.asarray(volumes_ml, dtype=float)
    if volumes.size == 0:
        return SizeLaw()
    if not (volumes > 0).all():
        raise SettingsError("volumes_ml", f"{volumes.min()} ml", "positive volumes",
                            "Leave empty masks out.")  # fmt: skip
    logs = np.log(volumes)
    weight = min(1.0, volumes.size / FULL_TRUST_AT)
    mean = weight * logs.mean() + (1 - weight) * math.log(PUBLISHED_MEDIAN_ML)
    variance = weight * logs.var() + (1 - weight) * PUBLISHED_SIGMA_LN**2
    return SizeLaw(
        median_ml=math.exp(mean),
        sigma_ln=math.sqrt(max(variance, 0.01)),
        lower_ml=min(PUBLISHED_BOUNDS_ML[0], float(volumes.min())),
        upper_ml=max(PUBLISHED_BOUNDS_ML[1], float(volumes.max())),
        n=int(volumes.size),
        goodness=goodness_of(volumes, seed),
    )


def goodness_of(volumes_ml: ArrayLike, seed: int = 0) -> Goodness | None:
    """Test log-normality with the parameters fitted; None below 5 lesions or without spread.

    Args:
        volumes_ml: Positive volumes, ml.
        seed: Seed of the 999 simulated samples behind each p-value.
    """
    logs = np.log(np.asarray(volumes_ml, dtype=float))
    if logs.size < _FEWEST_FOR_TEST or np.ptp(logs) < 1e-9:
        return None
    ks, ad = (
        stats.goodness_of_fit(
            stats.norm, logs, statistic=name, n_mc_samples=_SIMULATIONS,
            rng=np.random.default_rng(seed),
        )
        for name in ("ks", "ad")
    )  # fmt: skip
    found = (ks.statistic, ks.pvalue, ad.statistic, ad.pvalue)
    return Goodness(*(round(float(value), 6) for value in found))
