"""The learning curve of real patients, and how many of them synthetic ones are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from fcdsynth.study.endpoint import LEVELS, Endpoint
from fcdsynth.study.settings import Arm


@dataclass(frozen=True)
class Worth:
    """Real patients whose arm would find as much as an arm with synthetic ones.

    Args:
        arm: The arm.
        patients: The number; at an end of the curve, that end.
        low: Lower end of the 95 % interval, cut at the ends of the curve.
        high: Upper end.
        beyond: Whether the arm lies above the curve's last point: then ``patients`` is the least
            that it is worth, and likewise for ``high``.
        share_beyond: Share of bootstrap samples in which it does.
    """

    arm: str
    patients: float
    low: float
    high: float
    beyond: bool
    share_beyond: float


def worth(endpoint: Endpoint, arms: Sequence[Arm], n: int, arm: str) -> Worth | None:
    """Read an arm's sensitivity off the learning curve of the arms that are only real.

    Through the points goes the rising step-free line of isotonic regression (Barlow et al. 1972),
    straight in the logarithm of the number of patients between them: more patients are never
    taken to do harm. Where the line is level the smallest number counts.

    Args:
        endpoint: Sensitivities of all arms.
        arms: The arms.
        n: Patients of an arm with ``real = 1``.
        arm: The arm to read off.

    Returns:
        None where fewer than two arms are only real.
    """
    points = sorted((round(a.real * n), a.name) for a in arms if a.plain)
    if len(points) < 2:
        return None
    sizes = np.array([size for size, _ in points], dtype=float)
    values = np.array([endpoint.sensitivity(name).value for _, name in points])
    samples = np.stack([endpoint.samples(name) for _, name in points], axis=1)
    own = endpoint.samples(arm)
    patients, beyond = _read(sizes, values, endpoint.sensitivity(arm).value)
    drawn = [_read(sizes, row, value) for row, value in zip(samples, own, strict=True)]
    low, high = np.quantile([size for size, _ in drawn], LEVELS)
    share = float(np.mean([over for _, over in drawn]))
    return Worth(arm, patients, float(low), float(high), beyond, share)


def _read(
    sizes: NDArray[np.float64], values: NDArray[np.float64], wanted: float
) -> tuple[float, bool]:
    """Size at which the rising line through the points reaches a value; whether it never does."""
    line = IsotonicRegression().fit_transform(np.log(sizes), values)
    if wanted > line[-1] + 1e-12:
        return float(sizes[-1]), True
    above = int(np.argmax(line >= wanted - 1e-12))
    if above == 0:
        return float(sizes[0]), False
    share = (wanted - line[above - 1]) / (line[above] - line[above - 1])
    logs = np.log(sizes)
    return float(np.exp(logs[above - 1] + share * (logs[above] - logs[above - 1]))), False
