"""Smoothing a front's outline; its volume, its connection and its domain stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.masks.growing.front import Box, box_around, grow_domain
from fcdsynth.masks.host import Host
from fcdsynth.masks.spec import LesionSpec
from fcdsynth.measure.geodesic import Voxel, spread_front, step_lengths

_STEEPNESS = 16.0  # so steep that the worst voxel on a path decides about it, and not its length
_LEAST = 0.1  # what lies farther outside is never taken
_TRUNCATE = 3.0


@dataclass(frozen=True, eq=False)
class Smoothed:
    """Where a smoothed outline may run, and in which order voxels are taken.

    Args:
        box: The part of the grid it lies in.
        nodes: Voxels that may be taken, shape of the box.
        cost: Cost per mm of each, see `smoothed`.
        seed: The seed within the box.
    """

    box: Box
    nodes: NDArray[np.bool_]
    cost: NDArray[np.float32]
    seed: Voxel


def smoothed(host: Host, spec: LesionSpec, vox: NDArray[np.int64]) -> Smoothed:
    """Costs under which a second front follows the smoothed outline of a first one.

    The mask is averaged by a Gaussian of ``smoothing_mm`` (standard deviation) within what the
    front may enter, so that fluid beside it does not shrink it. A second front from the seed pays
    exp(16 (1 - average)) per mm: it takes voxels by their averages, and each only through others.

    Args:
        host: The anatomy.
        spec: Seed and settings.
        vox: Voxels of the first front, shape (n, 3), with those that it crossed uncounted.
    """
    sigma = spec.growth.smoothing_mm / np.asarray(host.grid.spacing_mm)
    reach = np.ceil(_TRUNCATE * sigma).astype(int) + 1
    far = np.maximum(vox.max(axis=0) - spec.centre_vox, spec.centre_vox - vox.min(axis=0))
    box = box_around(spec.centre_vox, far + reach, host.grid.shape)
    domain = grow_domain(host, spec.growth.juxtacortical_mm, spec.centre_vox, box)
    first = [s.start for s in box]
    inside = np.zeros(domain.shape, dtype=np.float32)
    inside[tuple((vox - first).T)] = 1
    domain |= inside > 0
    above, below = (
        ndimage.gaussian_filter(part, sigma, mode="constant", truncate=_TRUNCATE)
        for part in (inside, domain.astype(np.float32))
    )
    average = np.where(domain, above / np.maximum(below, np.float32(1e-6)), np.float32(0))
    nodes = (inside > 0) | (average > _LEAST)
    cost = np.exp(np.float32(_STEEPNESS) * (1 - np.minimum(average, np.float32(1))))
    x, y, z = (c - f for c, f in zip(spec.centre_vox, first, strict=True))
    return Smoothed(box, nodes, cost.astype(np.float32), (x, y, z))


def smooth(
    host: Host,
    spec: LesionSpec,
    vox: NDArray[np.int64],
    taken: NDArray[np.int64],
    crossed: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """As many voxels within a smoothed outline, connected by the steps that the front may take.

    Args:
        host: The anatomy.
        spec: Seed and settings.
        vox: Voxels of the first front, shape (n, 3).
        taken: Voxels (m, 3) that do not count.
        crossed: Which of them the first front crossed, shape (m,); only these may be crossed.

    Returns:
        Voxels in the order in which they were taken, shape (n, 3).
    """
    plan = smoothed(host, spec, np.concatenate([vox, taken[crossed]]))
    first = [s.start for s in plan.box]
    local = taken - first
    within = ((local >= 0) & (local < plan.nodes.shape)).all(axis=1)
    ours = np.zeros(plan.nodes.shape, dtype=bool)
    ours[tuple(local[within].T)] = True
    plan.nodes[tuple(local[within & ~crossed].T)] = False
    lengths = step_lengths(host.grid.spacing_mm)
    found = spread_front(plan.nodes, host.steps[plan.box], plan.cost, lengths, plan.seed, len(vox),
                         ~ours)  # fmt: skip
    return np.asarray(found.vox[~ours[tuple(found.vox.T)]] + first)
