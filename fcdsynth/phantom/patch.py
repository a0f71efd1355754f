"""Patches: parts of a mask as shares on boxes in the T1w world, and how a scan's grid sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume

_FWHM = 2.3548  # full width at half maximum of a Gaussian in standard deviations
_SHARPER = 0.6  # a mask is drawn less blurred than an image is seen
_SLAB_MM = 3.0


@dataclass(frozen=True, eq=False)
class Patch:
    """Part of a mask.

    Args:
        grid: Axis-aligned grid in the T1w world.
        share: Share of each voxel that belongs to the mask, in [0, 1].
    """

    grid: Grid
    share: NDArray[np.float32]


def covered(patches: Sequence[Patch], grid: Grid, to_t1w: NDArray[np.float64]
            ) -> NDArray[np.float32]:  # fmt: skip
    """Share of a scan's voxels that patches cover.

    Args:
        patches: The patches.
        grid: Grid of the scan.
        to_t1w: 4 x 4 matrix from the scan's world to the T1w's (RAS+ mm).

    Returns:
        The largest share of any patch, shape of the grid.
    """
    full = np.zeros(grid.shape, np.float32)
    to_scan = np.linalg.inv(to_t1w @ grid.matrix)
    # Extent of a voxel along the axes of the T1w world.
    extent_mm = np.linalg.norm((to_t1w @ grid.matrix)[:3, :3], axis=1)
    for patch in patches:
        spacing = np.asarray(patch.grid.spacing_mm)
        sigma = 1.05 * _SHARPER * extent_mm / _FWHM / spacing
        margin = np.ceil(3 * sigma).astype(int) + 1
        padded = np.pad(patch.share, [(n, n) for n in margin])
        share = ndimage.gaussian_filter(padded, sigma, truncate=2.6)
        matrix = patch.grid.matrix.copy()
        matrix[:3, 3] -= matrix[:3, :3] @ margin
        ends = Grid.of(padded.shape, matrix).corners_mm() @ to_scan[:3, :3].T + to_scan[:3, 3]
        low = np.maximum(np.floor(ends.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(ends.max(axis=0)).astype(int) + 1, grid.shape)
        if (low >= high).any():
            continue
        index = np.linalg.inv(matrix) @ to_t1w @ grid.matrix
        start = index[:3, :3] @ low + index[:3, 3]
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        seen = ndimage.affine_transform(share, index[:3, :3], start, tuple(high - low), order=1)
        full[box] = np.maximum(full[box], seen)
    return full


def to_mask(patches: Sequence[Patch], grid: Grid, to_t1w: NDArray[np.float64]) -> Volume:
    """Mask of the scan's voxels of which at least half is covered.

    Patches too thin to cover half of any voxel keep their best covered one. The mask is empty
    only where all patches lie outside the scan.
    """
    share = covered(patches, grid, to_t1w)
    most = float(share.max())
    return Volume(share >= min(0.5, most) if most > 0 else share > 0, grid)


def with_holes(mask: Volume, every: int) -> Volume:
    """A mask that a hurried reader skipped slices of.

    Slices lie along the grid's thickest axis, or along the one nearest to the body's where
    voxels are cubes. Thin slices are skipped in slabs of 3 mm, so that spacing does not change
    what is missing. The first slab always stays.

    Args:
        mask: The mask on the grid it was drawn on.
        every: Of so many slabs the last is missing, 2 or more.
    """
    spacing = np.asarray(mask.grid.spacing_mm)
    upright = np.abs(mask.grid.matrix[2, :3]) / spacing
    thick = spacing > 1.2 * spacing.min()
    axis = int(np.argmax(np.where(thick.any() & ~thick, -1.0, upright)))
    others = tuple(i for i in range(3) if i != axis)
    used = np.flatnonzero(mask.array.any(axis=others))
    if len(used) == 0:
        return mask
    slab = (np.arange(mask.array.shape[axis]) - used[0]) // max(1, round(_SLAB_MM / spacing[axis]))
    keep = slab % every != every - 1
    shape = [1, 1, 1]
    shape[axis] = -1
    return Volume(mask.array & keep.reshape(shape), mask.grid)
