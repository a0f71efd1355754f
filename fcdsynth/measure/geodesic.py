"""Shortest paths inside a voxel domain, by a neighbourhood that cannot slip between voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse import csgraph

Voxel = tuple[int, int, int]

OFFSETS: tuple[Voxel, ...] = tuple(
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


def allowed_steps(
    domain: NDArray[np.bool_],
    heading: NDArray[np.floating[Any]] | None = None,
    opposed: float = -0.5,
) -> NDArray[np.uint16]:
    """Steps that a front may take from each voxel of a domain.

    Steps go to the 26 neighbours, but a diagonal step needs every voxel of the box it spans to
    lie in the domain. So a sheet one voxel thick stops the front even where the sheet's voxels
    touch only by edges or corners, which plain 26-neighbour paths slip through, and distances
    stay near-Euclidean, which 6-neighbour paths do not offer.

    Args:
        domain: Voxels the front may enter, shape (x, y, z).
        heading: Optional unit vectors, shape (3, x, y, z), zero where a voxel has none. A step
            between two voxels whose headings are opposed is forbidden.
        opposed: Cosine at or below which two headings are opposed.

    Returns:
        Shape (x, y, z); bit k is set where the step by ``OFFSETS[k]`` (and back) is allowed.
    """
    whole = np.pad(domain, 1)
    inner = (slice(1, -1),) * 3
    # boxes[axes][v]: whether all voxels from v to v + 1 along these axes lie in the domain.
    boxes: dict[tuple[int, ...], NDArray[np.bool_]] = {(): whole}
    for count in (1, 2, 3):
        for axes in combinations(range(3), count):
            box = boxes[axes[:-1]].copy()
            here, there = [slice(None)] * 3, [slice(None)] * 3
            here[axes[-1]], there[axes[-1]] = slice(None, -1), slice(1, None)
            box[tuple(here)] &= box[tuple(there)]
            boxes[axes] = box
    steps = np.zeros(domain.shape, dtype=np.uint16)
    for bit, offset in enumerate(OFFSETS):
        axes = tuple(axis for axis in range(3) if offset[axis])
        part = tuple(slice(1 + min(o, 0), n + 1 + min(o, 0))
                     for o, n in zip(offset, domain.shape, strict=True))  # fmt: skip
        steps |= boxes[axes][part].astype(np.uint16) << np.uint16(bit)
    if heading is not None:
        _forbid_opposed(steps, heading, opposed)
    steps[~whole[inner]] = 0
    return steps


def _forbid_opposed(
    steps: NDArray[np.uint16], heading: NDArray[np.floating[Any]], opposed: float
) -> None:
    """Take the steps between voxels of opposed headings away, in place."""
    has = (heading != 0).any(axis=0)
    where = np.flatnonzero(has)
    vectors = np.ascontiguousarray(heading[:, has].T, dtype=np.float32)
    number = np.full(steps.size, -1, dtype=np.int32)
    number[where] = np.arange(where.size, dtype=np.int32)
    flat = steps.reshape(-1)
    strides = _strides(steps.shape)
    for bit, offset in enumerate(OFFSETS):
        from_ = np.flatnonzero(flat[where] & np.uint16(1 << bit))
        other = number[where[from_] + int(np.dot(offset, strides))]
        from_, other = from_[other >= 0], other[other >= 0]
        against = np.einsum("ij,ij->i", vectors[from_], vectors[other]) <= opposed
        flat[where[from_[against]]] &= np.uint16(0xFFFF ^ (1 << bit))


def step_lengths(spacing_mm: Sequence[float], stretch: ArrayLike | None = None
                 ) -> NDArray[np.float64]:  # fmt: skip
    """Length of each of the `OFFSETS`, shape (13,), mm.

    Args:
        spacing_mm: Voxel size along each axis.
        stretch: Matrix (3, 3) applied to the steps first, for fronts that prefer a direction.
    """
    steps = np.asarray(OFFSETS, dtype=float) * np.asarray(spacing_mm, dtype=float)
    return np.asarray(
        np.linalg.norm(steps if stretch is None else steps @ np.asarray(stretch).T, axis=1)
    )


def arrival_times(
    nodes: NDArray[np.bool_],
    steps: NDArray[np.uint16],
    cost: NDArray[np.floating[Any]],
    lengths_mm: NDArray[np.float64],
    seed: Voxel,
    limit: float = np.inf,
    previous: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64] | None]:
    """Spread a front from a voxel over some voxels (Dijkstra 1959 on the voxel graph).

    Args:
        nodes: Voxels that take part, shape (x, y, z).
        steps: Allowed steps, see `allowed_steps`; same shape. One to a voxel that takes no part
            is not taken.
        cost: Cost per mm, positive at the nodes; same shape. A step costs its length times the
            mean of its two ends.
        lengths_mm: Length of each step, see `step_lengths`.
        seed: Start, one of the nodes.
        limit: Stop when the front's time exceeds this.
        previous: Whether predecessors are wanted.

    Returns:
        Flat indices of the nodes in array order, their times, and the flat index each was
        reached from (-1 for none), or None.

    Raises:
        ValueError: If the seed is no node.
    """
    if not nodes[seed]:
        raise ValueError(f"seed {seed} lies outside the domain")
    flat = np.flatnonzero(nodes)
    number = np.full(nodes.size, -1, dtype=np.int32)
    number[flat] = np.arange(flat.size, dtype=np.int32)
    bits, price = steps.reshape(-1)[flat], cost.reshape(-1)[flat].astype(np.float32)
    strides = _strides(nodes.shape)
    rows, columns, weights = [], [], []
    for bit, offset in enumerate(OFFSETS):
        from_ = np.flatnonzero(bits & np.uint16(1 << bit))
        to = number[flat[from_] + int(np.dot(offset, strides))]
        from_, to = from_[to >= 0], to[to >= 0]
        rows.append(from_.astype(np.int32))
        columns.append(to)
        weights.append((price[from_] + price[to]) * np.float32(lengths_mm[bit] / 2))
    graph = sparse.coo_matrix(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))),
        shape=(flat.size, flat.size),
    ).tocsr()
    found = csgraph.dijkstra(graph, directed=False, indices=int(number[np.ravel_multi_index(
        seed, nodes.shape)]), return_predecessors=previous, limit=limit)  # fmt: skip
    if not previous:
        return flat, found, None
    times, before = found
    return flat, times, np.where(before >= 0, flat[np.maximum(before, 0)], -1)


def arrival(
    domain: NDArray[np.bool_],
    cost: NDArray[np.floating[Any]],
    spacing_mm: tuple[float, float, float],
    seed: Voxel,
    heading: NDArray[np.floating[Any]] | None = None,
    opposed: float = -0.5,
    limit: float = np.inf,
) -> Arrival:
    """Spread a front from a voxel through a domain, see `allowed_steps` and `arrival_times`.

    Args:
        domain: Voxels the front may enter, shape (x, y, z).
        cost: Cost per mm, positive inside the domain; same shape.
        spacing_mm: Voxel size along each axis in mm.
        seed: Start, a voxel of the domain.
        heading: Optional unit vectors, shape (3, x, y, z), zero where a voxel has none.
        opposed: Cosine at or below which two headings are opposed.
        limit: Stop when the front's time exceeds this.

    Returns:
        Times and predecessors.

    Raises:
        ValueError: If the seed lies outside the domain.
    """
    steps = allowed_steps(domain, heading, opposed)
    flat, times, before = arrival_times(
        domain, steps, cost, step_lengths(spacing_mm), seed, limit, previous=True
    )
    time = np.full(domain.size, np.inf)
    time[flat] = times
    previous = np.full(domain.size, -1, dtype=np.int64)
    previous[flat] = -1 if before is None else before
    return Arrival(time.reshape(domain.shape), previous.reshape(domain.shape))


def _strides(shape: Sequence[int]) -> NDArray[np.int64]:
    """Steps in a flat array for one step along each axis of a C-ordered one."""
    return np.array([shape[1] * shape[2], shape[2], 1])
