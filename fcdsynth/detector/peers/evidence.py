"""Evidence: where cortex and white matter are bright on FLAIR and brighter than their mirror."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import CEREBRAL
from fcdsynth.core.volume import Volume, read_grid, read_labels, read_volume
from fcdsynth.measure.clusters import cluster_score
from fcdsynth.measure.tissue_average import TissueAverage

_MAD_TO_SD = 1.4826
_LEAST_SHARE = 1e-4  # of the largest deviation; below lies rounding
MIRROR = "flair_mirror"


def in_robust_sd(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Distance from the median in robust SD (1.4826 times the median absolute deviation).

    All 0 where half of the values are one and the same: such a map says nothing.
    """
    centred = values.astype(np.float64) - np.median(values)
    spread = _MAD_TO_SD * float(np.median(np.abs(centred)))
    least = _LEAST_SHARE * float(np.abs(centred).max())
    return centred / spread if spread > least else np.zeros_like(centred)


@dataclass(frozen=True)
class Evidence:
    """How a subject's map of evidence is made.

    Each part is averaged within its own tissue, so that neither fluid nor the other tissue mixes
    in, and counted in robust SD of that tissue; the weighted parts are added, and the sum is
    counted in its own robust SD, so that only the ratio of the weights matters.

    Args:
        flair_key: ``flair_z`` (against controls) or ``flair`` (against the subject's own tissue).
        flair_weight: Weight of that part.
        asymmetry_weight: Weight of the difference from the mirrored side.
        smooth_fwhm_mm: Full width at half maximum of the Gaussian; 0 averages nothing.
    """

    flair_key: str
    flair_weight: float
    asymmetry_weight: float
    smooth_fwhm_mm: float

    @property
    def parts(self) -> tuple[tuple[str, float], ...]:
        """File keys with their weights, those of weight 0 left out."""
        pairs = ((self.flair_key, self.flair_weight), (MIRROR, self.asymmetry_weight))
        return tuple((key, weight) for key, weight in pairs if weight > 0)

    @property
    def keys(self) -> tuple[str, ...]:
        """File keys that a subject needs."""
        return ("tissue", *(key for key, _ in self.parts))

    def check(self, cohort: Cohort, subjects: Sequence[Subject], *more: str) -> None:
        """Find from headers alone what would stop the work halfway.

        Args:
            cohort: The table the subjects belong to.
            subjects: The subjects.
            more: File keys that they need besides `keys`.

        Raises:
            CohortError: If a subject lacks a file.
            GeometryError: If its files lie on different grids.
        """
        for subject in subjects:
            first, *others = (*self.keys, *more)
            grid = read_grid(cohort.path(subject, first))
            for key in others:
                grid.require_same(read_grid(cohort.path(subject, key)), f"{subject.id} {key}",
                                  "Run fcdsynth prepare on the whole cohort.")  # fmt: skip

    def of(self, cohort: Cohort, subject: Subject) -> Volume:
        """The map, float32; NaN outside cortex and white matter."""
        tissue = read_labels(cohort.path(subject, "tissue"))
        total = np.full(tissue.grid.shape, np.nan, dtype=np.float32)
        inside = np.isin(tissue.array, CEREBRAL)
        total[inside] = 0
        for key, weight in self.parts:
            image = read_volume(cohort.path(subject, key)).array
            for kind in CEREBRAL:
                where = tissue.array == kind
                if where.any():
                    total[where] += weight * in_robust_sd(self._smooth(image, where, tissue))
        if inside.any():
            total[inside] = in_robust_sd(total[inside])
        return Volume(total, tissue.grid)

    def _smooth(
        self, image: NDArray[np.float32], where: NDArray[np.bool_], tissue: Volume
    ) -> NDArray[np.float32]:
        if self.smooth_fwhm_mm == 0:
            return image[where]
        points = tissue.grid.to_mm(np.argwhere(where))
        average = TissueAverage.of(points, image[where], tissue.grid, self.smooth_fwhm_mm)
        return average.at(points, 0.0)


def height(evidence: Volume) -> float:
    """Mean of the most evident 0.1 ml: the largest value, whatever the voxel size."""
    values = evidence.array[np.isfinite(evidence.array)]
    return cluster_score(values, evidence.grid.voxel_ml) if len(values) else 0.0
