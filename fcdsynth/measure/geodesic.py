"""Shortest paths inside a voxel domain, by a neighbourhood that cannot slip between voxels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

Voxel = tuple[int, int, int]

_FORWARD: tuple[Voxel, ...] = tuple(
    (i, j, k) for i, j, k in product((-1, 0, 1), repeat=3) if (i, j, k) > (0, 0, 0)
)


@dataclass(frozen=True, eq=False)
class Arrival:
    """Arrival times of a front that started at one voxel.

    Args:
        time: Cost of the cheapest path from the seed, shape (x, y, z), infinite where the front
            does not come.
        previous: Flat index of the voxel that each voxel was reached from, -1 where there is
            none; same shape.
    """

    time: NDArray[np.float64]
    previous: NDArray[np.int64]

    def path(self, end: Voxel) -> NDArray[np.int64]:
        """Voxels from the seed to an end, shape (n, 3)."""
        shape = self.time.shape
        flat = self.previous.ravel()
        steps = [int(np.ravel_multi_index(end, shape))]
        while flat[steps[-1]] >= 0:
            steps.append(int(flat[steps[-1]]))
        return np.stack(np.unravel_index(steps[::-1], shape), axis=1)


def _shifted(array: NDArray[Any], offset: Voxel, part: Voxel) -> NDArray[Any]:
    """View of ``array`` at v + part, for all v whose v + offset lies inside too."""
    view = []
    for size, full, step in zip(array.shape[-3:], offset, part, strict=True):
        start = max(0, -full) + step
        view.append(slice(start, start + size - abs(full)))
    return array[..., view[0], view[1], view[2]]


def _corners(offset: Voxel) -> Iterator[Voxel]:
    """Corners of the box that a step spans, the start included and the end too."""
    moving = [axis for axis in range(3) if offset[axis]]
    for count in range(len(moving) + 1):
        for chosen in combinations(moving, count):
            yield tuple(offset[a] if a in chosen else 0 for a in range(3))  # type: ignore[misc]


def arrival(
    domain: NDArray[np.bool_],
    cost: NDArray[np.floating[Any]],
    spacing_mm: tuple[float, float, float],
    seed: Voxel,
    heading: NDArray[np.floating[Any]] | None = None,
    opposed: float = -0.5,
    limit: float = np.inf,
) -> Arrival:
    """Spread a front from a voxel through a domain (Dijkstra 1959 on the voxel graph).

    Steps go to the 26 neighbours, but a diagonal step needs every voxel of the box it spans to
    lie in the domain. So a sheet one voxel thick stops the front even where the sheet's voxels
    touch only by edges or corners, which plain 26-neighbour paths slip through, and distances
    stay near-Euclidean, which 6-neighbour paths do not offer.

    Args:
        domain: Voxels the front may enter, shape (x, y, z).
        cost: Cost per mm, positive inside the domain; same shape. A step costs its length
            times the mean of its two ends.
        spacing_mm: Voxel size along each axis in mm.
        seed: Start, a voxel of the domain.
        heading: Optional unit vectors, shape (3, x, y, z), zero where a voxel has none. A step
            between two voxels whose headings are opposed is forbidden.
        opposed: Cosine at or below which two headings are opposed.
        limit: Stop when the front's time exceeds this.

    Returns:
        Times and predecessors.

    Raises:
        ValueError: If the seed lies outside the domain.
    """
    if not domain[seed]:
        raise ValueError(f"seed {seed} lies outside the domain")
    flat = np.flatnonzero(domain)
    node = np.full(domain.shape, -1, dtype=np.int32)
    node[domain] = np.arange(flat.size, dtype=np.int32)
    cost = np.asarray(cost, dtype=np.float32)
    rows, columns, weights = [], [], []
    for offset in _FORWARD:
        if any(abs(o) >= n for o, n in zip(offset, domain.shape, strict=True)):
            continue
        allowed = np.logical_and.reduce([_shifted(domain, offset, c) for c in _corners(offset)])
        if heading is not None:
            here, there = _shifted(heading, offset, (0, 0, 0)), _shifted(heading, offset, offset)
            allowed &= np.einsum("i...,i...->...", here, there) > opposed
        length = float(np.linalg.norm(np.multiply(offset, spacing_mm)))
        rows.append(_shifted(node, offset, (0, 0, 0))[allowed])
        columns.append(_shifted(node, offset, offset)[allowed])
        ends = _shifted(cost, offset, (0, 0, 0))[allowed] + _shifted(cost, offset, offset)[allowed]
        weights.append(ends * np.float32(length / 2))
    graph = sparse.coo_matrix(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))),
        shape=(flat.size, flat.size),
    ).tocsr()
    times, before = csgraph.dijkstra(
        graph, directed=False, indices=int(node[seed]), return_predecessors=True, limit=limit
    )
    time = np.full(domain.size, np.inf)
    time[flat] = times
    previous = np.full(domain.size, -1, dtype=np.int64)
    came = before >= 0
    previous[flat[came]] = flat[before[came]]
    return Arrival(time.reshape(domain.shape), previous.reshape(domain.shape))
