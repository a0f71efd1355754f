"""Volumes and world matrices on their way to SimpleITK and back.

SimpleITK's world is LPS+, ours is RAS+: x and y change their sign. Its arrays are (z, y, x).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample
from fcdsynth.core.volume import Volume, canonical

_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


@contextmanager
def one_thread() -> Iterator[None]:
    """Let ITK use one thread: sums in another order would give another result."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _without_shear(volume: Volume) -> Volume:
    """Resample onto right-angled axes, which ITK's gradients take for granted."""
    grid = volume.grid
    if grid.right_angled:
        return volume
    corners = grid.corners_mm()
    spacing = min(grid.spacing_mm)
    upright = Grid.covering(corners.min(axis=0), corners.max(axis=0), spacing)
    return resample(volume, upright)


def to_itk(volume: Volume) -> sitk.Image:
    """Make a SimpleITK image with the same values at the same places of the world.

    Args:
        volume: Any orientation; array axes are first brought close to R, A, S. Sheared grids
            (tilted gantry) are resampled onto an upright one.

    Returns:
        Float32 image (uint8 for a bool volume).
    """
    upright = canonical(volume) if volume.grid.axis_codes != "RAS" else volume
    if upright.array.dtype != bool:
        upright = _without_shear(Volume(upright.array.astype(np.float32), upright.grid))
    kind = np.uint8 if upright.array.dtype == bool else np.float32
    image = sitk.GetImageFromArray(np.ascontiguousarray(upright.array.transpose(2, 1, 0), kind))
    affine = _FLIP @ upright.grid.matrix
    spacing = np.asarray(upright.grid.spacing_mm)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    return image


def from_itk(image: sitk.Image) -> Volume:
    """Make a volume from a SimpleITK image."""
    affine = np.eye(4)
    direction = np.asarray(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = direction * np.asarray(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    array = np.ascontiguousarray(sitk.GetArrayFromImage(image).transpose(2, 1, 0))
    return Volume(array, Grid.of(array.shape, _FLIP @ affine))


def matrix_of(transform: sitk.Transform) -> NDArray[np.float64]:
    """World matrix (4 x 4, RAS+ mm) of a linear transform, read off four points."""
    points = np.vstack([np.zeros(3), np.eye(3) * 100.0])
    moved = np.asarray([transform.TransformPoint(point.tolist()) for point in points])
    matrix = np.eye(4)
    matrix[:3, :3] = (moved[1:] - moved[0]).T / 100.0
    matrix[:3, 3] = moved[0]
    return np.asarray(_FLIP @ matrix @ _FLIP)


def _fill(transform: Any, matrix: NDArray[np.float64], centre_mm: ArrayLike) -> Any:
    """Set centre, matrix and translation of a linear transform (matrix in LPS)."""
    centre = np.asarray(centre_mm, dtype=float) * [-1.0, -1.0, 1.0]
    linear, offset = matrix[:3, :3], matrix[:3, 3]
    transform.SetCenter(centre.tolist())
    transform.SetMatrix(linear.ravel().tolist())
    transform.SetTranslation((offset + linear @ centre - centre).tolist())
    return transform


def rigid_of(matrix: ArrayLike, centre_mm: ArrayLike = (0, 0, 0)) -> sitk.Euler3DTransform:
    """Rigid transform of a world matrix (RAS+ mm), turning about a point of the world."""
    lps = _FLIP @ np.asarray(matrix, dtype=float) @ _FLIP
    u, _, vt = np.linalg.svd(lps[:3, :3])
    lps[:3, :3] = u @ vt
    return _fill(sitk.Euler3DTransform(), lps, centre_mm)


def affine_of(matrix: ArrayLike, centre_mm: ArrayLike = (0, 0, 0)) -> sitk.AffineTransform:
    """Affine transform of a world matrix (RAS+ mm), centred on a point of the world."""
    lps = _FLIP @ np.asarray(matrix, dtype=float) @ _FLIP
    return _fill(sitk.AffineTransform(3), lps, centre_mm)
