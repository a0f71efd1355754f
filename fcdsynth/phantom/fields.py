"""Smooth random fields: cubic B-splines over a lattice of normal numbers, fixed in world space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.grid import Grid

Axes = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

# Mean over a cell of the sum of squared cubic B-spline weights is 151/315 (per axis), so a
# spline over unit-variance numbers has this standard deviation in three dimensions.
_SPLINE_SD = (151 / 315) ** 1.5


def _basis(positions: NDArray[np.float64], n_knots: int) -> NDArray[np.float32]:
    """Weights of the knots at positions given in knot steps, shape (n_positions, n_knots)."""
    first = np.clip(np.floor(positions).astype(int), 1, n_knots - 3)
    u = np.clip(positions - first, 0.0, 1.0)
    weights = np.stack(
        [
            (1 - u) ** 3 / 6,
            (3 * u**3 - 6 * u**2 + 4) / 6,
            (-3 * u**3 + 3 * u**2 + 3 * u + 1) / 6,
            u**3 / 6,
        ],
        axis=1,
    )
    basis = np.zeros((len(positions), n_knots), dtype=np.float32)
    rows = np.arange(len(positions))
    for k in range(4):
        basis[rows, first - 1 + k] += weights[:, k].astype(np.float32)
    return basis


@dataclass(frozen=True)
class SmoothField:
    """A random field of zero mean and unit spread, the same at every sampling density.

    Args:
        seed: Integers that seed the knots.
        lower_mm: Lowest corner of the box it is made for, mm.
        upper_mm: Highest corner, mm; beyond the box the field goes on constant.
        knot_mm: Distance between knots in mm; detail is about twice as wide.
    """

    seed: tuple[int, ...]
    lower_mm: tuple[float, float, float]
    upper_mm: tuple[float, float, float]
    knot_mm: float

    @classmethod
    def over(cls, grid: Grid, seed: tuple[int, ...], knot_mm: float) -> SmoothField:
        """A field made for the box between the outermost voxel centres of a grid."""
        corners = grid.corners_mm()
        low, high = (tuple(float(v) for v in row) for row in (corners.min(0), corners.max(0)))
        return cls(seed, low, high, knot_mm)  # type: ignore[arg-type]

    def on(self, axes: Axes | Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
        """Values on the lattice spanned by three coordinate vectors (mm), shape (x, y, z)."""
        extent = np.asarray(self.upper_mm) - np.asarray(self.lower_mm)
        sizes = [int(n) for n in np.ceil(extent / self.knot_mm).astype(int) + 4]
        rng = np.random.default_rng(self.seed)
        knots = rng.standard_normal(sizes).astype(np.float32) / np.float32(_SPLINE_SD)
        bases = [
            _basis((axis - low) / self.knot_mm + 1, n)
            for axis, low, n in zip(axes, self.lower_mm, sizes, strict=True)
        ]
        # The longest product comes last and on contiguous memory.
        field = knots @ bases[2].T
        field = bases[1] @ field
        field = bases[0] @ field.reshape(len(field), -1)
        return np.asarray(field.reshape([len(b) for b in bases]), dtype=np.float32)
