"""The front: shortest paths from a seed through a host's ribbon and juxtacortical white matter."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcdsynth.core.tissue import Tissue
from fcdsynth.masks.host import Host
from fcdsynth.measure.geodesic import Spread, Voxel, spread_front, step_lengths

Box = tuple[slice, slice, slice]
Cost = Callable[[Box], NDArray[np.floating[Any]]]

_FILL = 0.3  # share of a ball around a seed that a front fills, at first guess
_WIDER = 1.4


class NoRoom(Exception):
    """The seed's piece of cortex holds fewer voxels than the mask needs."""


@dataclass(frozen=True, eq=False)
class Front:
    """The first voxels that a front came to.

    Args:
        vox: Their indices in the host's grid, in order of arrival, shape (n, 3).
        time: Their times, shape (n,), rising.
        taken_time: Times of the voxels that did not count, shape (m,), infinite where the front
            did not come.
    """

    vox: NDArray[np.int64]
    time: NDArray[np.float64]
    taken_time: NDArray[np.float64]


def grow_domain(host: Host, juxtacortical_mm: float, start: Voxel, box: Box) -> NDArray[np.bool_]:
    """Voxels the front may enter, within a box: ribbon and near white matter of one side.

    Args:
        host: The anatomy.
        juxtacortical_mm: White matter up to this far from the cortex may be entered.
        start: The seed, which decides about the side.
        box: Slices of the host's grid.
    """
    tissue = host.tissue[box]
    near = (tissue == Tissue.WHITE_MATTER) & (host.cortex_mm[box] <= juxtacortical_mm)
    side = host.right[box] == host.right[start]
    return np.asarray(((tissue == Tissue.CORTEX) | near) & side & ~host.lesion[box])


def advance(
    host: Host,
    start: Voxel,
    count: int,
    cost: Cost,
    juxtacortical_mm: float,
    stretch: ArrayLike | None = None,
    taken: NDArray[np.int64] | None = None,
) -> Front:
    """Let a front spread from a seed until it holds a number of voxels.

    CSF and everything else but cortex and near white matter is forbidden, the front stays in
    the seed's hemisphere, and it does not step between cortex voxels whose nearest white matter
    lies in opposite directions: those are two banks of a sulcus whose CSF the labels do not
    show (`Host.steps`).

    Args:
        host: The anatomy.
        start: Voxel the front starts from.
        count: Number of voxels wanted.
        cost: Gives the cost per mm of every voxel of a box, positive.
        juxtacortical_mm: White matter up to this far from the cortex may be entered.
        stretch: Matrix (3, 3) applied to steps in mm before their length counts.
        taken: Voxels (n, 3) that the front may cross but that do not count.

    Raises:
        NoRoom: If the front cannot reach so many voxels.
    """
    spacing = np.asarray(host.grid.spacing_mm)
    lengths = step_lengths(host.grid.spacing_mm, stretch)
    volume_mm3 = count * float(np.prod(spacing)) / _FILL
    reach_mm = math.cbrt(3 * volume_mm3 / (4 * math.pi)) + 2 * float(spacing.max())
    while True:
        box = box_around(start, np.ceil(reach_mm / spacing) + 1, host.grid.shape)
        x, y, z = (c - s.start for c, s in zip(start, box, strict=True))
        nodes = grow_domain(host, juxtacortical_mm, start, box)
        counts = None if taken is None else ~_are(taken, box, nodes.shape)
        found = spread_front(
            nodes, host.steps[box], cost(box), lengths, (x, y, z), count, counts,
            _open_faces(box, host.grid.shape),
        )  # fmt: skip
        if found.counted == count:
            return _front(found, counts, taken, box)
        if not found.stopped:
            raise NoRoom(f"{found.counted} voxels within reach, {count} wanted")
        reach_mm *= _WIDER


def _front(
    found: Spread, counts: NDArray[np.bool_] | None, taken: NDArray[np.int64] | None, box: Box
) -> Front:
    first = [s.start for s in box]
    if counts is None or taken is None:
        return Front(found.vox + first, found.time, np.empty(0))
    counted = counts[tuple(found.vox.T)]
    times = np.full(counts.shape, np.inf)
    times[tuple(found.vox.T)] = found.time
    local = taken - first
    inside = ((local >= 0) & (local < counts.shape)).all(axis=1)
    taken_time = np.full(len(taken), np.inf)
    taken_time[inside] = times[tuple(local[inside].T)]
    return Front(found.vox[counted] + first, found.time[counted], taken_time)


def squared_mm(
    box: Box, centre: Voxel, spacing: ArrayLike, stretch: ArrayLike | None = None
) -> NDArray[np.float32]:
    """Squared distance of a box's voxels from a voxel, shape of the box, mm^2.

    Args:
        box: The box.
        centre: The voxel.
        spacing: Voxel size along each axis, mm.
        stretch: Matrix (3, 3) applied to the differences in mm first.
    """
    x, y, z = (
        ((np.arange(s.start, s.stop) - c) * mm).astype(np.float32)
        for s, c, mm in zip(box, centre, np.asarray(spacing), strict=True)
    )
    x, y = x[:, None, None], y[:, None]
    if stretch is None:
        return np.asarray(x**2 + y**2 + z**2)
    rows = np.asarray(stretch, dtype=np.float32)
    return np.asarray(sum((a * x + b * y + c * z) ** 2 for a, b, c in rows))


def box_around(centre: Voxel, reach_vox: ArrayLike, shape: tuple[int, int, int]) -> Box:
    """The voxels at most some steps from a voxel along each axis, within a grid.

    Args:
        centre: The voxel.
        reach_vox: Whole number of steps along each axis, shape (3,).
        shape: Shape of the grid.
    """
    x, y, z = (
        slice(max(0, c - int(r)), min(n, c + int(r) + 1))
        for c, r, n in zip(centre, np.asarray(reach_vox), shape, strict=True)
    )
    return x, y, z


def _open_faces(box: Box, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Voxels on faces of a box that lie inside the grid, in the box's shape."""
    faces = np.zeros([s.stop - s.start for s in box], dtype=bool)
    for axis, (s, n) in enumerate(zip(box, shape, strict=True)):
        view = np.moveaxis(faces, axis, 0)
        if s.start > 0:
            view[0] = True
        if s.stop < n:
            view[-1] = True
    return faces


def _are(vox: NDArray[np.int64], box: Box, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Voxels of a list within a box, in its shape."""
    local = vox - [s.start for s in box]
    local = local[((local >= 0) & (local < shape)).all(axis=1)]
    inside = np.zeros(shape, dtype=bool)
    inside[tuple(local.T)] = True
    return inside
