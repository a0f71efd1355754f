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
    """Size, pose and shape of a head.

    Args:
        flip: Whether left and right are exchanged.
        angles_deg: Rotations about x, y, z.
        shift_mm: World position of the canonical origin.
        stretch: Size along x, y, z relative to the anatomy's own.
        warp_mm: Standard deviation of the coarse displacement along each axis.
        detail_mm: Standard deviation of the finer displacement.
        seed: Seed of the warp and of the tissue borders.
        thicker_mm: How far the grey-white border moves into the white matter on average;
            negative for a thinner cortex.
        ripple_mm: Standard deviation over the cortex of that move.
        ventricles: Wanted volume of the ventricles relative to the anatomy's own.
    """

    flip: bool
    angles_deg: tuple[float, float, float]
    shift_mm: tuple[float, float, float]
    stretch: tuple[float, float, float]
    warp_mm: float
    detail_mm: float
    seed: int
    thicker_mm: float = 0.0
    ripple_mm: float = 0.0
    ventricles: float = 1.0


def draw_pose(rng: np.random.Generator) -> PoseSpec:
    """Draw how one head differs from its anatomy."""

    def triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
        return (float(values[0]), float(values[1]), float(values[2]))

    return PoseSpec(
        flip=bool(rng.random() < 0.5),
        angles_deg=triple(np.clip(rng.normal(0, (8, 2.5, 3)), -18, 18)),
        shift_mm=triple(rng.normal((0, 22, 18), (2, 6, 6))),
        stretch=triple(np.exp(rng.normal(0, 0.03) + rng.normal(0, 0.018, 3))),
        warp_mm=float(rng.uniform(1.8, 3.0)),
        detail_mm=float(rng.uniform(0.7, 1.3)),
        seed=int(rng.integers(2**31)),
        thicker_mm=float(np.clip(rng.normal(0, 0.2), -0.4, 0.4)),
        ripple_mm=float(rng.uniform(0.2, 0.3)),
        ventricles=float(np.exp(rng.uniform(np.log(0.6), np.log(2.0)))),
    )


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


def mirror_matrix(spec: PoseSpec) -> NDArray[np.float64]:
    """4 x 4 matrix that mirrors the subject's world about the head's mid-plane."""
    matrix = head_matrix(spec, 1.0)
    return np.asarray(matrix @ np.diag([-1.0, 1.0, 1.0, 1.0]) @ np.linalg.inv(matrix))


def _displacement(spec: PoseSpec, box: Grid, axes: Axes, factor: float) -> NDArray[np.float32]:
    mm = np.empty((3, *(len(axis) for axis in axes)), dtype=np.float32)
    for axis in range(3):
        coarse = SmoothField.over(box, (spec.seed, axis), 42.0)
        fine = SmoothField.over(box, (spec.seed, 3 + axis), 15.0)
        np.multiply(coarse.on(axes), np.float32(spec.warp_mm * factor), out=mm[axis])
        mm[axis] += np.float32(spec.detail_mm * factor) * fine.on(axes)
    return mm


def smallest_jacobian(
    spec: PoseSpec, box: Grid, matrix: NDArray[np.float64], factor: float = 1.0
) -> float:
    """Smallest volume change of the map world to canonical, relative to its affine part.

    Measured by finite differences every 4 mm; above 0 nothing folds.
    """
    corners = box.corners_mm()
    coarse = Grid.covering(corners.min(0), corners.max(0), _CHECK_STEP_MM)
    mm = _mapped(matrix, coarse, _displacement(spec, coarse, axes_of(coarse), factor))
    return measured_jacobian(mm, coarse, matrix)


def _mapped(
    matrix: NDArray[np.float64], grid: Grid, warp: NDArray[np.float32]
) -> NDArray[np.float32]:
    inverse = np.linalg.inv(matrix).astype(np.float32)
    x, y, z = (a.astype(np.float32) for a in axes_of(grid))
    for i in range(3):
        warp[i] += (inverse[i, 0] * x + inverse[i, 3])[:, None, None]
        warp[i] += (inverse[i, 1] * y)[None, :, None] + (inverse[i, 2] * z)[None, None, :]
    return warp


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
    return _mapped(matrix, grid, _displacement(spec, grid, axes_of(grid), factor)), jacobian


def measured_jacobian(mm: NDArray[np.float32], grid: Grid, matrix: NDArray[np.float64]) -> float:
    """Smallest volume change of a map by forward differences at its own resolution.

    Args:
        mm: Where each voxel comes from, shape (3, x, y, z).
        grid: Axis-aligned grid of the voxels.
        matrix: 4 x 4 affine part of the inverse map, which counts as no change.
    """
    smallest = np.inf
    for first in range(0, mm.shape[1] - 1, 16):  # slab by slab, to save memory
        slab = mm[:, first : first + 17]
        a, b, c = (
            np.diff(slab, axis=axis)[
                tuple(slice(None) if i in (0, axis) else slice(None, -1) for i in range(4))
            ]
            for axis in (1, 2, 3)
        )
        volume = a[0] * (b[1] * c[2] - b[2] * c[1])
        volume -= a[1] * (b[0] * c[2] - b[2] * c[0])
        volume += a[2] * (b[0] * c[1] - b[1] * c[0])
        smallest = min(smallest, float(volume.min()))
    return smallest / float(np.prod(grid.spacing_mm) / abs(np.linalg.det(matrix[:3, :3])))


def head_box(
    spec: PoseSpec, scale: float, lower_mm: tuple[float, float, float],
    upper_mm: tuple[float, float, float], spacing_mm: float, margin_mm: float = 6.0,
) -> Grid:  # fmt: skip
    """Axis-aligned grid in the subject's world that holds a canonical box and a margin."""
    corners = np.stack(np.meshgrid(*zip(lower_mm, upper_mm, strict=True), indexing="ij"), -1)
    matrix = head_matrix(spec, scale)
    world = corners.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    return Grid.covering(world.min(0) - margin_mm, world.max(0) + margin_mm, spacing_mm)
