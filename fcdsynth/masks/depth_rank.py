"""How deep a place of the cortex lies, relative to the cortex around it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.measure.components import bounding_box

NEIGHBOURHOOD_MM = 8.0


def depth_rank(
    depth_mm: NDArray[Any], cortex: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Rank of each cortex voxel by its depth less the mean depth of the cortex around it.

    Depth alone would rank the whole medial wall and the insula above every sulcus.

    Args:
        depth_mm: Depth below the closed hull, shape (x, y, z), mm.
        cortex: Cortex voxels, same shape, at least one.
        spacing: Voxel size along each axis, mm.

    Returns:
        Ranks in [0, 1] on the cortex, 0 elsewhere, same shape.
    """
    box = bounding_box(cortex)
    if box is None:
        raise ValueError("no cortex to rank")
    inside = cortex[box].astype(np.float32)
    sigma = [NEIGHBOURHOOD_MM / mm for mm in spacing]
    total = ndimage.gaussian_filter(inside * depth_mm[box], sigma, truncate=3)
    share = ndimage.gaussian_filter(inside, sigma, truncate=3)
    relative = (depth_mm[box] - total / np.maximum(share, 1e-6))[cortex[box]]
    order = np.argsort(relative, kind="stable")
    rank = np.empty(len(order), dtype=np.float32)
    rank[order] = np.arange(len(order)) / max(len(order) - 1, 1)
    ranks = np.zeros(cortex.shape, dtype=np.float32)
    ranks[cortex] = rank
    return ranks
