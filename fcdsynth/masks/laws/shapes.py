"""The shape law: mean and covariance of the training lesions' descriptors (test R6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.covariance import LedoitWolf

from fcdsynth.core.errors import SettingsError
from fcdsynth.measure.shape import DESCRIPTORS, Shape

FEWEST = 12
_LEVEL = 0.99
_LEAST_SD = 1e-3
_RIDGE = 1e-3
_VOLUME = DESCRIPTORS.index("ln_volume")


@dataclass(frozen=True)
class ShapeLaw:
    """A normal law of the eight descriptors of `fcdsynth.measure.shape`.

    Args:
        mean: Their means, in the order of `DESCRIPTORS`.
        covariance: Their covariance, 8 rows of 8.
        n: Number of lesions behind it.
        refused: Share of those lesions that the law of all other lesions would refuse.

    Raises:
        SettingsError: If sizes are wrong or the covariance is not positive definite.
    """

    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    n: int
    refused: float

    def __post_init__(self) -> None:
        size = len(DESCRIPTORS)
        rows = [len(row) for row in self.covariance]
        matrix = np.asarray(self.covariance) if rows == [size] * size else np.zeros((1, 1))
        sound = len(self.mean) == size and np.isfinite(matrix).all()
        if not sound or np.linalg.eigvalsh(matrix).min() <= 0:
            raise SettingsError("shapes", f"{len(self.mean)} means and a covariance of {rows}",
                                f"{size} means, a positive definite covariance of {size} by {size}",
                                "Mend the prior.")  # fmt: skip

    @cached_property
    def _precision(self) -> NDArray[np.float64]:
        return np.asarray(np.linalg.inv(np.asarray(self.covariance)))

    @property
    def limit(self) -> float:
        """Largest squared distance that passes: the 0.99 quantile of chi-square, 7 degrees."""
        return float(stats.chi2.ppf(_LEVEL, len(DESCRIPTORS) - 1))

    def distance2(self, descriptors: ArrayLike) -> NDArray[np.float64]:
        """Squared Mahalanobis distance to what is expected at a volume, shape (...).

        Under a normal law the distance of all descriptors less that of the volume alone is that
        of the others given the volume. The volume is drawn from a law of its own, and here a
        small or large mask is only asked for the shape of a small or large one.

        Args:
            descriptors: Of masks, shape (..., 8).
        """
        away = np.asarray(descriptors, dtype=float) - np.asarray(self.mean)
        whole = np.einsum("...i,ij,...j->...", away, self._precision, away)
        volume = away[..., _VOLUME] ** 2 / self.covariance[_VOLUME][_VOLUME]
        return np.asarray(whole - volume)

    def to_record(self) -> dict[str, Any]:
        """Plain dictionary for JSON, with the names of the descriptors."""
        return {
            "mean": dict(zip(DESCRIPTORS, self.mean, strict=True)),
            "covariance": [list(row) for row in self.covariance],
            "n": self.n,
            "refused_share": self.refused,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> ShapeLaw:
        """Read `to_record` back.

        Raises:
            ValueError: If the descriptors are others than this version's.
            KeyError: If something is absent.
        """
        if tuple(record["mean"]) != DESCRIPTORS:
            raise ValueError(f"shape descriptors {', '.join(record['mean'])}")
        return cls(
            tuple(float(v) for v in record["mean"].values()),
            tuple(tuple(float(v) for v in row) for row in record["covariance"]),
            int(record["n"]),
            float(record["refused_share"]),
        )


def fit_shapes(shapes: Sequence[Shape]) -> ShapeLaw | None:
    """Fit the law; None below 12 lesions, where eight descriptors say nothing.

    The covariance is shrunk by Ledoit and Wolf (2004) after each descriptor was brought to unit
    variance, since they have different units.

    Args:
        shapes: Shapes of the training lesions, measured with tissue labels and depth.
    """
    if len(shapes) < FEWEST:
        return None
    table = np.stack([shape.descriptors() for shape in shapes])
    left_out = [
        float(_normal(np.delete(table, row, axis=0)).distance2(table[row]))
        for row in range(len(table))
    ]
    law = _normal(table)
    refused = float(np.mean(np.asarray(left_out) > law.limit))
    return ShapeLaw(law.mean, law.covariance, law.n, refused)


def _normal(table: NDArray[np.float64]) -> ShapeLaw:
    mean, sd = table.mean(axis=0), np.maximum(table.std(axis=0), _LEAST_SD)
    shrunk = LedoitWolf(assume_centered=True).fit((table - mean) / sd).covariance_
    # The ridge keeps lesions that are all alike from giving a singular matrix.
    covariance = (shrunk + _RIDGE * np.eye(len(sd))) * np.outer(sd, sd)
    rows = tuple(tuple(row) for row in covariance.tolist())
    return ShapeLaw(tuple(mean.tolist()), rows, len(table), 0.0)
