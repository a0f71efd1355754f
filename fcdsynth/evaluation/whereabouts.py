"""Where in the brain a lesion or a cluster lies: lobe, side, MNI coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.grid import Grid
from fcdsynth.core.transforms import matrix_to_mni
from fcdsynth.core.volume import Volume, read_labels, read_mask
from fcdsynth.evaluation.cases import Point
from fcdsynth.evaluation.pairs import Voxels
from fcdsynth.evaluation.reading import Scoring, read_to_mni
from fcdsynth.measure.lobes import LOBES, RIGHT, name_of


@dataclass(frozen=True, eq=False)
class Whereabouts:
    """What tells places in one subject's native T1w world.

    Args:
        lobes: Prepared map of lobes and sides, on any grid of that world; None without one.
        to_mni: World matrix from T1w to MNI, shape (4, 4); None without one.
        middle_mm: World x of the middle of the brain, which parts the sides where there is no
            ``to_mni``; 0 without a brain mask.
    """

    lobes: Volume | None
    to_mni: NDArray[np.float64] | None
    middle_mm: float = 0.0

    @classmethod
    def read(cls, task: Scoring, brain: NDArray[np.bool_] | None, grid: Grid) -> Whereabouts:
        """Read lobes and matrix, as far as the subject has them.

        Args:
            task: The subject.
            brain: Its brain mask on the native grid, or None.
            grid: That grid.
        """
        lobes = read_labels(task.files["lobes"]) if "lobes" in task.files else None
        to_mni = read_to_mni(task)
        middle_mm = 0.0
        if to_mni is None and brain is not None:
            middle_mm = float(grid.to_mm(np.argwhere(brain).mean(axis=0))[0])
        return cls(lobes, to_mni, middle_mm)

    def side(self, centre_mm: NDArray[np.float64]) -> str:
        """``L`` or ``R`` of a point of the T1w world: by MNI x, else by the middle of the brain."""
        mni_mm = self.mni_mm(centre_mm)
        right = centre_mm[0] > self.middle_mm if mni_mm is None else mni_mm[0] > 0
        return "R" if right else "L"

    def lobe(self, voxels: Voxels, grid: Grid) -> tuple[str, str]:
        """Lobe and side that most of the voxels lie in; empty where no voxel has a label.

        Args:
            voxels: Voxel indices, shape (n, 3).
            grid: Their grid.
        """
        if self.lobes is None:
            return "", ""
        at = np.rint(self.lobes.grid.to_vox(grid.to_mm(voxels))).astype(int)
        at = at[((at >= 0) & (at < self.lobes.grid.shape)).all(axis=1)]
        labels = self.lobes.array[tuple(at.T)]
        labels = labels[(labels > 0) & (labels <= RIGHT + len(LOBES))]
        return name_of(int(np.bincount(labels).argmax())) if len(labels) else ("", "")

    def mni_mm(self, centre_mm: NDArray[np.float64]) -> Point | None:
        """MNI coordinates of a point of the T1w world, None without a transform."""
        if self.to_mni is None:
            return None
        x, y, z = self.to_mni[:3, :3] @ centre_mm + self.to_mni[:3, 3]
        return (float(x), float(y), float(z))


def synthetic_lesions(cohort: Cohort) -> list[tuple[str, Point]]:
    """Id and MNI centre of each synthetic lesion, mm.

    Args:
        cohort: A synthetic cohort with its masks and transforms; rows without both are left out.

    Raises:
        CohortError: If a file cannot be read.
    """
    found = []
    for subject in cohort.subjects:
        if not (subject.is_patient and subject.has("lesion") and subject.has("transforms")):
            continue
        mask = read_mask(cohort.path(subject, "lesion"))
        where = Whereabouts(None, matrix_to_mni(cohort.path(subject, "transforms"), subject.id))
        centre = where.mni_mm(mask.grid.to_mm(np.argwhere(mask.array).mean(axis=0)))
        if centre is not None:
            found.append((subject.id, centre))
    return found
