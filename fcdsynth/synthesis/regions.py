"""The regions that are blanked and redrawn, and the soft map of a mask that was not drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.measure.geodesic import arrival

Spacing = tuple[float, float, float]


def near(mask: NDArray[Any], distance_mm: float, spacing_mm: Spacing) -> NDArray[np.bool_]:
    """Voxels of a mask and those no farther from it than a distance."""
    if not mask.any():
        return np.zeros(mask.shape, dtype=bool)
    # Farther out nothing is near: the transform of the whole volume would say no more.
    box = box_around(mask, [int(distance_mm // mm) + 1 for mm in spacing_mm])
    found = np.zeros(mask.shape, dtype=bool)
    reach = ndimage.distance_transform_edt(~mask[box].astype(bool), sampling=spacing_mm)
    found[box] = reach <= distance_mm
    return found


def box_around(mask: NDArray[Any], margin_vox: Sequence[int]) -> tuple[slice, slice, slice]:
    """The smallest box around a mask, wider by a margin, inside the volume.

    Args:
        mask: Not empty, shape (x, y, z).
        margin_vox: Voxels of margin along each axis.
    """
    slices = []
    for axis, margin in enumerate(margin_vox):
        others = tuple(a for a in range(3) if a != axis)
        where = np.flatnonzero(mask.any(axis=others))
        low, high = int(where[0]) - margin, int(where[-1]) + 1 + margin
        slices.append(slice(max(low, 0), min(high, mask.shape[axis])))
    x, y, z = slices
    return x, y, z


def soft_map(lesion: NDArray[Any], seed: NDArray[Any], spacing_mm: Spacing) -> NDArray[np.float32]:
    """What draw writes as ``soft``, for a mask that was not drawn: 1 at a seed, falling outwards.

    One less the time at which a front from the seed arrives, as a share of the last arrival;
    at least 0.01 in the mask, 0 outside.

    Args:
        lesion: Mask, shape (x, y, z).
        seed: A voxel of it.
        spacing_mm: Voxel sizes in mm.
    """
    soft = np.zeros(lesion.shape, dtype=np.float32)
    where = np.argwhere(lesion)
    box = tuple(slice(a, b) for a, b in zip(where.min(0), where.max(0) + 1, strict=True))
    inside = lesion[box].astype(bool)
    x, y, z = (int(v) for v in np.asarray(seed) - where.min(0))
    time = arrival(inside, np.ones(inside.shape), spacing_mm, (x, y, z)).time
    reached = np.isfinite(time)
    last = max(float(time[reached].max()), 1e-6)
    level = 1 - np.where(reached, time, last) / last
    soft[box] = np.where(inside, np.clip(level, 0.01, 1), 0)
    return soft
