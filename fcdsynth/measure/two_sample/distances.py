"""All features at once by distances: maximum mean discrepancy and energy distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from fcdsynth.core.errors import SettingsError
from fcdsynth.measure.two_sample.samples import Pooled, p_value, shuffled_labels


@dataclass(frozen=True, slots=True)
class DistanceTest:
    """A distance between two samples.

    Args:
        statistic: The distance.
        p: Permutation p value, labels shuffled between groups; None without permutations.
        permutations: Number of shuffles.
        bandwidth: Bandwidth of the kernel, None where there is none.
    """

    statistic: float
    p: float | None
    permutations: int
    bandwidth: float | None = None


def mmd_test(
    samples: Pooled, permutations: int = 999, seed: int = 0, bandwidth: float | None = None
) -> DistanceTest:
    """Squared maximum mean discrepancy, Gaussian kernel, unbiased (Gretton et al. 2012, eq. 3).

    The kernel is exp(-d2 / (2 h2)) with h the median distance of all pairs unless given. The
    estimate is around 0 for two samples of one law, and may be negative.

    Args:
        samples: Both samples.
        permutations: Number of shuffles, 0 for no p value.
        seed: Seed of the shuffles.
        bandwidth: Bandwidth h of the kernel, in pooled standard deviations.

    Raises:
        SettingsError: If the bandwidth is not positive.
    """
    squared = pdist(samples.values, "sqeuclidean")
    h = float(np.sqrt(np.median(squared))) if bandwidth is None else bandwidth
    if not h > 0:
        raise SettingsError("bandwidth", f"{h}", "a positive number",
                            "Give one, or samples whose rows differ.")  # fmt: skip
    kernel = squareform(np.exp(-squared / (2 * h * h)))  # the diagonal is 0: pairs alone count

    def statistic(labels: NDArray[np.bool_]) -> NDArray[np.float64]:
        within_x, within_y, between, n, m = _sums(kernel, labels)
        return np.asarray(
            within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * between / (n * m)
        )

    return _tested(statistic, samples, permutations, seed, h)


def energy_test(samples: Pooled, permutations: int = 999, seed: int = 0) -> DistanceTest:
    """Energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Szekely and Rizzo 2013), Euclidean.

    Args:
        samples: Both samples; the distance is in pooled standard deviations.
        permutations: Number of shuffles, 0 for no p value.
        seed: Seed of the shuffles.
    """
    apart = squareform(pdist(samples.values))

    def statistic(labels: NDArray[np.bool_]) -> NDArray[np.float64]:
        within_x, within_y, between, n, m = _sums(apart, labels)
        return np.asarray(2 * between / (n * m) - within_x / n**2 - within_y / m**2)

    # The test statistic weighs the distance by nm / (n + m); shuffles of groups vary n and m.
    def weighed(labels: NDArray[np.bool_]) -> NDArray[np.float64]:
        n = labels.sum(axis=1)
        m = labels.shape[1] - n
        return np.asarray(statistic(labels) * (n * m / (n + m)))

    tested = _tested(weighed, samples, permutations, seed, None)
    return DistanceTest(float(statistic(samples.first[None])[0]), tested.p, permutations)


def _sums(pairs: NDArray[np.float64], labels: NDArray[np.bool_]) -> tuple[NDArray[np.float64], ...]:
    """Sums over ordered pairs within and between, and the sizes, one a row of the labels."""
    x = labels.astype(float)
    y = 1 - x
    of_x = x @ pairs
    return (
        (of_x * x).sum(axis=1), ((y @ pairs) * y).sum(axis=1), (of_x * y).sum(axis=1),
        x.sum(axis=1), y.sum(axis=1),
    )  # fmt: skip


def _tested(
    statistic: object, samples: Pooled, permutations: int, seed: int, bandwidth: float | None
) -> DistanceTest:
    assert callable(statistic)
    observed = float(statistic(samples.first[None])[0])
    p = None
    if permutations:
        labels = shuffled_labels(samples.first, samples.groups, permutations, seed)
        p = p_value(observed, statistic(labels))
    return DistanceTest(observed, p, permutations, bandwidth)
