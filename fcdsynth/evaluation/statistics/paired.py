"""Paired tests between two arms on the same subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from fcdsynth.evaluation.statistics.resampling import units_of

# Ranks must not depend on rounding in the last binary digits.
_DECIMALS = 12
_ALL_SIGNS = 13
_ALL_FLIPS = 16


def mcnemar_exact(gained: int, lost: int) -> float:
    """Two-sided exact McNemar test (McNemar 1947), a binomial test on the discordant pairs.

    Args:
        gained: Subjects right in the second arm only.
        lost: Subjects right in the first arm only.

    Example:
        >>> mcnemar_exact(6, 1)
        0.125
    """
    if gained + lost == 0:
        return 1.0
    return float(mcnemar([[0, gained], [lost, 0]], exact=True).pvalue)


def wilcoxon_signed(differences: ArrayLike) -> float:
    """Two-sided Wilcoxon signed-rank test (Wilcoxon 1945); zero differences are dropped.

    Exact for up to 50 differences without ties and for up to 13 with ties (all patterns of
    signs); otherwise the normal approximation, corrected for ties.

    Args:
        differences: Second arm less first arm, shape (n,); compared to 12 decimals.

    Returns:
        p; 1 when no difference is left.
    """
    values = np.round(np.asarray(differences, dtype=float), _DECIMALS)
    values = values[values != 0]
    if not values.size:
        return 1.0
    if len(np.unique(np.abs(values))) == values.size:
        return float(stats.wilcoxon(values).pvalue)
    if values.size <= _ALL_SIGNS:
        every = stats.PermutationMethod(n_resamples=2**_ALL_SIGNS)
        return float(stats.wilcoxon(values, method=every).pvalue)
    return float(stats.wilcoxon(values, method="approx").pvalue)


def sign_flips(
    differences: ArrayLike, families: Sequence[str] | None = None, draws: int = 9999, seed: int = 0
) -> float:
    """Two-sided paired permutation test of the mean difference (Fisher 1935).

    Without an effect of the arm, a difference could as well have had the other sign; within a
    family all signs turn together. All patterns up to 16 subjects or families that differ,
    otherwise random ones. For found or missed, one a subject, this is the exact McNemar test.

    Args:
        differences: Second arm less first arm, shape (n,); compared to 12 decimals.
        families: Family of each subject, empty for one on its own; all on their own when None.
        draws: Random patterns.
        seed: Seed of the random patterns.

    Returns:
        p; 1 with fewer than two differences.
    """
    values = np.asarray(differences, dtype=float)
    if families is not None:
        values = np.bincount(units_of(families), values)
    values = np.round(values, _DECIMALS)
    values = values[values != 0]
    if values.size < 2:  # one alone is as far from 0 with either sign
        return 1.0
    every = values.size <= _ALL_FLIPS
    done = stats.permutation_test(
        (values,), np.sum, permutation_type="samples", vectorized=True, rng=seed,
        n_resamples=np.inf if every else draws, batch=2**12,
    )  # fmt: skip
    return float(done.pvalue)


def family_means(differences: ArrayLike, families: Sequence[str]) -> NDArray[np.float64]:
    """Mean difference of each family, and of each subject on its own, shape (units,).

    Args:
        differences: Of subjects, shape (n,).
        families: Family of each subject, empty for one on its own.
    """
    units = units_of(families)
    sums = np.bincount(units, np.asarray(differences, dtype=float))
    means: NDArray[np.float64] = sums / np.bincount(units)
    return means


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjustment (Holm 1979) of a family of p values, by name.

    Example:
        >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
        {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    if not p_values:
        return {}
    _, adjusted, _, _ = multipletests(list(p_values.values()), method="holm")
    return {name: float(p) for name, p in zip(p_values, adjusted, strict=True)}
