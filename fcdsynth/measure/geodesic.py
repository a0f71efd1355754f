"""Shortest paths inside a voxel domain, by a neighbourhood that cannot slip between voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcdsynth.measure.front_kernel import spread

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


@dataclass(frozen=True, eq=False)
class Spread:
    """The voxels a front came to, in order of arrival.

    Args:
        vox: Their indices, shape (n, 3).
        time: Their times, shape (n,), rising.
        previous: Which of them each was reached from, -1 for the seed, shape (n,).
        counted: How many of them count.
        stopped: Whether the front came to a voxel where it stops.
    """

    vox: NDArray[np.int64]
    time: NDArray[np.float64]
    previous: NDArray[np.int64]
    counted: int
    stopped: bool


def spread_front(
    nodes: NDArray[np.bool_],
    steps: NDArray[np.uint16],
    cost: NDArray[np.floating[Any]],
    lengths_mm: NDArray[np.float64],
    seed: Voxel,
    wanted: int | None = None,
    counts: NDArray[np.bool_] | None = None,
    stops: NDArray[np.bool_] | None = None,
    limit: float = np.inf,
) -> Spread:
    """Spread a front from a voxel over some voxels (Dijkstra 1959 on the voxel graph).

    Args:
        nodes: Voxels that take part, shape (x, y, z).
        steps: Allowed steps, see `allowed_steps`; same shape. One to a voxel that takes no part
            is not taken.
        cost: Cost per mm, positive at the nodes; same shape. A step costs its length times the
            mean of its two ends.
        lengths_mm: Length of each step, see `step_lengths`.
        seed: Start, one of the nodes.
        wanted: Stop when so many voxels that count were reached; never by default.
        counts: Nodes that count; all by default. Same shape.
        stops: Nodes that the front may come to but not reach: it stops there. Same shape.
        limit: Stop when the front's time exceeds this.

    Raises:
        ValueError: If the seed is no node.
    """
    if not nodes[seed]:
        raise ValueError(f"seed {seed} lies outside the domain")
    enter = nodes.astype(np.uint8)
    enter |= enter << 1 if counts is None else (counts & nodes).astype(np.uint8) << 1
    if stops is not None:
        enter |= (stops & nodes).astype(np.uint8) << 2
    # A margin that nothing enters keeps flat indices from wrapping around.
    padded = [np.pad(a, 1).ravel() for a in (enter, steps, cost.astype(np.float32))]
    shape = [n + 2 for n in nodes.shape]
    strides = _strides(shape)
    jumps = np.asarray(OFFSETS, dtype=np.int64) @ strides
    start = int(np.dot(np.add(seed, 1), strides))
    order, time, before, counted, stopped = spread(
        *padded, jumps, lengths_mm, start, nodes.size if wanted is None else wanted, float(limit)
    )
    number = np.full(int(np.prod(shape)), -1, dtype=np.int64)
    number[order] = np.arange(len(order))
    previous = np.where(before >= 0, number[np.maximum(before, 0)], -1)
    vox = np.stack(np.unravel_index(order, shape), axis=1) - 1
    return Spread(vox, time, previous, int(counted), bool(stopped))


def arrival(
    domain: NDArray[np.bool_],
    cost: NDArray[np.floating[Any]],
    spacing_mm: tuple[float, float, float],
    seed: Voxel,
    heading: NDArray[np.floating[Any]] | None = None,
    opposed: float = -0.5,
    limit: float = np.inf,
) -> Arrival:
    """Spread a front from a voxel through a domain, see `allowed_steps` and `spread_front`.

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
    front = spread_front(domain, steps, cost, step_lengths(spacing_mm), seed, limit=limit)
    flat = np.ravel_multi_index(tuple(front.vox.T), domain.shape)
    time = np.full(domain.size, np.inf)
    time[flat] = front.time
    previous = np.full(domain.size, -1, dtype=np.int64)
    previous[flat[1:]] = flat[front.previous[1:]]
    return Arrival(time.reshape(domain.shape), previous.reshape(domain.shape))


def _strides(shape: Sequence[int]) -> NDArray[np.int64]:
    """Steps in a flat array for one step along each axis of a C-ordered one."""
    return np.array([shape[1] * shape[2], shape[2], 1])
