"""What the controls of a cohort look like at each place of MNI space, as sums over controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import INTENSITY_PER_SD, Tissue
from fcdsynth.core.volume import Volume
from fcdsynth.measure.tissue_average import COMPARED, TissueAverage, compared_voxels

GRID = Grid.covering((-81.0, -117.0, -81.0), (81.0, 84.0, 90.0), 3.0)
FWHM_MM = 7.0
# Few controls may be alike by chance: an SD below a tenth of the brain's own is not believed.
SD_FLOOR = 0.1 * INTENSITY_PER_SD
# In mm3: a tissue must fill this much of each cell (27 mm3) around for its average to count.
_LEAST_MM3 = 4.0

Maps = NDArray[np.float32]
ToMni = Callable[[NDArray[np.float64]], NDArray[np.floating[Any]]]


@dataclass(frozen=True, eq=False)
class Face:
    """One subject's compared voxels and where they lie in MNI space.

    Args:
        index: Voxel indices of each tissue, shape (n, 3).
        points: Their MNI coordinates, shape (n, 3), mm.
        least: Weighted number of voxels that an average needs.
    """

    index: Mapping[Tissue, NDArray[np.int64]]
    points: Mapping[Tissue, NDArray[np.floating[Any]]]
    least: float

    @classmethod
    def of(cls, tissue: Volume, to_mni: ToMni) -> Face:
        """Find the voxels of a tissue map and their places by a map of points in mm."""
        index = compared_voxels(tissue.array)
        points = {kind: to_mni(tissue.grid.to_mm(found)) for kind, found in index.items()}
        return cls(index, points, _LEAST_MM3 / (1000 * tissue.grid.voxel_ml))

    def averages(self, image: NDArray[np.float32]) -> Maps:
        """Mean intensity of each tissue around each place, less the tissue's median.

        The median takes out what differs between whole images (a brain mask with more fluid
        shifts all prepared intensities), so that what is left belongs to the place. On 10
        simulated patients against 10 controls of two scanners (2 mm, FLAIR contrast 2 to 3 SD)
        lesions stood 3.8 robust SD of the map above zero (median) with it, 1.9 without.

        Args:
            image: Prepared intensities, shape (x, y, z).

        Returns:
            Shape (tissue of `COMPARED`, x, y, z) on `GRID`, NaN where the tissue is absent.
        """
        maps = np.full((len(COMPARED), *GRID.shape), np.nan, dtype=np.float32)
        for number, kind in enumerate(COMPARED):
            if kind in self.index:
                values = image[tuple(self.index[kind].T)]
                values = values - np.median(values)
                average = TissueAverage.of(self.points[kind], values, GRID, FWHM_MM)
                maps[number] = average.mean(self.least)
        return maps

    def spread(self, maps: Maps, shape: tuple[int, int, int]) -> NDArray[np.float32]:
        """Carry maps on `GRID` back to the subject's voxels, 0 where there is nothing."""
        image = np.zeros(shape, dtype=np.float32)
        for number, kind in enumerate(COMPARED):
            if kind in self.index:
                known = np.isfinite(maps[number])
                sums = TissueAverage(np.nan_to_num(maps[number]), known.astype(np.float32), GRID)
                values = sums.at(self.points[kind], 0.05)
                image[tuple(self.index[kind].T)] = np.nan_to_num(values)
        return image


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over controls at each place, from which any one of them can be taken out again.

    Args:
        controls: Number of controls.
        count: Controls that have the tissue there, shape (tissue, x, y, z).
        total: Sum of their averages; same shape.
        squares: Sum of their squared averages; same shape.
    """

    controls: int
    count: NDArray[np.float64]
    total: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def empty(cls) -> Sums:
        """No control yet."""
        shape = (len(COMPARED), *GRID.shape)
        return cls(0, np.zeros(shape), np.zeros(shape), np.zeros(shape))

    def save(self, path: Path) -> None:
        """Write to an ``.npz`` file."""
        np.savez(path, controls=self.controls, count=self.count, total=self.total,
                 squares=self.squares)  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> Sums:
        """Read what `save` wrote."""
        with np.load(path) as data:
            return cls(int(data["controls"]), data["count"], data["total"], data["squares"])

    def plus(self, maps: Maps, sign: int = 1) -> Sums:
        """These sums with one more control, or with one taken out (``sign=-1``)."""
        known = np.isfinite(maps)
        value = np.where(known, maps, 0).astype(np.float64)
        return Sums(self.controls + sign, self.count + sign * known, self.total + sign * value,
                    self.squares + sign * value**2)  # fmt: skip

    def z_scores(self, maps: Maps) -> Maps:
        """Standard deviations (n - 1, floor `SD_FLOOR`) of a subject from the controls' mean.

        NaN where the subject lacks the tissue, or fewer than half of the controls, or fewer
        than two, have it.
        """
        enough = self.count >= max(2.0, self.controls / 2)
        n = np.where(enough, self.count, 2.0)
        mean = self.total / n
        variance = np.maximum(self.squares - n * mean**2, 0) / (n - 1)
        z = (maps - mean) / np.maximum(np.sqrt(variance), SD_FLOOR)
        return np.where(enough, z, np.nan).astype(np.float32)
