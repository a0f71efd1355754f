"""Every lesion against every cluster: shared voxels, overlap and distances in mm.

Work is done in a box around each lesion, so that the cost grows with the lesions and clusters
and not with the volume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from fcdsynth.core.grid import Grid
from fcdsynth.measure.components import bounding_box

REACH_MM = 20.0
_FUZZ_MM = 1e-3

Voxels = NDArray[np.intp]
"""Voxel indices of one lesion or cluster, shape (n, 3)."""


def label_voxels(labels: NDArray[Any]) -> dict[int, Voxels]:
    """Voxel indices of every label of a map.

    Args:
        labels: Integer map, shape (x, y, z); 0 is background.

    Returns:
        Voxel indices, shape (n, 3), by label, in rising order of the label.
    """
    box = bounding_box(labels)
    if box is None:
        return {}
    inside = labels[box]
    at = np.argwhere(inside)
    values = inside[tuple(at.T)]
    at += [side.start for side in box]
    return {int(label): at[values == label] for label in np.unique(values)}


@dataclass(frozen=True, eq=False)
class LesionField:
    """A lesion with its surroundings, ready to be asked how far a cluster lies from it.

    Args:
        voxels: Its voxel indices, shape (n, 3).
        centre_mm: Its centre of mass, RAS+ mm, shape (3,).
        origin: First voxel of the box, which reaches `REACH_MM` beyond the lesion.
        inside: The lesion in its box.
        grid: The grid.
    """

    voxels: Voxels
    centre_mm: NDArray[np.float64]
    origin: NDArray[np.intp]
    inside: NDArray[np.bool_]
    grid: Grid

    @classmethod
    def of(cls, voxels: Voxels, grid: Grid) -> LesionField:
        """Measure the surroundings of a lesion given by its voxel indices, shape (n, 3)."""
        # A ball of radius r spans r times the norm of each row of the inverse affine.
        margin = np.ceil(
            REACH_MM * np.linalg.norm(np.linalg.inv(grid.matrix[:3, :3]), axis=1) + 1e-9
        ).astype(int)
        origin = np.maximum(voxels.min(axis=0) - margin, 0)
        end = np.minimum(voxels.max(axis=0) + margin + 1, grid.shape)
        inside = np.zeros(end - origin, dtype=bool)
        inside[tuple((voxels - origin).T)] = True
        centre = grid.to_mm(voxels.mean(axis=0))
        return cls(voxels, centre, origin, inside, grid)

    @cached_property
    def distance_mm(self) -> NDArray[np.float32]:
        """Distance of each voxel centre of the box from the nearest lesion voxel centre, mm."""
        return _distance_mm(self.inside, self.grid)

    def meet(self, voxels: Voxels) -> tuple[int, float]:
        """Number of voxels shared with a cluster, and the gap to it.

        Args:
            voxels: Voxel indices of the cluster, shape (n, 3).

        Returns:
            Shared voxels and the smallest distance between voxel centres in mm; infinite when
            the gap is larger than `REACH_MM`.
        """
        local = voxels - self.origin
        local = local[((local >= 0) & (local < self.inside.shape)).all(axis=1)]
        if not len(local):
            return 0, float("inf")
        at = tuple(local.T)
        shared = int(self.inside[at].sum())
        if shared:
            return shared, 0.0
        gap = float(self.distance_mm[at].min())
        return 0, gap if gap <= REACH_MM + _FUZZ_MM else float("inf")


def _distance_mm(inside: NDArray[np.bool_], grid: Grid) -> NDArray[np.float32]:
    cosines = grid.matrix[:3, :3] / np.asarray(grid.spacing_mm)
    if np.allclose(cosines.T @ cosines, np.eye(3), atol=1e-3):
        exact = ndimage.distance_transform_edt(~inside, sampling=grid.spacing_mm)
        return np.asarray(exact, dtype=np.float32)
    # Sheared axes: a distance transform with a spacing would be wrong.
    linear = grid.matrix[:3, :3].T
    everywhere = np.indices(inside.shape).reshape(3, -1).T @ linear
    distance, _ = cKDTree(np.argwhere(inside) @ linear).query(everywhere)
    return np.asarray(distance, dtype=np.float32).reshape(inside.shape)


@dataclass(frozen=True, eq=False)
class Pairs:
    """What the hit rules are decided from; arrays of shape (lesions, clusters).

    Args:
        shared_vox: Voxels in both.
        iou: Intersection over union.
        dice: Dice coefficient.
        centre_mm: Distance between the centres of mass, mm.
        gap_mm: Smallest distance between voxel centres, mm; infinite beyond `REACH_MM`.
    """

    shared_vox: NDArray[np.int64]
    iou: NDArray[np.float64]
    dice: NDArray[np.float64]
    centre_mm: NDArray[np.float64]
    gap_mm: NDArray[np.float64]


def measure_pairs(lesions: Sequence[LesionField], clusters: Sequence[Voxels], grid: Grid) -> Pairs:
    """Measure every lesion against every cluster.

    Args:
        lesions: Lesions of one subject.
        clusters: Voxel indices of its clusters, each of shape (n, 3).
        grid: The grid both lie on.
    """
    shape = (len(lesions), len(clusters))
    shared = np.zeros(shape, dtype=np.int64)
    gap = np.full(shape, np.inf)
    for row, lesion in enumerate(lesions):
        for column, voxels in enumerate(clusters):
            shared[row, column], gap[row, column] = lesion.meet(voxels)
    sizes = np.array([len(lesion.voxels) for lesion in lesions], dtype=float).reshape(-1, 1)
    others = np.array([len(voxels) for voxels in clusters], dtype=float).reshape(1, -1)
    ours = np.array([lesion.centre_mm for lesion in lesions]).reshape(-1, 1, 3)
    means = np.array([voxels.mean(axis=0) for voxels in clusters]).reshape(-1, 3)
    apart = np.linalg.norm(ours - grid.to_mm(means)[None], axis=-1)
    both = sizes + others
    return Pairs(shared, shared / (both - shared), 2 * shared / both, apart, gap)
