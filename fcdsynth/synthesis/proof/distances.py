"""How far synthetic features lie from real ones, beside how far real ones lie from each other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fcdsynth.measure.two_sample import classifier_test, mmd_test, pool, shuffled_labels
from fcdsynth.measure.two_sample.samples import p_value
from fcdsynth.synthesis.proof.sample import (
    Sample,
    deal,
    interval,
    shared_rows,
    standardised,
)


@dataclass(frozen=True)
class Beside:
    """One statistic at equal numbers.

    Args:
        mean: Of the synthetic rows against a half of the real ones, mean over the splits.
        low: 2.5 % quantile over the splits.
        high: 97.5 % quantile.
        null_low: 2.5 % quantile of the other half of the real ones against that half.
        null_high: 97.5 % quantile; a mean above it is farther off than real ones are.
    """

    mean: float
    low: float
    high: float
    null_low: float
    null_high: float

    @property
    def inside(self) -> bool:
        """Whether the mean is no farther off than 97.5 % of the real halves."""
        return self.mean <= self.null_high


@dataclass(frozen=True)
class Distance:
    """A set of features, synthetic against real.

    Args:
        features: Name of the set.
        dimensions: Numbers a row has when compared.
        n_synthetic: Synthetic rows.
        n_real: Real rows.
        n: Rows a side in the splits.
        splits: Number of splits.
        kid: Kernel inception distance.
        mmd: Squared maximum mean discrepancy with a Gaussian kernel.
        shared: Real rows of people who are in a synthetic row too. Shuffles would take them for
            independent, so the rest below is None where there are any.
        kid_p: Permutation p of the former, one-sided.
        mmd_p: Permutation p of the latter.
        auroc: Cross-validated AUROC of a logistic regression that is to tell the two sides
            apart.
        auroc_chance: 95 % of the shuffles of the sides.
    """

    features: str
    dimensions: int
    n_synthetic: int
    n_real: int
    n: int
    splits: int
    kid: Beside
    mmd: Beside
    shared: int
    kid_p: float | None
    mmd_p: float | None
    auroc: float | None
    auroc_chance: tuple[float, float] | None


def cubic_kernel(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kernel (x.y / d + 1)^3 of all pairs of rows (Binkowski et al. 2018, ICLR)."""
    return np.asarray((values @ values.T / values.shape[1] + 1) ** 3)


def gaussian_kernel(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kernel exp(-|x - y|^2 / (2 h^2)), h the median distance of all pairs of rows."""
    from scipy.spatial.distance import pdist, squareform

    squared = pdist(values, "sqeuclidean")
    return np.asarray(np.exp(-squareform(squared) / max(2 * float(np.median(squared)), 1e-12)))


def unbiased(kernel: NDArray[np.float64], x: NDArray[np.int64], y: NDArray[np.int64]) -> float:
    """Unbiased squared maximum mean discrepancy (Gretton et al. 2012, equation 3).

    With `cubic_kernel` this is the kernel inception distance. Around 0 for two samples of one
    law, and then as often negative as positive.

    Args:
        kernel: Of all pairs of rows, shape (n, n).
        x: Rows of the first sample, at least 2.
        y: Rows of the second sample, at least 2.
    """
    n, m = len(x), len(y)
    own = kernel[np.ix_(x, x)]
    other = kernel[np.ix_(y, y)]
    within_x = (own.sum() - np.trace(own)) / (n * (n - 1))
    within_y = (other.sum() - np.trace(other)) / (m * (m - 1))
    return float(within_x + within_y - 2 * kernel[np.ix_(x, y)].mean())


def distance(
    features: str, synthetic: Sample, real: Sample, splits: int, permutations: int, seed: int
) -> Distance | None:
    """Compare two sides on one set of features.

    Args:
        features: Name of the set.
        synthetic: Synthetic rows.
        real: Real rows.
        splits: Number of random splits of the real people into halves.
        permutations: Number of label shuffles.
        seed: Seed of splits and shuffles.

    Returns:
        The distances; None where fewer than 4 rows a side are left in a split.
    """
    dealt = deal(synthetic, real, splits, seed)
    if not dealt:
        return None
    values = standardised(synthetic, real)
    found = {}
    shift = len(synthetic)
    for name, kernel in (("kid", cubic_kernel(values)), ("mmd", gaussian_kernel(values))):
        mine = [unbiased(kernel, s.synthetic, s.reference + shift) for s in dealt]
        null = [unbiased(kernel, s.other + shift, s.reference + shift) for s in dealt]
        found[name] = Beside(float(np.mean(mine)), *interval(mine), *interval(null))
    shared = shared_rows(synthetic, real)
    ps: tuple[float | None, float | None] = (None, None)
    auroc, chance = None, None
    if not shared:
        groups = ([min(p) for p in synthetic.people], [min(p) for p in real.people])
        ps = _p_values(synthetic, real, groups, permutations, seed)
        if len(set(groups[0])) > 1 and len(set(groups[1])) > 1:
            pooled = pool(synthetic.values, real.values, groups)
            test = classifier_test(pooled, "logistic", seed, 3, min(permutations, 99))
            auroc, chance = test.auroc, test.chance
    return Distance(
        features, values.shape[1], len(synthetic), len(real), len(dealt[0].reference), splits,
        found["kid"], found["mmd"], shared, *ps, auroc, chance,
    )  # fmt: skip


def _p_values(
    synthetic: Sample, real: Sample, groups: tuple[list[str], list[str]], permutations: int,
    seed: int,
) -> tuple[float, float]:  # fmt: skip
    values = standardised(synthetic, real)
    pooled = replace(pool(synthetic.values, real.values, groups), values=values)
    kernel = cubic_kernel(values)

    def kid(first: NDArray[np.bool_]) -> float:
        return unbiased(kernel, np.flatnonzero(first), np.flatnonzero(~first))

    labels = shuffled_labels(pooled.first, pooled.groups, permutations, seed)
    labels = labels[(labels.sum(axis=1) > 1) & ((~labels).sum(axis=1) > 1)]
    p = p_value(kid(pooled.first), np.array([kid(row) for row in labels]))
    mmd = mmd_test(pooled, permutations, seed).p
    assert mmd is not None
    return p, mmd
