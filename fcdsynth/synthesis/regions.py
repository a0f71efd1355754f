"""The regions that are blanked and redrawn: around a lesion, or somewhere healthy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.tissue import Tissue
from fcdsynth.measure.geodesic import arrival

Spacing = tuple[float, float, float]
# Size law of FCD lesions in ml: median 2.8, sigma of the logarithm 1.25, 0.12 to 60 (from the
# cluster areas published with MELD, Spitzer et al. 2022, and Besson et al. 2006).
_MEDIAN_ML, _SIGMA_LN, _LEAST_ML, _MOST_ML = 2.8, 1.25, 0.12, 60.0


def near(mask: NDArray[Any], distance_mm: float, spacing_mm: Spacing) -> NDArray[np.bool_]:
    """Voxels of a mask and those no farther from it than a distance."""
    if not mask.any():
        return np.zeros(mask.shape, dtype=bool)
    reach = ndimage.distance_transform_edt(~mask.astype(bool), sampling=spacing_mm)
    return np.asarray(reach <= distance_mm)


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


def healthy_shape(
    rng: np.random.Generator, tissue: NDArray[Any], seed: NDArray[Any], spacing_mm: Spacing
) -> NDArray[np.bool_]:
    """A piece of cortex and white matter of a lesion's size where there is no lesion.

    The voxels nearest to the seed, by a distance that is stretched at random along the axes, until
    a log-normal volume is full; what does not hang together with the seed is dropped.

    Args:
        rng: Source of the size and the stretch.
        tissue: Labels, shape (x, y, z), cut to what may be filled.
        seed: Voxel index of the start, in cortex.
        spacing_mm: Voxel sizes in mm.
    """
    volume_ml = np.clip(np.exp(np.log(_MEDIAN_ML) + _SIGMA_LN * rng.normal()), _LEAST_ML, _MOST_ML)
    stretch = np.exp(rng.normal(0, 0.3, 3)) * np.asarray(spacing_mm)
    axes = np.ogrid[tuple(slice(0, n) for n in tissue.shape)]
    distance = sum(((a - s) * t) ** 2 for a, s, t in zip(axes, seed, stretch, strict=True))
    allowed = (tissue == Tissue.CORTEX) | (tissue == Tissue.WHITE_MATTER)
    count = max(round(volume_ml * 1000 / float(np.prod(spacing_mm))), 1)
    count = min(count, int(allowed.sum()))
    limit = np.partition(distance[allowed], count - 1)[count - 1]
    labels, _ = ndimage.label(allowed & (distance <= limit))
    return np.asarray(labels == labels[tuple(seed)])
