"""One scan of a painted head: its grid, partial volume, head movement, noise and integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.phantom import fourier
from fcdsynth.phantom.pose import rotation
from fcdsynth.phantom.scans import Protocol, ScanSpec

_FWHM = 2.3548  # full width at half maximum of a Gaussian in standard deviations
_DIRECTIONS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


def scan_grid(spec: ScanSpec, head: Grid, protocol: Protocol) -> Grid:
    """Grid of a scan: a tilted block over the head.

    Args:
        spec: The scan.
        head: Axis-aligned grid of the head, in the T1w world.
        protocol: Voxel size and axes.
    """
    corners = head.corners_mm()
    centre = (corners.min(0) + corners.max(0)) / 2 + np.asarray(spec.offset_mm)
    extent = corners.max(0) - corners.min(0)
    linear = np.zeros((3, 3))
    shape = []
    sizes = (protocol.in_plane_mm, protocol.in_plane_mm, protocol.pitch_mm)
    for column, (letter, size) in enumerate(zip(protocol.axes, sizes, strict=True)):
        world, sign = _DIRECTIONS[letter]
        linear[world, column] = sign * size
        shape.append(int(np.ceil(extent[world] / size)))
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
    """Values of a map on the head's grid at the voxel centres of a scan; 0 outside.

    Only the part of the scan where the map is not 0 everywhere is computed.
    """
    matrix = np.linalg.inv(head.matrix) @ to_head @ grid.matrix
    found = np.zeros(grid.shape, dtype=array.dtype)
    window = _window(array, np.asarray(np.linalg.inv(matrix), np.float64), grid.shape)
    if window is None:
        return found
    first = np.array([part.start for part in window])
    ndimage.affine_transform(
        array, matrix[:3, :3], matrix[:3, :3] @ first + matrix[:3, 3],
        output_shape=found[window].shape, output=found[window], order=order,
    )  # fmt: skip
    return found


def _window(
    array: NDArray[np.float32] | NDArray[np.uint8],
    to_scan: NDArray[np.float64],
    shape: tuple[int, int, int],
) -> tuple[slice, ...] | None:
    filled = array != 0
    ends = []
    for axis in range(3):
        used = np.flatnonzero(filled.any(axis=tuple(a for a in range(3) if a != axis)))
        if len(used) == 0:
            return None
        ends.append((used[0] - 1, used[-1] + 1))
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)
    index = corners @ to_scan[:3, :3].T + to_scan[:3, 3]
    low, high = np.floor(index.min(0)).astype(int), np.ceil(index.max(0)).astype(int) + 1
    window = tuple(slice(max(0, a), min(n, b)) for a, b, n in zip(low, high, shape, strict=True))
    return window if all(part.stop > part.start for part in window) else None


def sampled(
    array: NDArray[np.float32], head: Grid, grid: Grid, spec: ScanSpec, protocol: Protocol
) -> NDArray[np.float32]:
    """What a scan's voxels hold of a map before noise: means over voxels and over slices."""
    to_head = motion_matrix(spec, head)
    soft = blurred(array, protocol.in_plane_mm, head)
    if protocol.dimensions == "3D":
        return look_up(soft, head, grid, to_head)
    number = max(3, int(np.ceil(protocol.slice_mm / head.spacing_mm[0])))
    total = np.zeros(grid.shape, dtype=np.float32)
    for place in (np.arange(number) + 0.5) / number - 0.5:
        affine = grid.matrix.copy()
        affine[:3, 3] += affine[:3, 2] * (place * protocol.slice_mm / protocol.pitch_mm)
        total += look_up(soft, head, Grid.of(grid.shape, affine), to_head)
    return total / np.float32(number)


def scan(
    painted: NDArray[np.float32], head: Grid, grid: Grid, spec: ScanSpec, protocol: Protocol,
    noise: float, scale: float,
) -> Volume:  # fmt: skip
    """Acquire a painted head.

    Args:
        painted: Brightness with the bias field, on the head's grid.
        head: Axis-aligned grid of the head, in the T1w world.
        grid: Grid of the scan, see `scan_grid`.
        spec: The scan.
        protocol: Its geometry.
        noise: Standard deviation of the noise in both channels, in brightness.
        scale: Stored units per unit of brightness.

    Returns:
        int16 volume with Rician noise (Gudbjartsson and Patz 1995).
    """
    clear = sampled(painted, head, grid, spec, protocol)
    axis = next(i for i, letter in enumerate(protocol.axes) if letter in "AP")
    clear = fourier.encode(
        clear, axis, spec.kept, spec.apodised, spec.sway_mm / grid.spacing_mm[axis],
        spec.sway_share * grid.shape[axis], spec.sway_phase,
    )  # fmt: skip
    rng = np.random.default_rng(spec.seed)
    clear += np.float32(noise) * rng.standard_normal(clear.shape, dtype=np.float32)
    imaginary = np.float32(noise) * rng.standard_normal(clear.shape, dtype=np.float32)
    stored = np.hypot(clear, imaginary, out=clear)
    stored *= np.float32(scale)
    np.rint(np.clip(stored, 0, 32767, out=stored), out=stored)
    return Volume(stored.astype(np.int16), grid)
