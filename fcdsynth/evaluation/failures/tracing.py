"""Do false positives lie where the synthetic training lesions lay?

A detector that learned the marks of synthesis, or where synthetic lesions like to be, would
show it: the false positives that synthetic training introduced would lie nearer to synthetic
training lesions than those it removed. Synthetic lesions lie where real ones do, so nearness as
such says nothing; only the difference between the groups does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial import cKDTree

from fcdsynth.evaluation.cases import Point

_MIRROR = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True)
class Nearness:
    """How far the members of a group lie from the nearest synthetic training lesion.

    Args:
        group: ``introduced`` or ``removed`` false positives, or clusters that ``found`` a lesion.
        n: Members with MNI coordinates.
        n_without_mni: Members left out for want of them.
        median_mm: Median distance in MNI space, None for an empty group.
        quartile_1_mm: Lower quartile.
        quartile_3_mm: Upper quartile.
        mirrored_median_mm: Median distance after mirroring the members to the other side: what
            the same law of places gives without the lesions themselves.
        nearest: Id of the synthetic subject nearest to each member.
        distances_mm: Distance of each member.
    """

    group: str
    n: int
    n_without_mni: int
    median_mm: float | None
    quartile_1_mm: float | None
    quartile_3_mm: float | None
    mirrored_median_mm: float | None
    nearest: tuple[str, ...]
    distances_mm: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Tracing:
    """Nearness of each group, and whether introduced differ from removed false positives.

    Args:
        n_synthetic: Synthetic training lesions.
        groups: Nearness of each group.
        p: Two-sided rank-sum p (Mann and Whitney 1947) of introduced against removed; None when
            one of them is empty. Places of one subject are treated as independent.
    """

    n_synthetic: int
    groups: tuple[Nearness, ...]
    p: float | None

    def of(self, group: str) -> Nearness:
        """The nearness of one group."""
        return next(near for near in self.groups if near.group == group)


def trace(
    groups: Mapping[str, Sequence[Point | None]], synthetic: Sequence[tuple[str, Point]]
) -> Tracing:
    """Measure how far places lie from the nearest synthetic training lesion.

    Args:
        groups: MNI centres (mm) of each group; ``introduced`` and ``removed`` are tested.
        synthetic: Id and MNI centre (mm) of each synthetic lesion.
    """
    centres = np.array([centre for _, centre in synthetic], dtype=float).reshape(-1, 3)
    tree = cKDTree(centres) if len(centres) else None
    measured = tuple(_nearness(name, mine, tree, synthetic) for name, mine in groups.items())
    by_name = {near.group: near.distances_mm for near in measured}
    a, b = by_name.get("introduced", ()), by_name.get("removed", ())
    p = float(stats.mannwhitneyu(a, b).pvalue) if a and b else None
    return Tracing(len(centres), measured, p)


def _nearness(
    group: str,
    members: Sequence[Point | None],
    tree: cKDTree | None,
    synthetic: Sequence[tuple[str, Point]],
) -> Nearness:
    known = np.array([m for m in members if m is not None], dtype=float).reshape(-1, 3)
    lost = len(members) - len(known)
    if tree is None or not len(known):
        return Nearness(group, len(known), lost, None, None, None, None, (), ())
    distances, nearest = tree.query(known)
    mirrored, _ = tree.query(known * _MIRROR)
    low, middle, high = _quartiles(distances)
    return Nearness(
        group, len(known), lost, middle, low, high, float(np.median(mirrored)),
        tuple(synthetic[int(i)][0] for i in nearest), tuple(float(d) for d in distances),
    )  # fmt: skip


def _quartiles(values: NDArray[np.float64]) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)
