"""The site law: where on the cortex lesions sit, in MNI space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcdsynth.core.errors import SettingsError
from fcdsynth.masks.laws.density import Density
from fcdsynth.measure.lobes import BONN_LOBES, LOBES, lobe_index


@dataclass(frozen=True)
class SiteLaw:
    """Density of training lesions, mixed with shares of the lobes.

    Args:
        density: Kernel density of the training lesions; None where they are too few.
        fwhm_mm: Its bandwidth, full width at half maximum of the Gaussian kernel.
        lobe_weight: Share of the lobes in the mixture; 1 where there is no density.
        mirror: Share of each lesion's density that went to its left-right mirror image.
        lobes: Weight of each lobe in `LOBES` order.

    Raises:
        SettingsError: If a value is out of range.
    """

    density: Density | None = None
    fwhm_mm: float = 16.0
    lobe_weight: float = 1.0
    mirror: float = 0.5
    lobes: tuple[float, ...] = tuple(float(BONN_LOBES[name]) for name in LOBES)

    def __post_init__(self) -> None:
        faults = {
            "fwhm_mm": not 2 <= self.fwhm_mm <= 60,
            "lobe_weight": not 0 <= self.lobe_weight <= 1,
            "mirror": not 0 <= self.mirror <= 1,
            "lobes": len(self.lobes) != len(LOBES) or not min(self.lobes) >= 0
            or not 0 < sum(self.lobes) < float("inf"),
        }  # fmt: skip
        for name, bad in faults.items():
            if bad:
                raise SettingsError(
                    f"site.{name}", str(getattr(self, name)),
                    "fwhm_mm 2 to 60, lobe_weight and mirror 0 to 1, five lobe weights >= 0",
                    "Mend the site law of the prior.",
                )  # fmt: skip
        if self.density is None and self.lobe_weight < 1:
            raise SettingsError(
                "site.lobe_weight", f"{self.lobe_weight} and no density of lesions",
                "1 where there is none", "Set lobe_weight to 1.",
            )  # fmt: skip

    def weights(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Probability of each ribbon voxel of one host, summing to 1.

        Args:
            points_mm: MNI coordinates of the host's ribbon voxels, shape (n, 3), mm.
        """
        points = np.asarray(points_mm, dtype=float)
        lobe = lobe_index(points)
        size = np.bincount(lobe, minlength=len(LOBES))
        even = lobe_factor(self.lobes, size)[lobe]
        kernel = None if self.density is None else self.density.at(points)
        mean = 0.0 if kernel is None else float(kernel.mean())
        return mixed(kernel, mean, even, self.lobe_weight) / len(points)


def lobe_factor(lobes: ArrayLike, voxels_per_lobe: ArrayLike) -> NDArray[np.float64]:
    """Probability of a voxel of each lobe over that of an even draw from the ribbon, shape (5,).

    Args:
        lobes: Weight of each lobe; those that the ribbon lacks do not count.
        voxels_per_lobe: Number of ribbon voxels in each.
    """
    size = np.asarray(voxels_per_lobe, dtype=float)
    share = np.where(size > 0, np.asarray(lobes, dtype=float), 0.0)
    if share.sum() == 0:
        share = (size > 0).astype(float)
    return np.asarray(share / share.sum() * size.sum() / np.maximum(size, 1))


def mixed(
    kernel: NDArray[np.float64] | None, mean: float, even: NDArray[np.float64], lobe_weight: float
) -> NDArray[np.float64]:
    """Probability of ribbon voxels over that of an even draw.

    Args:
        kernel: Density of lesions at them; None where there is none.
        mean: Its mean over the whole ribbon; where it is 0, no lesion reaches this ribbon and
            the lobes decide alone.
        even: `lobe_factor` of each voxel's lobe.
        lobe_weight: Share of the lobes in the mixture.
    """
    if kernel is None or mean <= 0:
        return even
    return np.asarray((1 - lobe_weight) * kernel / mean + lobe_weight * even)
