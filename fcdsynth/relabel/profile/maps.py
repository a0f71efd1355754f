"""The maps that a mask is held against: images, label-free maps, and the detector's map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_volume
from fcdsynth.measure.mirror import values_at

LOG_ODDS = "log_odds"
IMAGES = ("flair", "t1w")
# Written by prepare without any label.
LABEL_FREE = ("flair_mirror", "t1w_mirror", "flair_z", "t1w_z", "depth", "ribbon")
MAPS = (LOG_ODDS, *IMAGES, *LABEL_FREE)
# Maps in which a lesion's place can be searched for.
SEARCHED = (LOG_ODDS, "flair", "flair_mirror")
_COMPARED = (Tissue.CORTEX, Tissue.WHITE_MATTER, Tissue.DEEP_GREY)
_FWHM_MM = 4.0
_LEAST_SHARE = 0.05
_FEWEST_VOX = 10
_LEAST_P = 1e-4
_MAD_TO_SD = 1.4826


@dataclass(frozen=True, eq=False)
class Maps:
    """A subject's maps, each on its own grid in the native T1w world.

    Args:
        maps: Volumes by name, see `MAPS`; absent ones are left out.
        tissue: Tissue labels, or None.
    """

    maps: Mapping[str, Volume]
    tissue: Volume | None

    @classmethod
    def read(cls, cohort: Cohort, subject: Subject, probability: Volume | None) -> Maps:
        """Read what the subject has.

        Args:
            cohort: A prepared cohort.
            subject: One of its subjects.
            probability: Out-of-fold map, or None.

        Raises:
            CohortError: If a file is damaged.
        """
        found: dict[str, Volume] = {}
        tissue = read_volume(cohort.path(subject, "tissue")) if subject.has("tissue") else None
        if probability is not None:
            p = np.clip(probability.array.astype(np.float32), _LEAST_P, 1 - _LEAST_P)
            found[LOG_ODDS] = Volume(np.log(p / (1 - p)), probability.grid)
        for key in (*IMAGES, *LABEL_FREE):
            if not subject.has(key):
                continue
            volume = read_volume(cohort.path(subject, key))
            array = volume.array.astype(np.float32)
            if key in IMAGES:
                if tissue is None or tissue.grid.shape != volume.grid.shape:
                    continue
                array = tissue_deviation(array, tissue.array, volume.grid)
            found[key] = Volume(array, volume.grid)
        return cls(found, tissue)

    def sampled(self, points_mm: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
        """Every map at places (..., 3) mm."""
        return {name: values_at(volume, points_mm).astype(np.float32)
                for name, volume in self.maps.items()}  # fmt: skip

    def tissue_at(self, points_mm: NDArray[np.float64]) -> NDArray[np.int16] | None:
        """Tissue labels at places (..., 3) mm, None where they are not known."""
        if self.tissue is None:
            return None
        return np.rint(values_at(self.tissue, points_mm, order=0)).astype(np.int16)


def tissue_deviation(
    image: NDArray[np.float32], tissue: NDArray[np.integer], grid: Grid
) -> NDArray[np.float32]:
    """How far a place's intensity lies from its own tissue's in this brain, robust SD.

    Each tissue's voxels are taken against the tissue's median and averaged over 4 mm (FWHM)
    within the tissue, so that a border between tissues is not itself a deviation.

    Args:
        image: Prepared intensities, (x, y, z).
        tissue: Labels, same shape.
        grid: Their grid.

    Returns:
        Deviation, same shape; 0 away from cortex, white and deep grey matter.
    """
    sigma = [_FWHM_MM / 2.355 / mm for mm in grid.spacing_mm]
    total = np.zeros(image.shape, dtype=np.float32)
    share = np.zeros(image.shape, dtype=np.float32)
    for label in _COMPARED:
        inside = tissue == label
        if int(inside.sum()) < _FEWEST_VOX:
            continue
        values = image[inside]
        middle = float(np.median(values))
        spread = max(_MAD_TO_SD * float(np.median(np.abs(values - middle))), 1e-3)
        away = np.zeros(image.shape, dtype=np.float32)
        away[inside] = (values - middle) / spread
        total += ndimage.gaussian_filter(away, sigma)
        share += ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    known = share > _LEAST_SHARE
    return np.asarray(np.where(known, total / np.maximum(share, _LEAST_SHARE), 0), np.float32)
