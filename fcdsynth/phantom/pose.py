"""How one subject's head differs from its anatomy: size, pose and a smooth, fold-free warp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from fcdsynth.core.grid import Grid
from fcdsynth.phantom.fields import Axes, SmoothField

_CHECK_STEP_MM = 4.0
_MIN_JACOBIAN = 0.25


@dataclass(frozen=True)
class PoseSpec:
    """Size, pose and warp of a head.

    Args:
        flip: Whether left and right are exchanged.
        angles_deg: Rotations about x, y, z.
        shift_mm: World position of the canonical origin.
        stretch: Size along x, y, z relative to the anatomy's own.
        warp_mm: Standard deviation of the coarse displacement along each axis.
        detail_mm: Standard deviation of the finer displacement.
        seed: Seed of the warp.
    """

    flip: bool
    angles_deg: tuple[float, float, float]
    shift_mm: tuple[float, float, float]
    stretch: tuple[float, float, float]
    warp_mm: float
    detail_mm: float
    seed: int


def rotation(angles_deg: tuple[float, float, float]) -> NDArray[np.float64]:
    """3 x 3 rotation about x, then y, then z."""
    return np.asarray(Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix())


def axes_of(grid: Grid) -> Axes:
    """World coordinates along each axis of an axis-aligned RAS grid, mm."""
    matrix = grid.matrix
    x, y, z = (matrix[i, 3] + matrix[i, i] * np.arange(n) for i, n in enumerate(grid.shape))
    return (x, y, z)


def head_matrix(spec: PoseSpec, scale: float) -> NDArray[np.float64]:
    """4 x 4 matrix from canonical mm to the subject's world (RAS+ mm), warp left out."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(spec.angles_deg) @ np.diag(np.asarray(spec.stretch) * scale)
    matrix[:3, 3] = spec.shift_mm
    return matrix


def _displacement(spec: PoseSpec, box: Grid, axes: Axes, factor: float) -> NDArray[np.float32]:
    corners = box.corners_mm()
    low, high = (tuple(float(v) for v in row) for row in (corners.min(0), corners.max(0)))
    fields = []
    for axis in range(3):
        coarse = SmoothField((spec.seed, axis), low, high, 42.0)  # type: ignore[arg-type]
        fine = SmoothField((spec.seed, 3 + axis), low, high, 15.0)  # type: ignore[arg-type]
        sizes = np.float32(spec.warp_mm * factor), np.float32(spec.detail_mm * factor)
        fields.append(sizes[0] * coarse.on(axes) + sizes[1] * fine.on(axes))
    return np.stack(fields)


def smallest_jacobian(
    spec: PoseSpec, box: Grid, matrix: NDArray[np.float64], factor: float = 1.0
) -> float:
    """Smallest volume change of the map world to canonical, relative to its affine part.

    Measured by finite differences every 4 mm; above 0 nothing folds.
    """
    corners = box.corners_mm()
    coarse = Grid.covering(corners.min(0), corners.max(0), _CHECK_STEP_MM)
    warp = _displacement(spec, box, axes_of(coarse), factor)
    gradient = np.stack(
        [np.stack(np.gradient(warp[i], _CHECK_STEP_MM), axis=-1) for i in range(3)], axis=-2
    )
    linear = np.linalg.inv(matrix)[:3, :3]
    return float((np.linalg.det(linear + gradient) / abs(np.linalg.det(linear))).min())


def canonical_coordinates(
    spec: PoseSpec, scale: float, grid: Grid
) -> tuple[NDArray[np.float32], float]:
    """Canonical coordinates of a head's voxels.

    The warp is made smaller step by step until the map nowhere comes near folding.

    Args:
        spec: The head.
        scale: Size of its anatomy relative to canonical space.
        grid: Axis-aligned RAS grid in the subject's world.

    Returns:
        Canonical mm, shape (3, x, y, z), not flipped, and the smallest relative Jacobian.
    """
    matrix = head_matrix(spec, scale)
    factor = 1.0
    while (jacobian := smallest_jacobian(spec, grid, matrix, factor)) < _MIN_JACOBIAN:
        factor *= 0.8
    axes = axes_of(grid)
    mm = _displacement(spec, grid, axes, factor)
    inverse = np.linalg.inv(matrix).astype(np.float32)
    x, y, z = (a.astype(np.float32) for a in axes)
    for i in range(3):
        mm[i] += (inverse[i, 0] * x + inverse[i, 3])[:, None, None]
        mm[i] += (inverse[i, 1] * y)[None, :, None]
        mm[i] += (inverse[i, 2] * z)[None, None, :]
    return mm, jacobian


def head_box(
    spec: PoseSpec, scale: float, lower_mm: tuple[float, float, float],
    upper_mm: tuple[float, float, float], spacing_mm: float, margin_mm: float = 6.0,
) -> Grid:  # fmt: skip
    """Axis-aligned grid in the subject's world that holds a canonical box and a margin."""
    corners = np.stack(np.meshgrid(*zip(lower_mm, upper_mm, strict=True), indexing="ij"), -1)
    matrix = head_matrix(spec, scale)
    world = corners.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    return Grid.covering(world.min(0) - margin_mm, world.max(0) + margin_mm, spacing_mm)
