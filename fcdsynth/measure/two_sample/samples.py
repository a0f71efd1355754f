"""Two samples in one array: gaps closed, features in comparable units, labels to shuffle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcdsynth.core.errors import SettingsError

FEWEST = 4  # rows a side, below which nothing is tested
_MOST_MISSING = 0.5


@dataclass(frozen=True, eq=False)
class Pooled:
    """Both samples, one below the other.

    Args:
        values: Shape (n + m, k), no gaps.
        first: Whether a row is of the first sample, shape (n + m,).
        groups: Number of the group a row belongs to, shape (n + m,); groups may hold rows of
            both samples.
        kept: Which of the given columns were kept, in order.
    """

    values: NDArray[np.float64]
    first: NDArray[np.bool_]
    groups: NDArray[np.int64]
    kept: tuple[int, ...]


def pool(
    x: ArrayLike, y: ArrayLike, groups: tuple[Sequence[str], Sequence[str]] | None = None
) -> Pooled:
    """Put two samples into one array in units of the pooled standard deviation.

    A column that is missing (NaN) in more than half of either sample is left out, and so is a
    constant one; other gaps are filled with the median of both samples together, so that a gap
    by itself tells nothing.

    Args:
        x: First sample, shape (n, k).
        y: Second sample, shape (m, k).
        groups: Name of the group of each row of both; rows of one patient or host, say. Every
            row by itself when None.

    Raises:
        SettingsError: If shapes do not fit, a sample has fewer than 4 rows, or no column is left.
    """
    left, right = np.atleast_2d(np.asarray(x, float)), np.atleast_2d(np.asarray(y, float))
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise SettingsError("samples", f"shapes {left.shape} and {right.shape}",
                            "tables of the same columns", "Give the same features.")  # fmt: skip
    if min(len(left), len(right)) < FEWEST:
        raise SettingsError(
            "samples", f"{len(left)} and {len(right)} rows", f"at least {FEWEST} in each",
            "Compare larger samples.",
        )  # fmt: skip
    if np.isinf(left).any() or np.isinf(right).any():
        raise SettingsError("samples", "infinite values", "finite numbers or NaN",
                            "Mend the features.")  # fmt: skip
    missing = np.maximum(np.isnan(left).mean(axis=0), np.isnan(right).mean(axis=0))
    values = np.concatenate([left, right])
    usable = np.flatnonzero(missing <= _MOST_MISSING)
    values = values[:, usable]
    values = np.where(np.isnan(values), np.nanmedian(values, axis=0), values)
    spread = values.std(axis=0)
    varied = spread > 1e-12 * np.maximum(np.abs(values).max(axis=0), 1e-300)
    if not varied.any():
        raise SettingsError("samples", "no column that varies and is mostly there",
                            "at least one feature", "Give other features.")  # fmt: skip
    values = (values[:, varied] - values[:, varied].mean(axis=0)) / spread[varied]
    first = np.arange(len(values)) < len(left)
    kept = tuple(int(c) for c in usable[varied])
    return Pooled(values, first, _numbers(groups, first), kept)


def _numbers(
    groups: tuple[Sequence[str], Sequence[str]] | None, first: NDArray[np.bool_]
) -> NDArray[np.int64]:
    if groups is None:
        return np.arange(len(first))
    left, right = groups
    sizes, wanted = (len(left), len(right)), (int(first.sum()), int((~first).sum()))
    if sizes != wanted:
        raise SettingsError("groups", f"{sizes} names", f"{wanted}, one a row", "Name every row.")
    return np.asarray(np.unique([*left, *right], return_inverse=True)[1], dtype=np.int64)


def shuffled_labels(
    first: NDArray[np.bool_], groups: NDArray[np.int64], permutations: int, seed: int
) -> NDArray[np.bool_]:
    """Labels shuffled between groups, for permutation tests.

    Rows of one group and sample keep one label, as they are no independent evidence. Where
    groups differ in size, so do the sizes of the shuffled samples.

    Args:
        first: Whether a row is of the first sample, shape (n,).
        groups: Number of each row's group, shape (n,).
        permutations: Number of shuffles.
        seed: Seed of the shuffles.

    Returns:
        Shape (permutations, n).
    """
    rng = np.random.default_rng(seed)
    start, unit = np.unique(2 * groups + first, return_index=True, return_inverse=True)[1:]
    labels = first[start]
    return np.stack([rng.permutation(labels)[unit] for _ in range(permutations)])


def p_value(observed: float, shuffled: NDArray[np.float64]) -> float:
    """Share of shuffles at least as extreme, the observed labels counted as one of them.

    Phipson and Smyth (2010). Values equal but for rounding count as extreme.
    """
    least = observed - 1e-9 * max(abs(observed), 1e-12)
    return float((1 + np.count_nonzero(shuffled >= least)) / (1 + len(shuffled)))
