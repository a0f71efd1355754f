"""Move a volume to another grid, through a world-to-world matrix where one is given."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume


def resample(
    volume: Volume,
    grid: Grid,
    order: int = 1,
    target_to_source: ArrayLike | None = None,
    outside: float = 0.0,
) -> Volume:
    """Sample a volume at the voxel centres of another grid.

    Where the target voxels are larger than the source voxels, the source is smoothed first
    (Gaussian of FWHM equal to the target voxel, less the source voxel in quadrature), so that
    thin structures are averaged and not skipped. ``order=0`` keeps labels and never smooths.

    Args:
        volume: Source volume.
        grid: Target grid.
        order: Spline order, 0 to 3.
        target_to_source: 4 x 4 matrix from the target's world (RAS+ mm) to the source's;
            identity when the two share one world.
        outside: Value where the target lies outside the source.

    Returns:
        Float32 volume on the target grid (the source's type for ``order=0``).
    """
    world = np.eye(4) if target_to_source is None else np.asarray(target_to_source, dtype=float)
    array = volume.array if order == 0 else volume.array.astype(np.float32)
    if order > 0:
        linear = np.linalg.inv(volume.grid.matrix[:3, :3]) @ world[:3, :3] @ grid.matrix[:3, :3]
        # Length of one target voxel, measured along each source axis in source voxels.
        step = np.abs(linear).max(axis=1)
        sigma = np.sqrt(np.clip(step**2 - 1, 0, None)) / 2.355
        if sigma.max() > 0.05:
            array = ndimage.gaussian_filter(array, sigma)
    to_source = np.linalg.inv(volume.grid.matrix) @ world @ grid.matrix
    moved = ndimage.affine_transform(
        array,
        to_source[:3, :3],
        to_source[:3, 3],
        output_shape=grid.shape,
        order=order,
        mode="constant",
        cval=outside,
    )
    return Volume(moved, grid)


def resample_mask(volume: Volume, grid: Grid, target_to_source: ArrayLike | None = None) -> Volume:
    """Resample a mask so that its volume is kept.

    The target voxels that the mask covers most belong to it, as many as make up its volume: for
    a large smooth mask those covered by half or more, for a small or thin one fewer is enough,
    so that a lesion neither shrinks nor vanishes on larger voxels.
    """
    share = resample(
        Volume(volume.array.astype(np.float32), volume.grid), grid, 1, target_to_source
    ).array
    total = float(share.sum())
    if total <= 0:
        return Volume(np.zeros(grid.shape, dtype=bool), grid)
    number = min(max(1, round(total)), share.size)
    least = np.partition(share.ravel(), share.size - number)[share.size - number]
    return Volume(share >= max(float(least), 1e-6), grid)
