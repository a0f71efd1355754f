"""Surface distances between a lesion and the cluster that found it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from fcdsynth.core.grid import Grid
from fcdsynth.evaluation.pairs import Voxels


def surface_distances(one: Voxels, other: Voxels, grid: Grid) -> tuple[float, float]:
    """Average symmetric surface distance and Hausdorff 95 of two sets of voxels.

    A surface is the voxels with a face neighbour outside; distances are between voxel centres
    in world space, so that any affine is right. The average is over both surfaces together
    (Heimann et al. 2009); the 95th percentile is the larger of the two one-sided ones.

    Args:
        one: Voxel indices, shape (n, 3), not empty.
        other: Voxel indices, shape (m, 3), not empty.
        grid: The grid both lie on.

    Returns:
        Both in mm.
    """
    ours, theirs = (grid.to_mm(_surface(voxels)) for voxels in (one, other))
    there, _ = cKDTree(theirs).query(ours)
    back, _ = cKDTree(ours).query(theirs)
    assd = (there.sum() + back.sum()) / (len(there) + len(back))
    return float(assd), float(max(np.percentile(there, 95), np.percentile(back, 95)))


def _surface(voxels: Voxels) -> NDArray[np.intp]:
    origin = voxels.min(axis=0) - 1
    inside = np.zeros(voxels.max(axis=0) - origin + 2, dtype=bool)
    inside[tuple((voxels - origin).T)] = True
    at = np.argwhere(inside & ~ndimage.binary_erosion(inside))
    return np.asarray(at + origin)
