"""Counts of categories in two samples: chi-square with a permutation p value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.errors import SettingsError
from fcdsynth.measure.two_sample.samples import p_value, shuffled_labels


@dataclass(frozen=True, slots=True)
class CountTest:
    """A table of two samples by categories.

    Args:
        categories: Categories that occur, sorted.
        counts: How often in the first and in the second sample.
        chi2: Pearson's chi-square without continuity correction; 0 with one category.
        cramers_v: Root of chi2 over the number of rows, 0 (same shares) to 1 (none shared).
        p: Permutation p value, labels shuffled between groups, so that small cells do no harm;
            None without permutations.
    """

    categories: tuple[str, ...]
    counts: tuple[tuple[int, ...], tuple[int, ...]]
    chi2: float
    cramers_v: float
    p: float | None


def count_test(
    x: Sequence[str],
    y: Sequence[str],
    permutations: int = 999,
    seed: int = 0,
    groups: tuple[Sequence[str], Sequence[str]] | None = None,
) -> CountTest:
    """Compare how often categories occur in two samples.

    Args:
        x: Category of each row of the first sample.
        y: Category of each row of the second sample.
        permutations: Number of shuffles, 0 for no p value.
        seed: Seed of the shuffles.
        groups: Name of the group of each row of both; every row by itself when None.

    Raises:
        SettingsError: If a sample is empty.
    """
    if not x or not y:
        raise SettingsError("samples", f"{len(x)} and {len(y)} rows", "at least one in each",
                            "Compare larger samples.")  # fmt: skip
    names, index = np.unique([*x, *y], return_inverse=True)
    hot = np.eye(len(names))[index]
    first = np.arange(len(index)) < len(x)
    observed = float(_chi2(first[None], hot)[0])
    p = None
    if permutations:
        units = np.arange(len(index))
        if groups is not None:
            units = np.unique([*groups[0], *groups[1]], return_inverse=True)[1]
        labels = shuffled_labels(first, units, permutations, seed)
        p = p_value(observed, _chi2(labels, hot))
    left, right = (tuple(int(n) for n in hot[rows].sum(axis=0)) for rows in (first, ~first))
    v = float(np.sqrt(observed / len(index)))
    return CountTest(tuple(str(n) for n in names), (left, right), observed, v, p)


def _chi2(labels: NDArray[np.bool_], hot: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chi-square of each row of labels, shape (permutations,)."""
    total = hot.sum(axis=0)
    left = labels @ hot
    size = left.sum(axis=1, keepdims=True)
    expected = size * total / total.sum()
    other = total - expected
    gap = (left - expected) ** 2
    return np.asarray((gap / expected + gap / other).sum(axis=1))
