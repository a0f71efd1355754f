"""Donor: what of a training patient's lesion is needed to plant it into another anatomy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.masks.growing.front import Box, squared_mm
from fcdsynth.masks.host import Host
from fcdsynth.masks.laws.lesions import Lesion
from fcdsynth.measure.geodesic import Voxel

MARGIN_MM = 8.0  # how far around the lesion its distance is known
_NORMAL_MM, _FOLD_MM = 4.0, 8.0  # neighbourhoods of a seed from which its frame is read
_PARALLEL = 0.1


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


def frame_at(host: Host, voxel: Voxel) -> NDArray[np.float64]:
    """Right-handed frame of the cortex at a voxel, in the host's world.

    The first column points inward, to the white matter: the mean heading of the cortex within
    4 mm that does not face the other way. The second follows the fold: the headings of a
    straight sulcus or gyrus lie in the plane across it, so the fold runs along the eigenvector
    of least eigenvalue of sum h h^T over the cortex within 8 mm. Its sign has no meaning. The
    third is across.

    Args:
        host: The anatomy.
        voxel: A voxel of the cortex.

    Returns:
        Unit vectors as columns, shape (3, 3), RAS+.
    """
    spacing = np.asarray(host.grid.spacing_mm)
    box = _box_around(voxel, np.ceil(_FOLD_MM / spacing).astype(int), host.grid.shape)
    squared = squared_mm(box, voxel, spacing)
    headings = host.heading[(slice(None), *box)].astype(float)
    near = (squared <= _FOLD_MM**2) & (headings != 0).any(axis=0)
    vectors, away = headings[:, near].T, squared[near]
    own = host.heading[(slice(None), *voxel)].astype(float)
    same = (away <= _NORMAL_MM**2) & (vectors @ own > 0)
    inward = vectors[same].sum(axis=0)
    inward /= np.linalg.norm(inward)
    along = _across(np.linalg.eigh(vectors.T @ vectors)[1][:, 0], inward)
    directions = host.grid.matrix[:3, :3] / spacing
    first, second = directions @ inward, directions @ along
    return np.stack([first, second, np.cross(first, second)], axis=1)


def _across(axis: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of an axis across a normal, of length 1; any such vector where nothing is left."""
    part = axis - normal * (axis @ normal)
    if np.linalg.norm(part) < _PARALLEL:
        other = np.eye(3)[int(np.argmin(np.abs(normal)))]
        part = other - normal * (other @ normal)
    return np.asarray(part / np.linalg.norm(part))


def _box_around(voxel: Voxel, reach: NDArray[np.int64], shape: tuple[int, int, int]) -> Box:
    x, y, z = (
        slice(max(0, c - int(r)), min(n, c + int(r) + 1))
        for c, r, n in zip(voxel, reach, shape, strict=True)
    )
    return x, y, z
