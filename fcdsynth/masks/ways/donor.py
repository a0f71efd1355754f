"""Donor: what of a training patient's lesion is needed to plant it into another anatomy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.masks.frame import frame_at
from fcdsynth.masks.host import Host
from fcdsynth.masks.laws.lesions import Lesion

MARGIN_MM = 8.0  # how far around the lesion its distance is known


@dataclass(frozen=True, eq=False)
class Donor:
    """A training lesion on a crop of its own grid, with the frame of the cortex at its seed.

    Args:
        subject: Subject id of the patient.
        number: Which of the patient's lesions, 0 for the largest.
        grid: The crop's grid; the lesion keeps `MARGIN_MM` from its faces.
        mask: The lesion in it, shape (x, y, z).
        seed_mm: The lesion's seed in the patient's world, RAS+ mm, shape (3,).
        frame: See `frame_at`, shape (3, 3).
        t1w_to_mni: World matrix (4, 4) to MNI, None when unknown.
    """

    subject: str
    number: int
    grid: Grid
    mask: NDArray[np.bool_]
    seed_mm: NDArray[np.float64]
    frame: NDArray[np.float64]
    t1w_to_mni: NDArray[np.float64] | None

    @classmethod
    def of(cls, host: Host, lesion: Lesion) -> Donor:
        """Take a lesion out of its anatomy.

        Args:
            host: The patient's anatomy, read without its lesion.
            lesion: One of the patient's lesions.
        """
        margin = np.ceil(MARGIN_MM / np.asarray(host.grid.spacing_mm)).astype(int)
        first = lesion.vox.min(axis=0) - margin
        mask = np.zeros(np.ptp(lesion.vox, axis=0) + 1 + 2 * margin, dtype=bool)
        mask[tuple((lesion.vox - first).T)] = True
        matrix = host.grid.matrix.copy()
        matrix[:3, 3] = host.grid.to_mm(first)
        return cls(
            lesion.subject, lesion.number, Grid.of(mask.shape, matrix), mask,
            host.grid.to_mm(lesion.seed_vox), frame_at(host, lesion.seed_vox), host.t1w_to_mni,
        )  # fmt: skip

    @property
    def volume_ml(self) -> float:
        """Volume in ml."""
        return float(self.mask.sum()) * self.grid.voxel_ml

    @property
    def points_mm(self) -> NDArray[np.float64]:
        """Centres of its voxels in the patient's world, RAS+ mm, shape (n, 3)."""
        return self.grid.to_mm(np.argwhere(self.mask))

    @cached_property
    def distance_mm(self) -> NDArray[np.float32]:
        """Signed distance to the lesion's surface on the crop, negative inside, mm.

        Surfaces lie half-way between voxel centres, so half a voxel is taken off either distance.
        """
        spacing = self.grid.spacing_mm
        half = min(spacing) / 2
        outside = ndimage.distance_transform_edt(~self.mask, sampling=spacing) - half
        inside = ndimage.distance_transform_edt(self.mask, sampling=spacing) - half
        return np.asarray(np.where(self.mask, -inside, outside), dtype=np.float32)
