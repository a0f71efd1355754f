"""Rows of features with the people behind them, and splits that keep those people apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.measure.two_sample import pool

FEWEST = 4
MOST_COMPONENTS = 64


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows of one side.

    Args:
        values: Features, shape (n, k); NaN is a gap.
        people: For each row, everyone whose anatomy it shows, a family under one name.
    """

    values: NDArray[np.float64]
    people: tuple[frozenset[str], ...]

    def __len__(self) -> int:
        return len(self.people)


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of equal numbers: a reference of real ones, other real ones, synthetic ones.

    Args:
        reference: Rows of the real side.
        other: Rows of the real side that share nobody with the reference.
        synthetic: Rows of the synthetic side that share nobody with the reference.
    """

    reference: NDArray[np.int64]
    other: NDArray[np.int64]
    synthetic: NDArray[np.int64]


def standardised(synthetic: Sample, real: Sample) -> NDArray[np.float64]:
    """Both sides one below the other, synthetic first, in comparable units.

    Features in pooled standard deviations (`pool`); above 64 of them the first 64 principal
    components of both sides together, scaled back to a mean squared length of their number.

    Returns:
        Shape (n + m, at most 64).
    """
    values = pool(synthetic.values, real.values).values
    most = min(MOST_COMPONENTS, len(values) - 1)
    if values.shape[1] > MOST_COMPONENTS:
        from sklearn.decomposition import PCA

        values = PCA(most, svd_solver="full").fit_transform(values)
        values = values * np.sqrt(most / np.mean(np.square(values).sum(axis=1)))
    return np.asarray(values)


def deal(synthetic: Sample, real: Sample, splits: int, seed: int) -> list[Split]:
    """Split the real people in halves, again and again; all three parts of one size.

    Synthetic rows that show someone of the reference half are left out of that split: they
    would be nearer to it than any two people are. People who are in a synthetic row and others
    are halved each for themselves, so that about half of those rows are left in every split.

    Args:
        synthetic: One side.
        real: The other.
        splits: Number of splits.
        seed: Seed of the splits.

    Returns:
        The splits; none where the size would fall below 4.
    """
    rng = np.random.default_rng([seed, 0])
    names = sorted({min(p) for p in real.people})
    owner = np.array([names.index(min(p)) for p in real.people])
    shown = frozenset[str]().union(*synthetic.people)
    kinds = [[k for k, name in enumerate(names) if (name in shown) is which]
             for which in (True, False)]  # fmt: skip
    parts = []
    for _ in range(splits):
        # An odd one out goes to either half, but not both of two to one.
        odd = int(rng.integers(2))
        half = np.concatenate([rng.permutation(kind)[: (len(kind) + (odd ^ turn)) // 2]
                               for turn, kind in enumerate(kinds)])  # fmt: skip
        first = np.isin(owner, half)
        held = frozenset[str]().union(*(real.people[r] for r in np.flatnonzero(first)))
        free = [r for r, people in enumerate(synthetic.people) if not people & held]
        parts.append([np.flatnonzero(first), np.flatnonzero(~first), np.array(free, np.int64)])
    size = min((len(rows) for part in parts for rows in part), default=0)
    if size < FEWEST:
        return []
    return [Split(*(rng.permutation(rows)[:size] for rows in part)) for part in parts]


def shared_rows(synthetic: Sample, real: Sample) -> int:
    """Number of rows of the real side that show someone whom a synthetic row shows too."""
    shown = frozenset[str]().union(*synthetic.people)
    return sum(bool(people & shown) for people in real.people)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """2.5 and 97.5 % quantiles of the values that are known; NaN where none is."""
    known = np.asarray([v for v in values if not np.isnan(v)], dtype=float)
    if not known.size:
        return (float("nan"), float("nan"))
    low, high = np.quantile(known, [0.025, 0.975])
    return (float(low), float(high))
