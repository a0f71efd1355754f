"""Paired tests between two arms on the same subjects."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

# Ranks must not depend on rounding in the last binary digits.
_DECIMALS = 12
_ALL_SIGNS = 13


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
