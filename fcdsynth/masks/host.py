"""Host: the anatomy a mask is drawn into, with the maps that placement and growth read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.transforms import read_to_mni
from fcdsynth.core.volume import read_labels, read_mask, read_volume
from fcdsynth.masks.depth_rank import depth_rank
from fcdsynth.measure.components import bounding_box
from fcdsynth.measure.geodesic import allowed_steps

SEED_CLEARANCE_MM = 4.0
_FAR_MM = 1e3


@dataclass(frozen=True, eq=False)
class Host:
    """One subject's anatomy on its prepared grid.

    Args:
        subject: Subject id.
        grid: The grid of all maps.
        tissue: Labels, see `fcdsynth.core.tissue`; shape (x, y, z).
        brain: Brain mask.
        lesion: Existing lesion, all False in a control.
        depth_mm: Depth below the closed hull.
        right: Voxels of the right hemisphere; a cortex voxel is on the side of its nearest
            white matter, so a mid-plane some mm off cuts no gyrus in two.
        cortex_mm: Distance to the nearest cortex voxel, mm.
        heading: Unit vectors from each cortex voxel to its nearest white matter, zero elsewhere,
            shape (3, x, y, z), float16.
        ribbon_vox: Voxels where a lesion may start, shape (n, 3): cortex outside an existing
            lesion and more than 4 mm from deep grey, brainstem and cerebellum.
        ribbon_rank: Depth rank of each in [0, 1]; 1 is the deepest relative to its surroundings.
        ventricle_vox: Voxels of the ventricles, shape (m, 3).
        t1w_to_mni: World matrix (4, 4) to MNI, None when unknown.
    """

    subject: str
    grid: Grid
    tissue: NDArray[np.int16]
    brain: NDArray[np.bool_]
    lesion: NDArray[np.bool_]
    depth_mm: NDArray[np.float32]
    right: NDArray[np.bool_]
    cortex_mm: NDArray[np.float32]
    heading: NDArray[np.float16]
    ribbon_vox: NDArray[np.int64]
    ribbon_rank: NDArray[np.float32]
    ventricle_vox: NDArray[np.int64]
    t1w_to_mni: NDArray[np.float64] | None

    @cached_property
    def steps(self) -> NDArray[np.uint16]:
        """Steps that a front may take from each voxel, see `fcdsynth.measure.geodesic`.

        Within cortex and white matter of one side, outside an existing lesion, and not between
        opposed banks.
        """
        own = ((self.tissue == Tissue.CORTEX) | (self.tissue == Tissue.WHITE_MATTER)) & ~self.lesion
        box = _box(own)
        steps = np.zeros(self.grid.shape, dtype=np.uint16)
        right, own = self.right[box], own[box]
        heading = self.heading[(slice(None), *box)]
        for side in (right, ~right):
            steps[box] |= allowed_steps(own & side, heading)
        return steps

    def beside(self, vox: NDArray[np.int64], apart_mm: float) -> Host:
        """The same anatomy with more lesion in it, for the next lesion to keep away from.

        Args:
            vox: Voxels of the new lesion, shape (n, 3).
            apart_mm: What lies closer to it counts as lesion too, and so do its 26 neighbours.

        Raises:
            CohortError: If no cortex is left where a lesion may start.
        """
        apart_mm = max(apart_mm, 1.001 * float(np.linalg.norm(self.grid.spacing_mm)))
        reach = np.ceil(apart_mm / np.asarray(self.grid.spacing_mm)).astype(int) + 1
        low = np.maximum(vox.min(axis=0) - reach, 0)
        high = np.minimum(vox.max(axis=0) + reach + 1, self.grid.shape)
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        free = np.ones(high - low, dtype=bool)
        free[tuple((vox - low).T)] = False
        lesion = self.lesion.copy()
        lesion[box] |= (
            ndimage.distance_transform_edt(free, sampling=self.grid.spacing_mm) <= apart_mm
        )
        open_ = ~lesion[tuple(self.ribbon_vox.T)]
        if not open_.any():
            raise CohortError(
                self.subject, "no cortex left for another lesion",
                "cortex away from the lesions it has", "Draw fewer lesions in it.",
            )  # fmt: skip
        other = replace(
            self, lesion=lesion, ribbon_vox=self.ribbon_vox[open_],
            ribbon_rank=self.ribbon_rank[open_],
        )  # fmt: skip
        # Fronts leave the lesion out by themselves, so the steps need not be found again.
        other.__dict__["steps"] = self.steps
        return other

    def to_mni(self, voxels: NDArray[Any]) -> NDArray[np.float64] | None:
        """MNI coordinates of voxel indices, shape (n, 3), or None when unknown."""
        if self.t1w_to_mni is None:
            return None
        points = self.grid.to_mm(voxels)
        return np.asarray(points @ self.t1w_to_mni[:3, :3].T + self.t1w_to_mni[:3, 3])


def make_host(
    subject: str,
    grid: Grid,
    tissue: NDArray[Any],
    brain: NDArray[np.bool_],
    depth_mm: NDArray[np.float32],
    lesion: NDArray[np.bool_] | None = None,
    t1w_to_mni: NDArray[np.float64] | None = None,
) -> Host:
    """Compute the maps of a host.

    Args:
        subject: Subject id.
        grid: Grid of the arrays, each of shape (x, y, z).
        tissue: Tissue labels.
        brain: Brain mask.
        depth_mm: Depth below the closed hull, mm.
        lesion: Existing lesion, if any.
        t1w_to_mni: World matrix to MNI, if known.

    Raises:
        CohortError: If there is no cortex or no white matter inside the brain.
    """
    tissue = np.where(brain, tissue, 0).astype(np.int16)
    lesion = np.zeros(grid.shape, dtype=bool) if lesion is None else lesion
    cortex, white = tissue == Tissue.CORTEX, tissue == Tissue.WHITE_MATTER
    for name, mask in (("cortex", cortex), ("white matter", white)):
        if not mask.any():
            raise CohortError(subject, f"no voxel labelled {name}", "a tissue map with both",
                              "Prepare the subject again or leave it out.")  # fmt: skip
    box = _box(cortex | white)
    spacing = grid.spacing_mm
    cortex_mm = np.full(grid.shape, _FAR_MM, dtype=np.float32)
    cortex_mm[box] = ndimage.distance_transform_edt(~cortex[box], sampling=spacing)
    nearest = ndimage.distance_transform_edt(
        ~white[box], sampling=spacing, return_distances=False, return_indices=True
    )
    heading = np.zeros((3, *grid.shape), dtype=np.float16)
    inside = np.nonzero(cortex[box])
    steps = (
        np.stack([nearest[a][inside] - inside[a] for a in range(3)]) * np.array(spacing)[:, None]
    )
    steps /= np.linalg.norm(steps, axis=0)
    for axis in range(3):
        heading[axis][box][inside] = steps[axis]
    right = _right(grid, brain, t1w_to_mni)
    right[box][inside] = right[box][tuple(nearest[a][inside] for a in range(3))]
    free = cortex & ~lesion & (_away_mm(tissue, box, spacing) > SEED_CLEARANCE_MM)
    if not free.any():
        raise CohortError(
            subject, "no cortex where a lesion may start",
            "cortex away from deep grey, brainstem, cerebellum and lesion",
            "Leave the subject out.",
        )  # fmt: skip
    ribbon_vox = np.argwhere(free)
    return Host(
        subject, grid, tissue, brain, lesion, depth_mm.astype(np.float32),
        right, cortex_mm, heading, ribbon_vox,
        depth_rank(depth_mm, cortex, spacing)[tuple(ribbon_vox.T)],
        np.argwhere(tissue == Tissue.VENTRICLE), t1w_to_mni,
    )  # fmt: skip


def load_host(cohort: Cohort, subject: Subject, with_lesion: bool = True) -> Host:
    """Read one subject of a prepared cohort.

    Args:
        cohort: The cohort.
        subject: The subject.
        with_lesion: Whether an existing lesion is kept free; without it the subject's anatomy
            is read as if it had none.

    Raises:
        CohortError: If a file is absent or unreadable, or the anatomy has no cortex.
        GeometryError: If its maps lie on different grids.
    """
    tissue = read_labels(cohort.path(subject, "tissue"))
    brain = read_mask(cohort.path(subject, "brain"))
    depth = read_volume(cohort.path(subject, "depth"))
    maps = {"brain": brain, "depth": depth}
    if with_lesion and subject.has("lesion"):
        maps["lesion"] = read_mask(cohort.path(subject, "lesion"))
    for key, volume in maps.items():
        tissue.grid.require_same(volume.grid, f"{subject.id} {key}", "Prepare the subject again.")
    return make_host(
        subject.id, tissue.grid, tissue.array, brain.array, depth.array,
        maps["lesion"].array if "lesion" in maps else None, read_to_mni(cohort, subject),
    )  # fmt: skip


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    return bounding_box(mask) or (slice(0, 0),) * 3


def _right(
    grid: Grid, brain: NDArray[np.bool_], t1w_to_mni: NDArray[np.float64] | None
) -> NDArray[np.bool_]:
    """Right of the MNI mid-plane, or of the brain's median x where MNI is unknown."""
    world = grid.matrix if t1w_to_mni is None else t1w_to_mni @ grid.matrix
    i, j, k = np.ogrid[tuple(slice(n) for n in grid.shape)]
    x = world[0, 0] * i + world[0, 1] * j + world[0, 2] * k + world[0, 3]
    middle = 0.0 if t1w_to_mni is not None else float(np.median(x[brain]))
    return np.broadcast_to(x > middle, grid.shape).copy()


def _away_mm(
    tissue: NDArray[np.int16], box: tuple[slice, slice, slice], spacing: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Distance to deep grey, brainstem and cerebellum; shape (x, y, z)."""
    away = np.full(tissue.shape, _FAR_MM, dtype=np.float32)
    other = np.isin(tissue[box], (Tissue.DEEP_GREY, Tissue.INFRATENTORIAL))
    if other.any():
        away[box] = ndimage.distance_transform_edt(~other, sampling=spacing)
    return away
