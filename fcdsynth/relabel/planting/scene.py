"""Scene: a mask with what an error needs to know of the head around it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.transforms import read_to_mni
from fcdsynth.core.volume import read_mask, read_volume
from fcdsynth.measure.mirror import Midplane
from fcdsynth.relabel.facts import MASK_KEY, midplane_of

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Scene:
    """A lesion mask on its native T1w grid, and its head.

    Args:
        mask: The mask, (x, y, z).
        brain: Brain on the same grid.
        cortex: Cortex on the same grid; the brain's own voxels where tissue is not known.
        grid: The grid.
        midplane: Mid-sagittal plane.
        to_mni: World matrix from T1w to MNI, (4, 4); identity where it is not known.
    """

    mask: Bools
    brain: Bools
    cortex: Bools
    grid: Grid
    midplane: Midplane
    to_mni: NDArray[np.float64]

    @classmethod
    def read(cls, cohort: Cohort, subject: Subject) -> Scene | None:
        """Read it; None for a subject without brain mask or with nothing in the lesion mask.

        Raises:
            CohortError: If a file is absent or damaged.
        """
        if not (subject.has(MASK_KEY) and subject.has("brain")):
            return None
        mask = read_mask(cohort.path(subject, MASK_KEY))
        whole = read_mask(cohort.path(subject, "brain"))
        plane = midplane_of(cohort, subject, whole)
        if plane is None or not mask.array.any():
            return None
        brain = resample(whole, mask.grid, 0).array.astype(bool)
        cortex = brain
        if subject.has("tissue"):
            tissue = resample(read_volume(cohort.path(subject, "tissue")), mask.grid, 0).array
            found = np.asarray(tissue == Tissue.CORTEX) & brain
            cortex = found if found.any() else brain
        to_mni = read_to_mni(cohort, subject)
        known = np.eye(4) if to_mni is None else to_mni
        return cls(mask.array, brain, cortex, mask.grid, plane, known)

    def nearest_cortex(self, point_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Centre of the cortical voxel nearest to a point, (3,) mm."""
        places = self.grid.to_mm(np.argwhere(self.cortex))
        found = places[np.argmin(((places - point_mm) ** 2).sum(axis=1))]
        return np.asarray(found, dtype=float)

    def centre_mm(self) -> NDArray[np.float64]:
        """Centre of mass of the mask, (3,) mm."""
        return np.asarray(self.grid.to_mm(np.argwhere(self.mask)).mean(axis=0), dtype=float)

    def with_mask(self, mask: Bools) -> Scene:
        """The same head with another mask, same shape."""
        return replace(self, mask=mask)
