"""Diffeomorphic registration of two brains, as a field of displacements in millimetres."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample
from fcdsynth.core.volume import Volume

_RADIUS_VOX = 2
_MARGIN_VOX = 4
_ITERATIONS = (30, 20, 8)


@dataclass(frozen=True, eq=False)
class Warp:
    """A smooth one-to-one map from one world to another (RAS+ mm).

    Args:
        affine: 4 x 4 matrix from the fixed world to the moving world.
        displacement_mm: What is added to a fixed point before the matrix, shape (x, y, z, 3).
        grid: Axis-aligned grid of the displacements in the fixed world; beyond it the
            displacement at the border holds.
    """

    affine: NDArray[np.float64]
    displacement_mm: NDArray[np.float32]
    grid: Grid

    def points(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Places of points (..., 3) of the fixed world in the moving world, mm."""
        points = np.asarray(points_mm, dtype=float)
        flat = points.reshape(-1, 3)
        index = self.grid.to_vox(flat).T
        steps = [
            ndimage.map_coordinates(self.displacement_mm[..., i], index, order=1, mode="nearest")
            for i in range(3)
        ]
        moved = points + np.stack(steps, axis=-1).reshape(points.shape)
        return np.asarray(moved @ self.affine[:3, :3].T + self.affine[:3, 3])

    def on(self, grid: Grid) -> NDArray[np.float32]:
        """Places of a grid's voxel centres in the moving world, mm; shape (x, y, z, 3).

        Slab by slab, so that a large grid needs no more than its result.
        """
        j, k = np.meshgrid(*[np.arange(n) for n in grid.shape[1:]], indexing="ij")
        places = np.empty((*grid.shape, 3), dtype=np.float32)
        for i in range(grid.shape[0]):
            index = np.stack([np.full(j.shape, i), j, k], axis=-1)
            places[i] = self.points(grid.to_mm(index))
        return places

    def smallest_jacobian(self) -> float:
        """Smallest volume change of the displacements by finite differences; above 0 no fold."""
        spacing = self.grid.spacing_mm
        slopes = [list(np.gradient(self.displacement_mm[..., i], *spacing)) for i in range(3)]
        gradient = np.moveaxis(np.asarray(slopes), (0, 1), (-2, -1))
        return float(np.linalg.det(np.eye(3) + gradient).min())


def warp_to(
    fixed: Volume,
    moving: Volume,
    fixed_to_moving: ArrayLike,
    spacing_mm: float = 3.0,
    iterations: Sequence[int] = _ITERATIONS,
) -> Warp:
    """Refine an affine alignment of two brains by symmetric diffeomorphic registration.

    Local cross-correlation and symmetric normalisation after Avants et al. (Med Image Anal 2008),
    as in dipy, on one thread so that the result does not depend on the machine's cores.

    Args:
        fixed: Skull-stripped volume, 0 outside the brain.
        moving: The same of the other brain.
        fixed_to_moving: 4 x 4 world matrix (RAS+ mm) that brings the fixed brain roughly onto
            the moving one.
        spacing_mm: Voxel size of the registration.
        iterations: Most iterations at a quarter, half and the whole of that resolution.
    """
    affine = np.asarray(fixed_to_moving, dtype=float)
    inside = fixed.grid.to_mm(np.argwhere(fixed.array != 0))
    margin = _MARGIN_VOX * spacing_mm
    grid = Grid.covering(inside.min(axis=0) - margin, inside.max(axis=0) + margin, spacing_mm)
    still = _scaled(resample(fixed, grid).array)
    other = _scaled(resample(moving, grid, 1, affine).array)
    field = _displacement_vox(still, other, tuple(iterations))
    steps = np.diag(grid.matrix[:3, :3])
    return Warp(affine, (field * steps).astype(np.float32), grid)


def _scaled(array: NDArray[np.float32]) -> NDArray[np.float64]:
    top = float(np.quantile(array[array > 0], 0.98)) if (array > 0).any() else 1.0
    return np.asarray(np.clip(array / top, 0, 1.5), dtype=np.float64)


def _displacement_vox(
    still: NDArray[np.float64], other: NDArray[np.float64], iterations: tuple[int, ...]
) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dipy.align.imwarp import SymmetricDiffeomorphicRegistration
        from dipy.align.metrics import CCMetric

        search = SymmetricDiffeomorphicRegistration(
            CCMetric(3, sigma_diff=2.0, radius=_RADIUS_VOX), level_iters=list(iterations)
        )
        search.verbosity = 0
        found = search.optimize(still, other)
    # What dipy calls backward takes a fixed voxel to its place in the moving image.
    return np.asarray(found.backward, dtype=np.float64)
