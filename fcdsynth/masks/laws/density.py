"""Density of lesions over MNI space, as a map on one fixed grid."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from fcdsynth.core.errors import SettingsError
from fcdsynth.core.grid import Grid

# The space that `prepare` registers to; a density means nothing in another one.
TEMPLATE = "MNI152NLin2009aSym"
_STEP_MM = 4.0
# Symmetric about x = 0, so that a flip of the array is the mirror image.
MAP_GRID = Grid.covering((-102, -138, -86), (102, 86, 118), _STEP_MM)
_FWHM_PER_SIGMA = 2.355


@dataclass(frozen=True, eq=False)
class Density:
    """Probability of a lesion per ml, on `MAP_GRID`.

    Args:
        per_ml: Values, shape of the grid, float32, none negative, not all zero.

    Raises:
        SettingsError: If they are not such values.
    """

    per_ml: NDArray[np.float32]

    def __post_init__(self) -> None:
        array = self.per_ml
        sound = array.shape == MAP_GRID.shape and array.dtype == np.float32
        if not sound or not np.isfinite(array).all() or array.min() < 0 or array.max() <= 0:
            raise SettingsError(
                "site map", f"values of type {array.dtype} and shape {array.shape}",
                f"finite float32 values of shape {MAP_GRID.shape}, none negative, not all 0",
                "Fit the prior again.",
            )  # fmt: skip
        array.setflags(write=False)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the values, in C order and little-endian."""
        return hashlib.sha256(np.ascontiguousarray(self.per_ml, dtype="<f4").tobytes()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Density) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def at(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Linearly interpolated values at MNI points, shape (n, 3); outside that of the edge."""
        return value_at(self.per_ml, points_mm)


def value_at(array: NDArray[np.float32], points_mm: ArrayLike) -> NDArray[np.float64]:
    """Values of a map on `MAP_GRID` at MNI points, shape (n, 3); shape (n,)."""
    voxel = MAP_GRID.to_vox(points_mm)
    found = ndimage.map_coordinates(array, voxel.T, order=1, mode="nearest")
    return np.asarray(np.maximum(found, 0), dtype=np.float64)


def smoothed(points_mm: ArrayLike, fwhm_mm: float) -> NDArray[np.float32]:
    """Density of one lesion: a Gaussian kernel on each of its points, integral 1 (per ml).

    Args:
        points_mm: MNI coordinates, shape (n, 3).
        fwhm_mm: Full width of the kernel at half its maximum.
    """
    points = np.asarray(points_mm, dtype=float)
    voxel = np.rint(MAP_GRID.to_vox(points)).astype(int)
    voxel = np.clip(voxel, 0, np.asarray(MAP_GRID.shape) - 1)
    share = np.zeros(MAP_GRID.shape, dtype=np.float32)
    np.add.at(share, tuple(voxel.T), 1 / len(points) / MAP_GRID.voxel_ml)
    sigma = fwhm_mm / _FWHM_PER_SIGMA / _STEP_MM
    return np.asarray(ndimage.gaussian_filter(share, sigma, truncate=5, mode="constant"))


def kernel_density(lesions: Sequence[ArrayLike], fwhm_mm: float, mirror: float) -> Density:
    """Mean density of lesions, each of which weighs the same however large it is.

    Args:
        lesions: Some points of each lesion (MNI, mm), each of shape (n, 3); at least one lesion.
        fwhm_mm: Bandwidth.
        mirror: Share of each lesion's density that goes to its left-right mirror image.
    """
    total = np.sum([smoothed(points, fwhm_mm) for points in lesions], axis=0) / len(lesions)
    both = (1 - mirror) * total + mirror * total[::-1]
    return Density(np.ascontiguousarray(both, dtype=np.float32))
