"""One scan of a painted head: its grid, partial volume, head movement, noise and integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.phantom.pose import rotation

_FWHM = 2.3548  # full width at half maximum of a Gaussian in standard deviations
_DIRECTIONS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True)
class ScanSpec:
    """How one volume was acquired.

    Args:
        tilt_deg: Rotation of the slice block against the scanner, known to the header.
        offset_mm: Shift of the block's centre, known to the header.
        motion_deg: Rotation of the head since the T1w scan, unknown to the header.
        motion_mm: Shift of the head since the T1w scan, unknown to the header.
        seed: Seed of the noise.
    """

    tilt_deg: tuple[float, float, float]
    offset_mm: tuple[float, float, float]
    motion_deg: tuple[float, float, float]
    motion_mm: tuple[float, float, float]
    seed: int


def scan_grid(spec: ScanSpec, head: Grid, voxel_mm: float, axes: str) -> Grid:
    """Grid of a scan: a tilted block over the head.

    Args:
        spec: The scan.
        head: Axis-aligned grid of the head, in the T1w world.
        voxel_mm: Isotropic voxel size.
        axes: Direction of each array axis, such as ``PSR`` for sagittal slices.
    """
    corners = head.corners_mm()
    centre = (corners.min(0) + corners.max(0)) / 2 + np.asarray(spec.offset_mm)
    extent = corners.max(0) - corners.min(0)
    linear = np.zeros((3, 3))
    shape = []
    for column, letter in enumerate(axes):
        world, sign = _DIRECTIONS[letter]
        linear[world, column] = sign * voxel_mm
        shape.append(int(np.ceil(extent[world] / voxel_mm)))
    affine = np.eye(4)
    affine[:3, :3] = rotation(spec.tilt_deg) @ linear
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return Grid.of(shape, np.round(affine, 6))


def motion_matrix(spec: ScanSpec, head: Grid) -> NDArray[np.float64]:
    """4 x 4 matrix from the scan's world to the T1w world (RAS+ mm); rigid, about the head."""
    corners = head.corners_mm()
    centre = (corners.min(0) + corners.max(0)) / 2
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(spec.motion_deg)
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre + np.asarray(spec.motion_mm)
    return matrix


def blur_sigma_vox(voxel_mm: float, grid: Grid) -> float:
    """Gaussian that stands for the voxel's size, in voxels of a finer grid."""
    return 1.05 * voxel_mm / _FWHM / grid.spacing_mm[0]


def blurred(array: NDArray[np.float32], voxel_mm: float, grid: Grid) -> NDArray[np.float32]:
    """Partial volume: the mean over voxel-sized neighbourhoods of a finer grid."""
    sigma = blur_sigma_vox(voxel_mm, grid)
    return np.asarray(ndimage.gaussian_filter(array, sigma, truncate=2.6), np.float32)


def look_up(
    array: NDArray[np.float32] | NDArray[np.uint8],
    head: Grid,
    grid: Grid,
    to_head: NDArray[np.float64],
    order: int = 1,
) -> NDArray[np.float32]:
    """Values of a map on the head's grid at the voxel centres of a scan; 0 outside."""
    matrix = np.linalg.inv(head.matrix) @ to_head @ grid.matrix
    return np.asarray(
        ndimage.affine_transform(
            array, matrix[:3, :3], matrix[:3, 3], output_shape=grid.shape, order=order
        )
    )


def scan(
    painted: NDArray[np.float32], head: Grid, grid: Grid, spec: ScanSpec, noise: float, scale: float
) -> Volume:
    """Acquire a painted head.

    Args:
        painted: Brightness with the bias field, on the head's grid.
        head: Axis-aligned grid of the head, in the T1w world.
        grid: Grid of the scan, see `scan_grid`.
        spec: The scan.
        noise: Standard deviation of the noise in both channels, in brightness.
        scale: Stored units per unit of brightness.

    Returns:
        int16 volume with Rician noise (Gudbjartsson and Patz 1995).
    """
    clear = look_up(blurred(painted, grid.spacing_mm[0], head), head, grid,
                    motion_matrix(spec, head))  # fmt: skip
    rng = np.random.default_rng(spec.seed)
    real = clear + np.float32(noise) * rng.standard_normal(clear.shape, dtype=np.float32)
    imaginary = np.float32(noise) * rng.standard_normal(clear.shape, dtype=np.float32)
    stored = np.rint(np.float32(scale) * np.hypot(real, imaginary))
    return Volume(np.clip(stored, 0, 32767).astype(np.int16), grid)


def share_mask(share: NDArray[np.float32], head: Grid, grid: Grid, spec: ScanSpec) -> Volume:
    """Mask of the scan's voxels of which at least half is covered.

    A map too thin to cover half of any voxel keeps its best covered one.
    """
    covered = look_up(blurred(share, grid.spacing_mm[0] * 0.6, head), head, grid,
                      motion_matrix(spec, head))  # fmt: skip
    return Volume(covered >= min(0.5, float(covered.max())), grid)
