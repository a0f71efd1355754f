"""Suspicion B, inconsistency: items that look alike, in other groups, have other labels.

Reference/relabelling.md 2.6 (own design). Over the k nearest items of other groups, with
distance d, sigma the median distance of a k-th neighbour and pi_y the share of label y,

    S = 1 - sum_j w_j [y_j = y] / sum_j w_j ,      w_j = exp(-d_j^2 / 2 sigma^2) / pi_{y_j}
    S_extent = | ln V - median_j ln V_j |          the same look, a very different extent

The features must not have been learnt from the labels under test. An item whose k-th neighbour is
further away than nearly all others' is *rare*: it has no one to agree with, which does not make
it wrong. It goes to a second reader, never into the queue of errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from fcdsynth.core.errors import SettingsError


@dataclass(frozen=True, slots=True)
class NeighbourSettings:
    """Who counts as a neighbour.

    Args:
        k: Neighbours asked, 5 to 10.
        rare: Share of items, those with the furthest k-th neighbour, that are called rare.
        standardise: Whether every feature is brought to mean 0 and standard deviation 1 first.

    Raises:
        SettingsError: If a value is out of range.
    """

    k: int = 10
    rare: float = 0.05
    standardise: bool = True

    def __post_init__(self) -> None:
        for name, low, high in (("k", 5, 10), ("rare", 0.0, 0.5)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(name, str(value), f"{low:g} to {high:g}", "Change the setting.")


@dataclass(frozen=True)
class Neighbourhood:
    """The nearest items of other groups.

    Args:
        index: Their rows, nearest first, shape (n, k); -1 where there are fewer.
        distance: Their distances, shape (n, k); infinite where there are fewer.
        rare: Whether the item is isolated, shape (n,).
    """

    index: NDArray[np.int64]
    distance: NDArray[np.float64]
    rare: NDArray[np.bool_]


def find_neighbours(
    features: ArrayLike, groups: ArrayLike | None = None, settings: NeighbourSettings | None = None
) -> Neighbourhood:
    """Find the k nearest items of other groups.

    Args:
        features: Shape (n, d); learnt without the labels under test.
        groups: Items of one group are never each other's neighbours, shape (n,); each item its
            own group when left out.
        settings: k, share of rare items, standardisation.

    Raises:
        SettingsError: If shapes disagree.
    """
    settings = settings or NeighbourSettings()
    x = np.asarray(features, dtype=float)
    own = np.arange(len(x)) if groups is None else np.asarray(groups)
    if x.ndim != 2 or own.shape != (len(x),):
        raise SettingsError("features", f"shape {x.shape} with groups {own.shape}",
                            "(n, d) with (n,)", "Give one row and one group per item.")  # fmt: skip
    if settings.standardise:
        spread = x.std(axis=0)
        x = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    n, k = len(x), settings.k
    counts = np.unique(own, return_counts=True)[1]
    reach = min(n, k + int(counts.max(initial=1)))
    distance, index = cKDTree(x).query(x, k=list(range(1, reach + 1)))
    distance = np.where(own[index] == own[:, None], np.inf, distance)
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    near = np.take_along_axis(distance, order, axis=1)
    who = np.where(np.isfinite(near), np.take_along_axis(index, order, axis=1), -1)
    if who.shape[1] < k:
        missing = ((0, 0), (0, k - who.shape[1]))
        who = np.pad(who, missing, constant_values=-1)
        near = np.pad(near, missing, constant_values=np.inf)
    last = near[:, -1]
    limit = np.quantile(last, 1 - settings.rare, method="higher") if n else np.inf
    return Neighbourhood(who, near, (last > limit) | ~np.isfinite(last))


def inconsistency(neighbours: Neighbourhood, labels: ArrayLike) -> NDArray[np.float64]:
    """Weighted share of the neighbours that have another label, corrected for class share.

    Args:
        neighbours: Of each item.
        labels: Given labels, shape (n,).

    Returns:
        S in [0, 1], shape (n,); NaN for an item without neighbours.
    """
    y = np.asarray(labels)
    kinds, code = np.unique(y, return_inverse=True)
    if not len(kinds):
        return np.zeros(0)
    share = np.bincount(code) / len(y)
    known = neighbours.index >= 0
    theirs = code[neighbours.index]
    last = neighbours.distance[:, -1]
    sigma = float(np.median(last[np.isfinite(last)])) if np.isfinite(last).any() else 1.0
    closeness = neighbours.distance**2 / (2 * max(sigma, 1e-12) ** 2)
    # Relative to the nearest one, so that far from everyone the weights do not all vanish.
    closeness = closeness - np.where(known[:, :1], closeness[:, :1], 0.0)
    weight = np.where(known, np.exp(-closeness) / share[theirs], 0.0)
    total = weight.sum(axis=1)
    agree = (weight * (theirs == code[:, None])).sum(axis=1)
    return np.where(total > 0, 1 - agree / np.where(total > 0, total, 1.0), np.nan)


def extent_inconsistency(neighbours: Neighbourhood, log_volume: ArrayLike) -> NDArray[np.float64]:
    """How far an item's extent lies from that of the items it looks like.

    Args:
        neighbours: Of each item.
        log_volume: Natural logarithm of the volume, shape (n,).

    Returns:
        ``|ln V - median ln V|``, shape (n,); NaN for an item without neighbours.
    """
    size = np.asarray(log_volume, dtype=float)
    out = np.full(len(size), np.nan)
    for item, row in enumerate(neighbours.index):
        if (row >= 0).any():
            out[item] = abs(size[item] - np.median(size[row[row >= 0]]))
    return out
