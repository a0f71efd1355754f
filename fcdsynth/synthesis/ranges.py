"""Where a new value like some measured ones may lie: alone, and together with another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.covariance import LedoitWolf

from fcdsynth.synthesis.contrasts import Contrasts


@dataclass(frozen=True)
class Range:
    """Where a contrast may lie.

    Args:
        low: Least value.
        high: Largest value.
    """

    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], tail: float) -> Range | None:
        """Range of new values like these, wide where these are few.

        The hull of two: the quantiles of the values, and the prediction interval of a normal law,
        mean +- t(n - 1) s sqrt(1 + 1/n), without which three lesions would bound all others.

        Args:
            values: Measured contrasts; NaN are left out.
            tail: Share on each side.

        Returns:
            None where fewer than two values say nothing about spread.
        """
        known = np.asarray(values, dtype=float)
        known = known[np.isfinite(known)]
        if len(known) < 2:
            return None
        t = float(stats.t.ppf(1 - tail, len(known) - 1))
        reach = t * known.std(ddof=1) * np.sqrt(1 + 1 / len(known))
        low, high = np.quantile(known, [tail, 1 - tail])
        middle = known.mean()
        return cls(float(min(low, middle - reach)), float(max(high, middle + reach)))


@dataclass(frozen=True, eq=False)
class Agreement:
    """The joint law of the contrasts of real lesions.

    Args:
        mean: Shape (contrast,).
        scale: Standard deviations, shape (contrast,).
        precision: Inverse of the shrunken covariance of the scaled contrasts.
        limit: Largest squared distance.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    precision: NDArray[np.float64]
    limit: float

    @classmethod
    def of(cls, lesions: Sequence[Contrasts], share: float) -> Agreement | None:
        """Fit it: Mahalanobis distance with the covariance of Ledoit and Wolf (2004).

        Contrasts are scaled by their own SD first, since that covariance shrinks towards equal
        variances. The limit is Hotelling's for one new value, F(p, n - p) times
        p (n^2 - 1) / (n (n - p)), which falls to chi-square with p degrees of freedom when lesions
        are many.

        Returns:
            None with one contrast, or with fewer than two lesions more than contrasts.
        """
        values = np.asarray([row for row in lesions if np.isfinite(row).all()], dtype=float)
        n, p = values.shape if values.size else (0, 0)
        if p < 2 or n < p + 2:
            return None
        mean = values.mean(0)
        scale = np.maximum(values.std(0, ddof=1), 1e-9)
        shrunk = LedoitWolf(assume_centered=True).fit((values - mean) / scale)
        limit = p * (n**2 - 1) / (n * (n - p)) * float(stats.f.ppf(share, p, n - p))
        return cls(mean, scale, shrunk.precision_, limit)

    def distance(self, contrasts: Contrasts) -> float:
        """Squared Mahalanobis distance of one lesion."""
        at = (np.asarray(contrasts) - self.mean) / self.scale
        return float(at @ self.precision @ at)
