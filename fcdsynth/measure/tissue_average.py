"""Local averages of intensity within one kind of tissue, on a grid, and read at any place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue

# A lesion may lie in each of these; they are never averaged with one another.
COMPARED = (Tissue.CORTEX, Tissue.WHITE_MATTER, Tissue.DEEP_GREY)
FWHM_TO_SD = 1 / 2.355
LEAST_SHARE = 0.02

Points = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class TissueAverage:
    """Gaussian-weighted sums over the voxels of one tissue (normalised convolution).

    Knutsson and Westin (CVPR 1993): smooth values times membership and membership alike, and
    divide; so fluid at the pia or white matter below never mixes into the cortex's average.

    Args:
        values: Weighted sum of the values, shape of the grid.
        members: Weighted sum of the members, in voxels; same shape.
        grid: Their grid.
    """

    values: NDArray[np.float32]
    members: NDArray[np.float32]
    grid: Grid

    @classmethod
    def of(cls, points_mm: Points, values: NDArray[np.floating], grid: Grid,
           fwhm_mm: float) -> TissueAverage:  # fmt: skip
        """Average values at points over a grid.

        Args:
            points_mm: Places of the tissue's voxels in the grid's world, shape (n, 3), mm.
            values: Their values, shape (n,).
            grid: Axis-aligned grid; points beyond it are left out.
            fwhm_mm: Full width at half maximum of the Gaussian.
        """
        index = np.rint(grid.to_vox(points_mm)).astype(np.int64)
        inside = ((index >= 0) & (index < grid.shape)).all(axis=1)
        flat = np.ravel_multi_index(tuple(index[inside].T), grid.shape)
        size = int(np.prod(grid.shape))
        weights = np.asarray(values, dtype=np.float64)[inside]
        sums = (np.bincount(flat, weights, size), np.bincount(flat, minlength=size))
        sigma = [fwhm_mm * FWHM_TO_SD / mm for mm in grid.spacing_mm]
        smooth = [
            ndimage.gaussian_filter(
                s.reshape(grid.shape).astype(np.float32), sigma, mode="constant"
            )
            for s in sums
        ]
        return cls(smooth[0], smooth[1], grid)

    def mean(self, least: float) -> NDArray[np.float32]:
        """Mean on the grid, NaN where fewer than ``least`` voxels (weighted) are near."""
        return _ratio(self.values, self.members, least)

    def at(self, points_mm: Points, least: float) -> NDArray[np.float32]:
        """Mean at points (n, 3) in mm, NaN where fewer than ``least`` voxels are near."""
        index = self.grid.to_vox(points_mm).T
        sums = [
            ndimage.map_coordinates(a, index, order=1, mode="constant")
            for a in (self.values, self.members)
        ]
        return _ratio(sums[0], sums[1], least)


def _ratio(
    values: NDArray[np.float32], members: NDArray[np.float32], least: float
) -> NDArray[np.float32]:
    mean = np.full(values.shape, np.nan, dtype=np.float32)
    np.divide(values, members, out=mean, where=members > least)
    return mean


def compared_voxels(labels: NDArray[np.integer]) -> Mapping[Tissue, NDArray[np.int64]]:
    """Voxel indices (n, 3) of each tissue in `COMPARED` that occurs."""
    found = {kind: np.argwhere(labels == kind) for kind in COMPARED}
    return MappingProxyType({kind: index for kind, index in found.items() if len(index)})
