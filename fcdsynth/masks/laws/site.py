"""The site law: where on the cortex lesions sit, in MNI space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from fcdsynth.core.errors import SettingsError
from fcdsynth.measure.lobes import BONN_LOBES, LOBES, lobe_index

Point = tuple[float, float, float]

POINTS_PER_LESION = 24
_STEP_MM = 4.0
_FIRST_MM = np.array([-100.0, -136.0, -84.0])
_SHAPE = (51, 56, 51)
_FWHM_PER_SIGMA = 2.355


@dataclass(frozen=True)
class SiteLaw:
    """Kernel density of training lesions, mixed with a lobe prior.

    Every lesion weighs the same however large it is, since its points share its weight.

    Args:
        lesions: For each training lesion with known MNI position, some of its points (MNI, mm).
        fwhm_mm: Bandwidth, full width at half maximum of the Gaussian kernel.
        lobe_weight: Share of the lobe prior in the mixture; 1 when there are no lesions.
        mirror: Share of each lesion's density that goes to its left-right mirror image.
        lobes: Weight of each lobe in `LOBES` order.

    Raises:
        SettingsError: If a value is out of range.
    """

    lesions: tuple[tuple[Point, ...], ...] = ()
    fwhm_mm: float = 16.0
    lobe_weight: float = 1.0
    mirror: float = 0.5
    lobes: tuple[float, ...] = tuple(float(BONN_LOBES[name]) for name in LOBES)

    def __post_init__(self) -> None:
        faults = {
            "fwhm_mm": not 2 <= self.fwhm_mm <= 60,
            "lobe_weight": not 0 <= self.lobe_weight <= 1,
            "mirror": not 0 <= self.mirror <= 1,
            "lobes": len(self.lobes) != len(LOBES) or min(self.lobes) < 0 or sum(self.lobes) <= 0,
        }
        for name, bad in faults.items():
            if bad:
                raise SettingsError(
                    f"site.{name}", str(getattr(self, name)),
                    "fwhm_mm 2 to 60, lobe_weight and mirror 0 to 1, five lobe weights >= 0",
                    "Mend the site law of the prior.",
                )  # fmt: skip
        if not self.lesions and self.lobe_weight < 1:
            raise SettingsError(
                "site.lobe_weight", f"{self.lobe_weight} and no lesion positions",
                "1 where there are no lesions", "Set lobe_weight to 1.",
            )  # fmt: skip

    @cached_property
    def _density(self) -> NDArray[np.float32]:
        counts = np.zeros(_SHAPE)
        for lesion in self.lesions:
            points = np.asarray(lesion, dtype=float)
            for sign, share in ((1.0, 1 - self.mirror), (-1.0, self.mirror)):
                voxel = np.rint((points * [sign, 1, 1] - _FIRST_MM) / _STEP_MM).astype(int)
                voxel = np.clip(voxel, 0, np.asarray(_SHAPE) - 1)
                np.add.at(counts, tuple(voxel.T), share / len(points))
        sigma = self.fwhm_mm / _FWHM_PER_SIGMA / _STEP_MM
        return np.asarray(ndimage.gaussian_filter(counts, sigma, truncate=5), dtype=np.float32)

    def weights(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Probability of each ribbon voxel of one host, summing to 1.

        Args:
            points_mm: MNI coordinates of the host's ribbon voxels, shape (n, 3), mm.
        """
        points = np.asarray(points_mm, dtype=float)
        lobe = lobe_index(points)
        size = np.bincount(lobe, minlength=len(LOBES))
        share = np.where(size > 0, self.lobes, 0.0)
        if share.sum() == 0:
            share = (size > 0).astype(float)
        by_lobe = np.asarray((share / share.sum() / np.maximum(size, 1))[lobe])
        if self.lobe_weight == 1:
            return by_lobe
        voxel = (points - _FIRST_MM) / _STEP_MM
        kernel = ndimage.map_coordinates(self._density, voxel.T, order=1, mode="nearest")
        kernel = np.clip(kernel.astype(float), 0, None)
        if kernel.sum() <= 0:
            return by_lobe
        mixed = (1 - self.lobe_weight) * kernel / kernel.sum() + self.lobe_weight * by_lobe
        return np.asarray(mixed)


def spread_points(points_mm: ArrayLike, count: int = POINTS_PER_LESION) -> tuple[Point, ...]:
    """Pick points evenly from a lesion's voxels (in their array order), rounded to 0.1 mm.

    Args:
        points_mm: MNI coordinates of all its voxels, shape (n, 3).
        count: Largest number of points kept.
    """
    points = np.asarray(points_mm, dtype=float)
    chosen = np.unique(np.linspace(0, len(points) - 1, min(count, len(points))).astype(int))
    return tuple((float(x), float(y), float(z)) for x, y, z in np.round(points[chosen], 1))
